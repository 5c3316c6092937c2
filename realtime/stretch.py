"""When something was worked at: from its first begin to its last end. Pure; moments come in.

A reply is one stretch of the language model and one of the voice, however many pieces it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Stretch:
    """Moments in seconds of the event loop's clock; None while they have not come."""

    begun_s: float | None = None
    first_s: float | None = None
    """When the first of it was there."""
    ended_s: float | None = None

    def begin(self, now_s: float) -> None:
        if self.begun_s is None:
            self.begun_s = now_s

    def bring(self, now_s: float) -> None:
        """There is more of it."""
        if self.first_s is None:
            self.first_s = now_s
        self.ended_s = now_s

    def clear(self) -> None:
        """It was for nothing."""
        self.begun_s = self.first_s = self.ended_s = None

    def end(self, now_s: float) -> None:
        self.ended_s = now_s

    @property
    def wait_s(self) -> float | None:
        """From its begin to the first of it."""
        if self.begun_s is None or self.first_s is None:
            return None
        return self.first_s - self.begun_s


@dataclass
class Making:
    """How a reply was made."""

    reply: Stretch = field(default_factory=Stretch)
    """The language model wrote."""
    speak: Stretch = field(default_factory=Stretch)
    """The voice spoke."""
