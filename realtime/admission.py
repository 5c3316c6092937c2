"""Who may open a session: a fixed number of places, and what the others are told. Pure.

A place is taken before a socket is upgraded and given back when its session is over, so two callers
who ask at once never both get the last one. The caller passes the clock's seconds in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Reason = Literal["saturated", "draining"]

RETRY_AFTER_S = 10
"""Told while no session has ended yet from which to estimate."""

MIN_RETRY_S, MAX_RETRY_S = 1, 60
RESTART_S = 5
"""Told while the server is shutting down: what comes after it is up again by then."""

NEWEST_WEIGHT = 0.2
"""Of the newest session's length in the mean that estimates are made of."""


@dataclass(frozen=True)
class Refusal:
    """Why nobody is let in now."""

    reason: Reason
    message: str
    retry_after_s: int

    def wire(self) -> dict[str, dict[str, str | None]]:
        """The body of the 503, in the form in which OpenAI's clients read errors."""
        error = {"message": self.message, "type": "server_error", "param": None}
        return {"error": {**error, "code": CODES[self.reason]}}


CODES = {"saturated": "max_sessions_reached", "draining": "shutting_down"}


@dataclass(frozen=True, eq=False)
class Place:
    """One caller's, from before the upgrade to the end of the session."""

    since_s: float


@dataclass
class Admission:
    """The places of one server. Not for threads: the event loop alone asks."""

    max_sessions: int
    draining: bool = False
    """True once the server is going away: nobody is let in any more."""
    refused: int = 0
    _taken: set[Place] = field(default_factory=set)
    _mean_s: float | None = None

    @property
    def open(self) -> int:
        """Places that are taken."""
        return len(self._taken)

    def refusal(self) -> Refusal | None:
        """What a caller who came now would be told; None if there is a place."""
        if self.draining:
            return Refusal("draining", "the server is shutting down; connect again soon", RESTART_S)
        if self.open < self.max_sessions:
            return None
        wait_s = self._wait_s()
        message = (
            f"all {self.max_sessions} places are taken: try again in {wait_s} s, or let the server "
            "take more with --max-sessions (BANTER_MAX_SESSIONS) if its machine can carry them"
        )
        return Refusal("saturated", message, wait_s)

    def enter(self, now_s: float) -> Place | Refusal:
        """A place, to be given back with `leave` whatever happens; or why there is none."""
        if refusal := self.refusal():
            self.refused += 1
            return refusal
        place = Place(now_s)
        self._taken.add(place)
        return place

    def leave(self, place: Place, now_s: float) -> None:
        """Give a place back, once."""
        self._taken.remove(place)
        lasted_s = now_s - place.since_s
        before_s = lasted_s if self._mean_s is None else self._mean_s
        self._mean_s = before_s + NEWEST_WEIGHT * (lasted_s - before_s)

    def _wait_s(self) -> int:
        """When a place is expected to become free: with all taken, that happens once in a mean
        session's length over their number."""
        if self._mean_s is None:
            return RETRY_AFTER_S
        expected_s = round(self._mean_s / self.max_sessions)
        return min(MAX_RETRY_S, max(MIN_RETRY_S, expected_s))
