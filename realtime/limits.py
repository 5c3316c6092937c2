"""What one key, one address, one session and all of them together may take. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from realtime.addresses import Network


@dataclass(frozen=True)
class Limits:
    """0 is no limit."""

    sessions_per_key: int = 0
    sessions_per_address: int = 16
    waiting_s: float = 60.0
    """Seconds of live audio that all engines together may have waiting when a session begins."""

    idle_s: float = 900.0
    session_s: float = 3_600.0
    proxies: tuple[Network, ...] = ()
    """Reverse proxies whose `X-Forwarded-For` counts."""
