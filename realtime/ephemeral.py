"""Keys for a short time: a web page is given one instead of a real key. Pure; time comes in.

A key opens sessions, and nothing else, until it expires, and brings the settings that it was made
with. Bound: `limit` keys that have not expired; at that, no more are made until one has. Of a key
only its digest is kept, of its settings their bytes: as objects they would be many times as large.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import msgspec

from realtime.errors import ProtocolError
from realtime.keys import key_bytes
from realtime.session_config import SessionConfig

PREFIX = "ek_"
"""Clients in browsers tell these keys from real ones by it."""

MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 10, 7_200, 600
MAX_KEYS = 1_000
MAX_SETTINGS_BYTES = 64 * 1024
"""Of one key's settings, as JSON: a thousand of them are 64 MiB."""


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
        self._grants: dict[bytes, tuple[int, bytes]] = {}
        """By digest: until when, and the settings."""

    def mint(self, config: SessionConfig, *, seconds: int, now: int) -> tuple[str, Grant]:
        """A new key that opens sessions with these settings for so long.

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
        if len(self._grants) >= self._limit:
            raise TooManyKeys(min(until for until, _ in self._grants.values()) - now)
        key = PREFIX + secrets.token_hex(24)
        self._grants[_digest(key)] = now + seconds, settings
        return key, Grant(now + seconds, config)

    def find(self, key: str, *, now: int) -> Grant | None:
        """What a key stands for; None if it was never made here or has expired."""
        until, settings = self._grants.get(_digest(key), (0, b""))
        if now >= until:
            return None
        return Grant(until, msgspec.json.decode(settings, type=SessionConfig))

    def _sweep(self, now: int) -> None:
        self._grants = {d: kept for d, kept in self._grants.items() if now < kept[0]}


def _digest(key: str) -> bytes:
    return hashlib.sha256(key_bytes(key)).digest()
