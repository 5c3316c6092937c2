"""The keys of a server: whom each belongs to, what it may do, and how much at once. Pure.

A keys file is TOML, with a table for each key; its own characters, or only their digest:

    [[key]]
    name = "phone"
    key = "6f0c...": at least 16 characters
    [[key]]
    name = "monitor"
    sha256 = "9b74...": of the key, 64 hexadecimal digits
    roles = ["status"]
    max_sessions = 2

Of a key only its digest is kept. One that is shown is compared with every one there is, each in
constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from realtime.keys import key_bytes, parse_keys
from realtime.roles import ROLES

MAX_KEYS = 1_000
"""Each request compares with all of them."""

FIELDS = ("name", "key", "sha256", "roles", "max_sessions")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Key:
    """One key. `name` is what logs and limits call it."""

    name: str
    digest: bytes = field(repr=False)
    roles: frozenset[str] = ROLES
    max_sessions: int | None = None
    """Sessions at once; None where the server's own limit counts."""


def digest_of(key: str) -> bytes:
    """SHA-256 of a key as it stands in a header."""
    return hashlib.sha256(key_bytes(key)).digest()


def keys_of(values: Iterable[str]) -> tuple[Key, ...]:
    """Keys without a file: they may do everything, and are named by their place."""
    return tuple(Key(f"key-{n}", digest_of(value)) for n, value in enumerate(values, 1))


def parse_file(text: str) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        ValueError: it is no TOML, or not in this form; names the key and the field.
    """
    tables = tomllib.loads(text)
    if unknown := [name for name in tables if name != "key"]:
        raise ValueError(f"'{unknown[0]}' is not known; a keys file has tables [[key]] alone")
    entries = tables.get("key", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ValueError("a key is a table of its own: begin it with [[key]]")
    if not entries:
        raise ValueError("it holds no key: without one nobody could be let in")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"it holds {len(entries)} keys; at most {MAX_KEYS} are taken")
    return distinct(_key(entry, n) for n, entry in enumerate(entries, 1))


def distinct(keys: Iterable[Key]) -> tuple[Key, ...]:
    """The same keys.

    Raises:
        ValueError: two have one name, or are one key.
    """
    found: dict[str, Key] = {}
    for key in keys:
        if key.name in found:
            raise ValueError(f"two keys are called '{key.name}'; give each a name of its own")
        twin = next((each for each in found.values() if each.digest == key.digest), None)
        if twin:
            raise ValueError(f"'{twin.name}' and '{key.name}' are the same key")
        found[key.name] = key
    return tuple(found.values())


def _key(entry: dict[str, Any], number: int) -> Key:
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"key {number}: 'name' is not 1 to 64 letters, digits and - . _: give it one"
        )
    if unknown := [each for each in entry if each not in FIELDS]:
        raise ValueError(f"key '{name}': '{unknown[0]}' is none of {', '.join(FIELDS)}")
    roles = entry.get("roles", sorted(ROLES))
    if not isinstance(roles, list) or not roles or not all(role in ROLES for role in roles):
        raise ValueError(f"key '{name}': 'roles' is not a list of {', '.join(sorted(ROLES))}")
    most = entry.get("max_sessions")
    if most is not None and (type(most) is not int or most < 1):
        raise ValueError(f"key '{name}': 'max_sessions' is not a whole number of at least 1")
    return Key(name, _digest(entry, name), frozenset(roles), most)


def _digest(entry: dict[str, Any], name: str) -> bytes:
    plain, hashed = entry.get("key"), entry.get("sha256")
    if (plain is None) == (hashed is None):
        raise ValueError(f"key '{name}': give it one of 'key' and 'sha256'")
    if hashed is not None:
        if not isinstance(hashed, str) or not _SHA256.fullmatch(hashed):
            raise ValueError(f"key '{name}': 'sha256' is not 64 hexadecimal digits")
        return bytes.fromhex(hashed)
    try:
        [value] = parse_keys(plain) if isinstance(plain, str) else []
    except ValueError:
        raise ValueError(
            f"key '{name}': 'key' is not at least 16 letters, digits and - . _ ~"
        ) from None
    return digest_of(value)


class Keyring:
    """The keys that count now. Without any, the server asks for none."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def talkers(self) -> int:
        """How many of them may open sessions."""
        return sum("talk" in key.roles for key in self._keys)

    @property
    def digests(self) -> tuple[bytes, ...]:
        return tuple(key.digest for key in self._keys)

    def find(self, shown: Iterable[str]) -> Key | None:
        """The key that was shown, if it is one of these."""
        digests = [digest_of(each) for each in shown]
        found = [
            key for key in self._keys for each in digests if hmac.compare_digest(key.digest, each)
        ]
        return found[0] if found else None

    def may_talk(self, digest: bytes) -> bool:
        """True while there is a key with this digest that may open sessions."""
        key = self.holding(digest)
        return key is not None and "talk" in key.roles

    def holding(self, digest: bytes) -> Key | None:
        """The key with this digest, if there still is one."""
        return next((key for key in self._keys if key.digest == digest), None)

    def replace(self, keys: Iterable[Key]) -> frozenset[bytes]:
        """Other keys count from now on; the digests of those that may open no session any more."""
        before = {key.digest for key in self._keys if "talk" in key.roles}
        self._keys = tuple(keys)
        return frozenset(before - {key.digest for key in self._keys if "talk" in key.roles})
