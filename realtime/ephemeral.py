"""Keys for a short time: a web page is given one instead of a real key. Pure; time comes in.

A key opens sessions, and nothing else, until it expires, so many at a time, and brings the settings
that it was made with. It dies with the real key that made it. One process keeps them itself
(`EphemeralKeys`); several front ends share a secret instead, and keep none (`signed_keys`).

Bound of those that are kept: `limit` keys that have not expired, half of them of one real key; at
that, no more are made until one has. Of a key only its digest is kept, of its settings their bytes:
as objects they would be many times as large.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import msgspec

from realtime.errors import ProtocolError
from realtime.keyring import digest_of
from realtime.session_config import SessionConfig

PREFIX = "ek_"
"""Clients in browsers tell these keys from real ones by it."""

MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 10, 7_200, 600
MAX_KEYS = 1_000
MAX_SETTINGS_BYTES = 64 * 1024
"""Of one key's settings, as JSON: a thousand of them are 64 MiB."""


class TooManyKeys(Exception):
    """All places, or all of one real key, are taken; `seconds` until the first is free."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the next one expires in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Grant:
    """What a key stands for. `expires_at` is in seconds of Unix time."""

    expires_at: int
    config: SessionConfig
    ticket: str = ""
    """The key's name here, which is no secret."""
    parent: bytes = b""
    """The digest of the real key that made it."""
    sessions: int = 1
    """At a time."""


class ShortLived(Protocol):
    """Makes such keys and knows them again."""

    def mint(
        self,
        config: SessionConfig,
        *,
        seconds: int,
        now: int,
        parent: bytes = b"",
        sessions: int = 1,
    ) -> tuple[str, Grant]: ...

    def find(self, key: str, *, now: int) -> Grant | None: ...

    def forget(self, parents: Collection[bytes]) -> None: ...


@dataclass(frozen=True)
class _Kept:
    until: int
    settings: bytes
    parent: bytes
    sessions: int


class EphemeralKeys:
    """Times are in seconds of Unix time."""

    def __init__(self, limit: int = MAX_KEYS) -> None:
        self._limit = limit
        self._grants: dict[bytes, _Kept] = {}

    def mint(
        self,
        config: SessionConfig,
        *,
        seconds: int,
        now: int,
        parent: bytes = b"",
        sessions: int = 1,
    ) -> tuple[str, Grant]:
        """A new key that opens so many sessions at a time with these settings, for so long.

        Raises:
            TooManyKeys: as many as may be are in use.
            ProtocolError: the settings are too large.
        """
        settings = msgspec.json.encode(config)
        if len(settings) > MAX_SETTINGS_BYTES:
            raise ProtocolError(
                f"the session's settings have {len(settings)} bytes; at most {MAX_SETTINGS_BYTES} "
                "are kept with a key",
                code="too_large",
                param="session",
            )
        self._sweep(now)
        everybody = list(self._grants.values())
        siblings = [kept for kept in everybody if parent and kept.parent == parent]
        for taken, limit in ((everybody, self._limit), (siblings, self._limit // 2)):
            if len(taken) >= max(1, limit):
                raise TooManyKeys(min(kept.until for kept in taken) - now)
        key = PREFIX + secrets.token_hex(24)
        digest = digest_of(key)
        self._grants[digest] = _Kept(now + seconds, settings, parent, sessions)
        return key, Grant(now + seconds, config, ticket_of(digest), parent, sessions)

    def find(self, key: str, *, now: int) -> Grant | None:
        """What a key stands for; None if it was never made here or has expired."""
        digest = digest_of(key)
        kept = self._grants.get(digest)
        if kept is None or now >= kept.until:
            return None
        config = msgspec.json.decode(kept.settings, type=SessionConfig)
        return Grant(kept.until, config, ticket_of(digest), kept.parent, kept.sessions)

    def forget(self, parents: Collection[bytes]) -> None:
        """The keys that these made open nothing any more."""
        self._grants = {d: kept for d, kept in self._grants.items() if kept.parent not in parents}

    def _sweep(self, now: int) -> None:
        self._grants = {d: kept for d, kept in self._grants.items() if now < kept.until}


def ticket_of(digest: bytes) -> str:
    """What a key with this digest is called in counts and logs."""
    return digest.hex()[:16]
