"""How long a session may last, and how long with nobody in it. Pure: time is handed in.

A session ends when its whole time is over, or when for a while nobody spoke and the client asked
for nothing. Before each end there is one warning. Audio without speech, what the server says itself
and pings keep nobody in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from realtime import server_events as told
from realtime.outbox import Outgoing

WARN_S = 60.0
"""So long before the end; of short limits a quarter of them."""

FOREVER_S = 86_400.0
"""Told as the end of sessions that have none."""

Reason = Literal["idle", "expired"]


class SessionWarning(told.ServerEvent, tag="banter.session.warning", kw_only=True):
    """The session ends in `seconds`, unless, where it is `idle`, something happens.

    OpenAI has no such event, so it is none of `SERVER_EVENTS`: strict clients never see it.
    """

    reason: Reason
    seconds: int


@dataclass(frozen=True)
class Warned:
    """What a client is told before the end."""

    reason: Reason
    seconds: int


@dataclass(frozen=True)
class Over:
    """The session ends now."""

    reason: Reason
    message: str


@dataclass
class Lifetime:
    """Of one session; all times in seconds of one clock. A limit of 0 is none."""

    begun_s: float
    session_s: float
    idle_s: float
    _active_s: float = field(init=False)
    _warned: set[Reason] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._active_s = self.begun_s

    def active(self, now_s: float) -> None:
        """Somebody spoke, or the client asked for something."""
        self._active_s = now_s
        self._warned.discard("idle")

    def sent(self, item: Outgoing, now_s: float) -> None:
        """Something was sent: some of it tells that somebody speaks."""
        if isinstance(item, told.SpeechStarted | told.SpeechStopped):
            self.active(now_s)

    def next_s(self, now_s: float) -> float | None:
        """In how many seconds to ask again; None for never."""
        moments = []
        for reason, limit_s, end_s in self._ends():
            warned = reason in self._warned
            moments.append(end_s if warned else end_s - _warning_s(limit_s))
        return max(0.0, min(moments) - now_s) if moments else None

    def due(self, now_s: float) -> Warned | Over | None:
        """What has to happen now, if anything."""
        for reason, limit_s, end_s in self._ends():
            if now_s >= end_s:
                return Over(reason, _over(reason, limit_s))
            if now_s >= end_s - _warning_s(limit_s) and reason not in self._warned:
                self._warned.add(reason)
                return Warned(reason, max(1, round(end_s - now_s)))
        return None

    def _ends(self) -> list[tuple[Reason, float, float]]:
        ends: list[tuple[Reason, float, float]] = []
        if self.session_s:
            ends.append(("expired", self.session_s, self.begun_s + self.session_s))
        if self.idle_s:
            ends.append(("idle", self.idle_s, self._active_s + self.idle_s))
        return ends


def _warning_s(limit_s: float) -> float:
    return min(WARN_S, limit_s / 4)


def _over(reason: Reason, limit_s: float) -> str:
    minutes = f"{limit_s / 60:g} minute{'' if limit_s == 60 else 's'}"
    if reason == "idle":
        return f"nothing was said and nothing asked for in {minutes}"
    return f"the session has lasted {minutes}, as long as one may"
