"""A circuit breaker before an endpoint that may be down. Pure: time is handed in.

closed      every request goes through; `LIMIT` failures in a row open it
open        none does, for `pause_s`: who asks is told at once, and not after a time-out
half open   one request tries, and the next once that is being answered; a whole answer closes
            the breaker, a failure opens it again for twice as long
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]

LIMIT = 3
"""Failures in a row: one may be chance, though a retry came before it; three were three callers."""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, eq=False)
class Attempt:
    """A request that was let through, to be told of at its end: `succeeded`, `failed` or `left`."""

    opened: int
    """How often the breaker had opened before."""
    trial: bool
    """It was let through to try."""


@dataclass
class Breaker:
    """Used on one event loop."""

    limit: int = LIMIT
    pause_s: float = FIRST_PAUSE_S
    failures: int = 0
    """In a row."""
    opened: int = 0
    """How often it has opened."""
    _opened_s: float | None = None
    _trial: Attempt | None = None

    def state(self, now_s: float) -> State:
        """`half_open` once the pause is over, until the one that tries has come back."""
        if self._opened_s is None:
            return "closed"
        return "half_open" if now_s - self._opened_s >= self.pause_s else "open"

    def lets_in(self, now_s: float) -> bool:
        """Whether a request that came now would be let through."""
        state = self.state(now_s)
        return state == "closed" or (state == "half_open" and self._trial is None)

    def enter(self, now_s: float) -> Attempt | None:
        """A request's way through; None where there is none now."""
        if not self.lets_in(now_s):
            return None
        attempt = Attempt(self.opened, trial=self._opened_s is not None)
        if attempt.trial:
            self._trial = attempt
        return attempt

    def begun(self, attempt: Attempt) -> None:
        """The endpoint answers, to whatever end: the next one may try beside it."""
        self.left(attempt)

    def succeeded(self, attempt: Attempt) -> None:
        """The endpoint answered to the end. What was begun before the breaker opened says nothing
        of what came after."""
        if attempt.opened != self.opened:
            return
        self.failures, self.pause_s = 0, FIRST_PAUSE_S
        self._opened_s = self._trial = None

    def failed(self, attempt: Attempt, now_s: float) -> None:
        """The endpoint did not answer, or broke off."""
        self.failures += 1
        if attempt.opened != self.opened:
            return
        if attempt.trial and self._opened_s is not None:
            self.pause_s = min(LONGEST_PAUSE_S, 2 * self.pause_s)
            self._open(now_s)
        elif self._opened_s is None and self.failures >= self.limit:
            self._open(now_s)

    def left(self, attempt: Attempt) -> None:
        """The caller did not wait for the answer, or it says nothing about the endpoint."""
        if attempt is self._trial:
            self._trial = None

    def wait_s(self, now_s: float) -> float:
        """Until somebody may try; 0 while anybody may."""
        if self._opened_s is None:
            return 0.0
        return max(0.0, self._opened_s + self.pause_s - now_s)

    def _open(self, now_s: float) -> None:
        self._opened_s, self._trial = now_s, None
        self.opened += 1
