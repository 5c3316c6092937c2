"""Keys for a short time that carry what they stand for, so that every front end knows them. Pure.

With a secret that all front ends of one balancer share, a key that one of them made opens sessions
on each, and outlives it. Nothing of it is kept:

    ek_ + base64url(version u8, expires u32, sessions u8, nonce 8, parent 16, settings, mac 32)

`settings` are JSON, deflated; `parent` names the real key that made it to those who have the secret
and that key; `mac` is HMAC-SHA256 over all before it. What is in it can be read by its holder, as a
session tells its settings anyway; it cannot be changed. Bound: `MAX_KEY_CHARS`, since it stands in
one header.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import struct
import zlib
from collections.abc import Callable, Collection, Iterable

import msgspec

from realtime.ephemeral import MAX_SECONDS, MAX_SETTINGS_BYTES, PREFIX, Grant, ticket_of
from realtime.errors import ProtocolError
from realtime.keyring import digest_of
from realtime.session_config import SessionConfig

VERSION = 1
HEAD = struct.Struct(">BIB8s16s")
MAC_BYTES = 32
MAX_KEY_CHARS = 6_000
"""A header may have 8,190 bytes here, and proxies allow 8 KiB for it."""

MAX_AHEAD_S = MAX_SECONDS + 60
"""No front end makes a key that expires later, by clocks that are as far apart as they may be."""

NOBODY = bytes(16)
"""The parent's name where the server asks for no key."""


class SignedKeys:
    """In the place of `ephemeral.EphemeralKeys`. `parents` tells the digests of the real keys that
    there are now. Times are in seconds of Unix time, by clocks that agree within seconds."""

    def __init__(self, shared: Collection[str], parents: Callable[[], Iterable[bytes]]) -> None:
        self._signing = tuple(_derived(each) for each in shared)
        self._parents = parents

    def mint(
        self,
        config: SessionConfig,
        *,
        seconds: int,
        now: int,
        parent: bytes = b"",
        sessions: int = 1,
    ) -> tuple[str, Grant]:
        """A new key that opens so many sessions at a time on each front end with these settings,
        for so long.

        Raises:
            ProtocolError: the settings are too large, or make a key that no header holds.
        """
        signing = self._signing[0]
        name = _name(signing, parent)
        head = HEAD.pack(VERSION, now + seconds, sessions, secrets.token_bytes(8), name)
        settings = msgspec.json.encode(config)
        if len(settings) > MAX_SETTINGS_BYTES:
            raise _too_large(
                f"the session's settings have {len(settings)} bytes; at most {MAX_SETTINGS_BYTES} "
                "go with a key"
            )
        body = head + zlib.compress(settings, 9)
        key = PREFIX + _text(body + _mac(signing, body))
        if len(key) > MAX_KEY_CHARS:
            raise _too_large(
                f"with the session's settings in it the key has {len(key)} characters; at most "
                f"{MAX_KEY_CHARS} fit into a header"
            )
        return key, Grant(now + seconds, config, ticket_of(digest_of(key)), parent, sessions)

    def find(self, key: str, *, now: int) -> Grant | None:
        """What a key stands for; None if no front end with this secret made it, it has expired, or
        the real key that made it is none any more; where keys are asked for, one that nobody's key
        made is none."""
        data = _bytes(key)
        body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
        signing = next((s for s in self._signing if hmac.compare_digest(_mac(s, body), mac)), None)
        if signing is None or len(body) < HEAD.size:
            return None
        version, expires_at, sessions, _, name = HEAD.unpack_from(body)
        if version != VERSION or not now < expires_at <= now + MAX_AHEAD_S:
            return None
        parent = self._parent(signing, name)
        config = _settings(body[HEAD.size :])
        if parent is None or config is None:
            return None
        return Grant(expires_at, config, ticket_of(digest_of(key)), parent, sessions)

    def forget(self, parents: Collection[bytes]) -> None:
        """Nothing is kept: a key whose parent is gone is not found."""

    def _parent(self, signing: bytes, name: bytes) -> bytes | None:
        parents = tuple(self._parents())
        if name == NOBODY:
            return None if parents else b""
        return next((each for each in parents if _name(signing, each) == name), None)


def _too_large(what: str) -> ProtocolError:
    told = f"{what}: set what is long after connecting"
    return ProtocolError(told, code="too_large", param="session")


def _derived(secret: str) -> bytes:
    """A key for this use alone: whoever learns it learns nothing of the secret."""
    return hmac.digest(secret.encode(), b"banter: keys for a short time", "sha256")


def _name(signing: bytes, parent: bytes) -> bytes:
    """Of a real key, by which only who knows both tells it."""
    if not parent:
        return NOBODY
    return hmac.digest(signing, b"parent" + parent, "sha256")[: len(NOBODY)]


def _mac(signing: bytes, body: bytes) -> bytes:
    return hmac.digest(signing, b"key" + body, "sha256")


def _text(data: bytes) -> str:
    """Letters, digits, - and _ alone: it stands among WebSocket protocols too."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(key: str) -> bytes:
    """What `_text` was made of; nothing where it was not."""
    if not key.startswith(PREFIX) or len(key) > MAX_KEY_CHARS:
        return b""
    text = key.removeprefix(PREFIX)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return b""
    return data if _text(data) == text else b""


def _settings(packed: bytes) -> SessionConfig | None:
    """Of a front end that is a version older or newer they may be none here."""
    try:
        plain = zlib.decompressobj().decompress(packed, MAX_SETTINGS_BYTES)
        return msgspec.json.decode(plain, type=SessionConfig)
    except (zlib.error, msgspec.DecodeError):
        return None
