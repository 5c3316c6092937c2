"""Who may open a session: a fixed number of places, and what the others are told. Pure.

A place is taken before a socket is upgraded and given back when its session is over, so two callers
who ask at once never both get the last one. The caller passes the clock's seconds in.

In this order a caller is refused because the server goes away, because its key, its key for a short
time or its address has as many sessions as it may, because too much waits for the engines, because
all places are taken, or because what is left of them is for other keys (`shares.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from realtime.shares import Shares

Reason = Literal[
    "saturated", "draining", "unavailable", "busy", "share", "key", "ticket", "address"
]

RETRY_AFTER_S = 10
"""Told while no session has ended yet from which to estimate."""

MIN_RETRY_S, MAX_RETRY_S = 1, 60
RESTART_S = 5
"""Told while the server is shutting down: what comes after it is up again by then."""

BUSY_S = 5
"""Told while too much waits for the engines: they work that off in seconds, or are lost."""

MENDED_S = 5
"""Told while an engine is begun anew."""

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


CODES = {
    "saturated": "max_sessions_reached",
    "draining": "shutting_down",
    "unavailable": "engine_unavailable",
    "busy": "engines_busy",
    "share": "fair_share_reached",
    "key": "key_sessions_reached",
    "ticket": "client_secret_in_use",
    "address": "address_sessions_reached",
}


@dataclass(frozen=True)
class Visitor:
    """Who asks for a place. What is empty is not counted, and a limit of 0 is none."""

    key: str = ""
    key_limit: int = 0
    ticket: str = ""
    """A key for a short time."""
    ticket_limit: int = 0
    address: str = ""
    address_limit: int = 0


@dataclass(frozen=True, eq=False)
class Place:
    """One caller's, from before the upgrade to the end of the session."""

    since_s: float
    visitor: Visitor = field(default_factory=Visitor)


@dataclass
class Admission:
    """The places of one server. Not for threads: the event loop alone asks.

    `waiting_s` tells the seconds of audio that wait for the engines, `keys` how many keys there are
    that may open sessions.
    """

    max_sessions: int
    draining: bool = False
    """True once the server is going away: nobody is let in any more."""
    outage: str = ""
    """Why no turn can be answered now, as long as an engine is down that every turn needs."""
    elsewhere: Callable[[], str] = lambda: ""
    """The same of engines on other machines."""
    refused: int = 0
    max_waiting_s: float = 0.0
    waiting_s: Callable[[], float] = lambda: 0.0
    keys: Callable[[], int] = lambda: 0
    _taken: set[Place] = field(default_factory=set)
    _mean_s: float | None = None
    _shares: Shares = field(default_factory=Shares)

    @property
    def open(self) -> int:
        """Places that are taken."""
        return len(self._taken)

    def held(self) -> Counter[str]:
        """The places of each key that has some."""
        return Counter(place.visitor.key for place in self._taken if place.visitor.key)

    def refusal(self) -> Refusal | None:
        """What any caller who came now would be told; None if there is a place."""
        if self.draining:
            return Refusal("draining", "the server is shutting down; connect again soon", RESTART_S)
        if outage := self.outage or self.elsewhere():
            return Refusal("unavailable", f"{outage}; connect again soon", MENDED_S)
        if self.max_waiting_s and self.waiting_s() > self.max_waiting_s:
            message = (
                "too much audio is waiting to be worked on, so that a new call would be slow and "
                f"slow down the others: try again in {BUSY_S} s"
            )
            return Refusal("busy", message, BUSY_S)
        if self.open < self.max_sessions:
            return None
        wait_s = self._wait_s(self.max_sessions)
        message = (
            f"all {self.max_sessions} places are taken: try again in {wait_s} s, or let the server "
            "take more with --max-sessions (BANTER_MAX_SESSIONS) if its machine can carry them"
        )
        return Refusal("saturated", message, wait_s)

    def enter(self, now_s: float, visitor: Visitor | None = None) -> Place | Refusal:
        """A place, to be given back with `leave` whatever happens; or why there is none."""
        visitor = visitor or Visitor()
        refusal = None if self.draining else self._own_refusal(visitor)
        refusal = refusal or self._common_refusal(visitor, now_s)
        if refusal:
            self.refused += 1
            return refusal
        self._shares.entered(visitor.key)
        place = Place(now_s, visitor)
        self._taken.add(place)
        return place

    def leave(self, place: Place, now_s: float) -> None:
        """Give a place back, once."""
        self._taken.remove(place)
        lasted_s = now_s - place.since_s
        before_s = lasted_s if self._mean_s is None else self._mean_s
        self._mean_s = before_s + NEWEST_WEIGHT * (lasted_s - before_s)

    def _own_refusal(self, visitor: Visitor) -> Refusal | None:
        """A limit that this caller has reached, whatever the others do."""
        inside = [place.visitor for place in self._taken]
        if 0 < visitor.key_limit <= _count(visitor.key, [each.key for each in inside]):
            told = f"the key '{visitor.key}' has {visitor.key_limit} sessions, as many as it may"
            return self._own("key", told, visitor.key_limit)
        if 0 < visitor.ticket_limit <= _count(visitor.ticket, [each.ticket for each in inside]):
            told = (
                f"this client secret has {visitor.ticket_limit} open already, as many as it may; "
                "make another, or one with a higher 'sessions'"
            )
            return self._own("ticket", told, visitor.ticket_limit)
        if 0 < visitor.address_limit <= _count(visitor.address, [each.address for each in inside]):
            told = (
                f"your address has {visitor.address_limit} sessions, as many as it may "
                "(--sessions-per-address, BANTER_SESSIONS_PER_ADDRESS)"
            )
            return self._own("address", told, visitor.address_limit)
        return None

    def _own(self, reason: Reason, told: str, limit: int) -> Refusal:
        wait_s = self._wait_s(limit)
        return Refusal(reason, f"{told}: end one, or try again in {wait_s} s", wait_s)

    def _common_refusal(self, visitor: Visitor, now_s: float) -> Refusal | None:
        """What there is not enough of for everybody."""
        refusal = self.refusal()
        if refusal is None and visitor.key and (known := self.keys()) > 1:
            refusal = self._share_refusal(visitor.key, known, now_s)
        if refusal and refusal.reason in ("saturated", "share") and visitor.key:
            self._shares.refused(visitor.key, now_s)
        return refusal

    def _share_refusal(self, key: str, known: int, now_s: float) -> Refusal | None:
        held, places = self.held(), self.max_sessions
        if self._shares.admits(key, held, places=places, known=known, now_s=now_s):
            return None
        wait_s = self._wait_s(places)
        message = (
            f"the key '{key}' has its share of the {places} places, and the few that are free are "
            f"for other keys: try again in {wait_s} s"
        )
        return Refusal("share", message, wait_s)

    def _wait_s(self, places: int) -> int:
        """When one of these places is expected to become free: with all taken, that happens once in
        a mean session's length over their number."""
        if self._mean_s is None:
            return RETRY_AFTER_S
        expected_s = round(self._mean_s / places)
        return min(MAX_RETRY_S, max(MIN_RETRY_S, expected_s))


def _count(name: str, names: list[str]) -> int:
    return names.count(name) if name else 0
