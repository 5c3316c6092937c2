"""Keys for a short time: a web page is given one instead of a real key. Pure; time comes in.

A key opens sessions, and nothing else, until it expires, and brings the settings that it was made
with. Bound: `limit` keys that have not expired; at that, no more are made until one has. Only
digests are kept.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from realtime.session_config import SessionConfig

PREFIX = "ek_"
"""Clients in browsers tell these keys from real ones by it."""

MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 10, 7_200, 600
MAX_KEYS = 1_000


class TooManyKeys(Exception):
    """All places are taken; `seconds` until the first is free."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the next one expires in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Grant:
    """What a key stands for. `expires_at` is in seconds of Unix time."""

    expires_at: int
    config: SessionConfig


class EphemeralKeys:
    """Times are in seconds of Unix time."""

    def __init__(self, limit: int = MAX_KEYS) -> None:
        self._limit = limit
        self._grants: dict[bytes, Grant] = {}

    def mint(self, config: SessionConfig, *, seconds: int, now: int) -> tuple[str, Grant]:
        """A new key that opens sessions with these settings for so long.

        Raises:
            TooManyKeys: as many as may be are in use.
        """
        self._sweep(now)
        if len(self._grants) >= self._limit:
            raise TooManyKeys(min(g.expires_at for g in self._grants.values()) - now)
        key = PREFIX + secrets.token_hex(24)
        grant = Grant(now + seconds, config)
        self._grants[_digest(key)] = grant
        return key, grant

    def find(self, key: str, *, now: int) -> Grant | None:
        """What a key stands for; None if it was never made here or has expired."""
        grant = self._grants.get(_digest(key))
        return grant if grant and now < grant.expires_at else None

    def _sweep(self, now: int) -> None:
        self._grants = {d: g for d, g in self._grants.items() if now < g.expires_at}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
