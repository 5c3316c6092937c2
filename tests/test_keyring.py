"""Keys with names, roles and limits, as a file tells them."""

from __future__ import annotations

import hashlib

import pytest

from realtime.keyring import Key, Keyring, digest_of, distinct, keys_of, parse_file
from realtime.roles import ROLES

PHONE = "a-phone-key-of-some-length"
OTHER = "another-key-of-some-length"


def test_a_file_names_keys_by_themselves_or_by_their_digest():
    digest = hashlib.sha256(OTHER.encode()).hexdigest()
    phone, monitor = parse_file(
        f"""
        [[key]]
        name = "phone"
        key = "{PHONE}"
        max_sessions = 2

        [[key]]
        name = "monitor"
        sha256 = "{digest}"
        roles = ["status"]
        """
    )
    assert phone == Key("phone", digest_of(PHONE), ROLES, 2)
    assert monitor == Key("monitor", digest_of(OTHER), frozenset(["status"]), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("[[key]]\nname='a'", "one of 'key' and 'sha256'"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nsha256='{'0' * 64}'", "one of 'key' and 'sha256'"),
        (f"[[key]]\nkey='{PHONE}'", "'name'"),
        (f"[[key]]\nname='a b'\nkey='{PHONE}'", "'name'"),
        ("[[key]]\nname='a'\nkey='short'", "'key' is not at least 16"),
        (f"[[key]]\nname='a'\nkey='{PHONE},{OTHER}'", "'key' is not at least 16"),
        ("[[key]]\nname='a'\nkey=5", "'key' is not at least 16"),
        ("[[key]]\nname='a'\nsha256='abc'", "'sha256' is not 64"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nrole=['talk']", "'role' is none of"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nroles=['admin']", "'roles' is not a list of"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nroles=[]", "'roles' is not a list of"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nmax_sessions=0", "'max_sessions'"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\nmax_sessions=true", "'max_sessions'"),
        (f"[key]\nname='a'\nkey='{PHONE}'", r"\[\[key\]\]"),
        ("keys = 3", r"'keys' is not known"),
        ("[[key", "Expected"),
        (f"[[key]]\nname='a'\nkey='{PHONE}'\n" * 2, "two keys are called 'a'"),
        (
            f"[[key]]\nname='a'\nkey='{PHONE}'\n[[key]]\nname='b'\nkey='{PHONE}'",
            "'a' and 'b' are the same",
        ),
    ],
)
def test_a_file_that_cannot_be_used_names_the_key_and_the_field_and_shows_no_key(text, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse_file(text)
    assert PHONE not in str(refused.value)
    assert "short" not in str(refused.value)


def test_a_ring_finds_what_is_shown_and_nothing_else():
    ring = Keyring(keys_of([PHONE, OTHER]))
    assert [key.name for key in keys_of([PHONE, OTHER])] == ["key-1", "key-2"]
    found = ring.find(["nonsense", OTHER])
    assert found is not None
    assert found.name == "key-2"
    assert ring.find([PHONE[:-1], PHONE + "x", "", "\udcff"]) is None
    assert ring.find([]) is None
    assert Keyring().find([""]) is None


def test_what_is_taken_away_is_told_once_and_a_key_that_may_not_talk_counts_as_gone():
    ring = Keyring(keys_of([PHONE, OTHER]))
    kept = Key("key-2", digest_of(OTHER))
    assert ring.replace([kept]) == {digest_of(PHONE)}
    assert ring.replace([kept]) == frozenset()
    assert ring.find([PHONE]) is None
    assert ring.replace([Key("key-2", digest_of(OTHER), frozenset(["rest"]))]) == {kept.digest}
    assert ring.talkers == 0
    assert len(ring) == 1


def test_a_key_is_not_shown_where_it_is_printed():
    assert digest_of(PHONE).hex() not in repr(Key("phone", digest_of(PHONE)))
    assert repr(digest_of(PHONE)) not in repr(Key("phone", digest_of(PHONE)))


def test_names_from_the_setting_and_from_the_file_do_not_clash_unseen():
    with pytest.raises(ValueError, match="two keys are called 'key-1'"):
        distinct([*keys_of([PHONE]), Key("key-1", digest_of(OTHER))])
