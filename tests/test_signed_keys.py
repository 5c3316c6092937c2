"""Keys for a short time that another front end made: believed, bounded, and not to be changed."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from realtime import server as server_module
from realtime.doorway import MAX_HEADER_BYTES
from realtime.ephemeral import MAX_SECONDS, MAX_SETTINGS_BYTES, Grant
from realtime.errors import ProtocolError
from realtime.keyring import Key, Keyring, digest_of
from realtime.keys import PROTOCOL_PREFIX, parse_secrets
from realtime.metrics import Metrics
from realtime.revoking import reread
from realtime.server import ADMISSION, EPHEMERAL, make_app
from realtime.session_config import SessionConfig
from realtime.signed_keys import HEAD, MAX_KEY_CHARS, SignedKeys, _bytes
from tests.conftest import ROOT
from tests.test_client_secrets import opened, post

SECRET = "a-secret-that-two-front-ends-share"
OTHER = "a-secret-of-somebody-else-entirely"
PARENT = digest_of("a-key-of-sixteen-and-more")
BRIEF = SessionConfig(instructions="be brief")


def front_end(*shared: str, parents: tuple[bytes, ...] = (PARENT,)) -> SignedKeys:
    return SignedKeys(shared or (SECRET,), lambda: parents)


def test_what_one_front_end_made_another_knows_until_it_expires():
    key, grant = front_end().mint(BRIEF, seconds=10, now=100, parent=PARENT, sessions=3)
    assert key.startswith("ek_")
    assert (grant.expires_at, grant.sessions, grant.parent) == (110, 3, PARENT)
    assert front_end().find(key, now=109) == grant
    assert front_end().find(key, now=110) is None


def test_two_keys_with_the_same_settings_are_two():
    keys = front_end()
    first, second = (keys.mint(BRIEF, seconds=10, now=100, parent=PARENT) for _ in range(2))
    assert first[0] != second[0]
    assert first[1].ticket != second[1].ticket


def test_one_of_a_front_end_with_another_secret_is_none():
    key, _ = front_end(OTHER).mint(BRIEF, seconds=10, now=100, parent=PARENT)
    assert front_end().find(key, now=100) is None


def test_a_secret_is_changed_without_an_outage():
    """Each step reaches one front end after the other: those before it and after it believe each
    other. In one step less, the new one first at once, they do not."""
    steps = ((SECRET,), (SECRET, OTHER), (OTHER, SECRET), (OTHER,))
    made = [front_end(*each).mint(BRIEF, seconds=10, now=100, parent=PARENT)[0] for each in steps]
    for before, after in itertools.pairwise(range(3)):
        assert front_end(*steps[after]).find(made[before], now=100)
        assert front_end(*steps[before]).find(made[after], now=100)
    assert front_end(SECRET).find(made[2], now=100) is None


def test_the_old_secret_may_go_when_the_last_key_of_it_has_expired():
    """Two hours after the last front end began to sign with the new one."""
    both, new = front_end(OTHER, SECRET), front_end(OTHER)
    old, _ = front_end(SECRET, OTHER).mint(BRIEF, seconds=MAX_SECONDS, now=100, parent=PARENT)
    assert both.find(old, now=100 + MAX_SECONDS - 1)
    assert both.find(old, now=100 + MAX_SECONDS) is None
    signed, _ = both.mint(BRIEF, seconds=MAX_SECONDS, now=100, parent=PARENT)
    assert new.find(signed, now=100 + MAX_SECONDS - 1)


def test_one_that_would_last_longer_than_any_that_is_made_is_none():
    """Clocks of front ends may differ by a minute."""
    key, _ = front_end().mint(BRIEF, seconds=MAX_SECONDS, now=160, parent=PARENT)
    assert front_end().find(key, now=100)
    assert front_end().find(key, now=99) is None


def test_it_dies_with_the_real_key_that_made_it():
    key, _ = front_end().mint(BRIEF, seconds=10, now=100, parent=PARENT)
    assert front_end(parents=(digest_of("another-key-of-sixteen"),)).find(key, now=100) is None


def test_one_that_nobodys_key_made_is_one_only_where_no_key_is_asked_for():
    """Else what was made before there were keys, or on a front end that was started without them,
    would depend on the guard alone."""
    open_to_all = front_end(parents=())
    key, _ = open_to_all.mint(BRIEF, seconds=10, now=100)
    grant = open_to_all.find(key, now=100)
    assert grant
    assert grant.parent == b""
    assert front_end().find(key, now=100) is None


def test_the_real_key_is_not_in_it():
    key, _ = front_end().mint(BRIEF, seconds=10, now=100, parent=PARENT)
    again, _ = front_end(OTHER).mint(BRIEF, seconds=10, now=100, parent=PARENT)
    names = [HEAD.unpack_from(_bytes(each))[-1] for each in (key, again)]
    assert names[0] != names[1]
    assert all(name not in PARENT and PARENT[:16] != name for name in names)


def test_no_character_of_it_can_be_changed():
    key, _ = front_end().mint(BRIEF, seconds=10, now=100, parent=PARENT)
    keys = front_end()
    for at in range(3, len(key)):
        other = "A" if key[at] != "A" else "B"
        assert keys.find(f"{key[:at]}{other}{key[at + 1 :]}", now=100) is None, at


@pytest.mark.parametrize(
    "change", [str.upper, lambda k: k + "=", lambda k: k + "\n", lambda k: k + "A"]
)
def test_it_is_written_in_one_way_only(change):
    """Each way of writing it would count its sessions anew."""
    key, _ = front_end().mint(BRIEF, seconds=10, now=100, parent=PARENT)
    assert front_end().find(change(key), now=100) is None


@pytest.mark.parametrize(
    "key", ["", "ek_", "ek_A", "ek_" + "A" * 200, "ek_\udcff", "ek_é" + "A" * 90]
)
def test_nonsense_is_none(key):
    assert front_end().find(key, now=100) is None


def test_settings_that_no_header_holds_are_refused():
    dense = random.Random(0).randbytes(4_000).hex()
    with pytest.raises(ProtocolError, match="fit into a header") as refused:
        front_end().mint(SessionConfig(instructions=dense), seconds=10, now=100)
    assert (refused.value.code, refused.value.param) == ("too_large", "session")


def test_settings_that_are_large_are_refused_for_that_however_short_their_key():
    with pytest.raises(ProtocolError, match=f"at most {MAX_SETTINGS_BYTES} go with") as refused:
        front_end().mint(SessionConfig(instructions="a" * MAX_SETTINGS_BYTES), seconds=10, now=100)
    assert (refused.value.code, refused.value.param) == ("too_large", "session")


def test_pages_of_instructions_fit():
    words = (ROOT / "docs" / "reliability.md").read_text()[:8_000]
    key, _ = front_end().mint(SessionConfig(instructions=words), seconds=10, now=100, parent=PARENT)
    grant = front_end().find(key, now=100)
    assert grant
    assert grant.config.instructions == words
    assert MAX_KEY_CHARS + len(f"realtime, {PROTOCOL_PREFIX}") < MAX_HEADER_BYTES


def test_secrets_are_long_and_few():
    assert parse_secrets("") == ()
    assert parse_secrets(f"{SECRET}, {OTHER}") == (SECRET, OTHER)
    for wrong in (
        "short",
        f"{SECRET},short",
        ",".join([SECRET] * 5),
        f"{SECRET}é",
        f"{SECRET}\x00a",
    ):
        with pytest.raises(ValueError, match="secret"):
            parse_secrets(wrong)


KEYS = {"website": "a-key-of-the-website-and-more", "office": "a-key-of-the-office-and-more"}
SECRETS = "/v1/realtime/client_secrets"


@pytest.fixture
async def servers(runtime, manners) -> AsyncIterator[list[TestServer]]:
    """Two front ends with the same keys and secret."""
    made = []
    for _ in range(2):
        keys = Keyring(Key(name, digest_of(key)) for name, key in KEYS.items())
        app = make_app(
            runtime, Metrics(), SessionConfig(), manners, keys=keys, shared_secrets=(SECRET,)
        )
        made.append(TestServer(app))
    async with made[0], made[1]:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def made_by(http, server, **body: object) -> str:
    headers = {"Authorization": f"Bearer {KEYS['website']}"}
    status, answer = await post(http, server, body=body, headers=headers)
    assert status == 200
    return str(answer["value"])


async def test_a_page_connects_to_whichever_front_end_it_is_led_to(servers, http):
    value = await made_by(http, servers[0], session={"instructions": "be brief"})
    for server in servers:
        client = await opened(http, server, value)
        assert client.events[0]["session"]["instructions"] == "be brief"
        await client.socket.close()


async def test_its_sessions_are_counted_by_each_front_end(servers, http):
    value = await made_by(http, servers[0])
    clients = [await opened(http, server, value) for server in servers]
    for server in servers:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(http, server, value)
        assert refused.value.status == 503
    for client in clients:
        await client.socket.close()


async def test_where_the_real_key_is_taken_away_it_opens_nothing(servers, http, tmp_path):
    value = await made_by(http, servers[0])
    left = tmp_path / "keys.toml"
    left.write_text(f'[[key]]\nname = "office"\nkey = "{KEYS["office"]}"\n')
    left.chmod(0o600)
    assert reread(servers[1].app, left, ())
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await opened(http, servers[1], value)
    assert refused.value.status == 401
    client = await opened(http, servers[0], value)
    await client.socket.close()


class OfOneLook(SignedKeys):
    """A clock that passes a key's end between two looks."""

    def __init__(self, inner: SignedKeys) -> None:
        self.inner, self.looks = inner, 0

    def find(self, key: str, *, now: int) -> Grant | None:
        self.looks += 1
        return self.inner.find(key, now=now) if self.looks == 1 else None


@pytest.mark.parametrize("keyed", [True, False])
async def test_what_let_a_caller_in_is_what_he_has(runtime, manners, http, monkeypatch, keyed):
    """A key is looked up once: it could expire between two looks, and the second find nothing."""
    parent = digest_of(KEYS["website"]) if keyed else b""
    signed = SignedKeys((SECRET,), lambda: (parent,) if keyed else ())
    looks = OfOneLook(signed)
    monkeypatch.setattr(server_module, "SignedKeys", lambda *_: looks)
    keys = Keyring([Key("website", parent)] if keyed else [])
    app = make_app(
        runtime, Metrics(), SessionConfig(), manners, keys=keys, shared_secrets=(SECRET,)
    )
    value, _ = signed.mint(BRIEF, seconds=60, now=int(time.time()), parent=parent)
    async with TestServer(app) as server:
        client = await opened(http, server, value)
        assert client.events[0]["session"]["instructions"] == "be brief"
        assert list(app[ADMISSION].held()) == (["website"] if keyed else [])
        await client.socket.close()
    assert looks.looks == 1


async def test_a_server_without_the_secret_does_not_believe_it(servers, http, runtime, manners):
    value = await made_by(http, servers[0])
    app = make_app(runtime, Metrics(), SessionConfig(), manners, keys=tuple(KEYS.values()))
    assert app[EPHEMERAL].find(value, now=int(time.time())) is None
