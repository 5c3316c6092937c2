"""The silence at both ends of a line, taken off while the line is still being made.

Silence before the first word is latency that a person hears; silence after the last is a pause that
nobody asked for. What is silent may be the end, so it is held back until something audible follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime.audio import AUDIBLE_LEVEL, Float32


@dataclass
class Edges:
    """One line. Keeps `head` samples before the first audible one and `tail` after the last.

    Silence inside is kept; a line without anything audible comes out empty.
    """

    head: int
    tail: int
    level: float = AUDIBLE_LEVEL
    _held: Float32 | None = None
    """Silence that is not yet known to be inside."""
    _begun: bool = False

    def push(self, sound: Float32, *, last: bool) -> Float32:
        """Take the next samples; get those that are certain to be heard."""
        if self._held is not None:
            sound = np.concatenate((self._held, sound))
        loud = np.flatnonzero(np.abs(sound) > self.level)
        if not len(loud):
            return self._silence(sound, last)
        start = 0 if self._begun else max(0, int(loud[0]) - self.head)
        end = min(len(sound), int(loud[-1]) + 1 + self.tail)
        self._begun = True
        # within the tail it goes out at once: what follows may be long in coming
        self._held = sound[end:]
        return sound[start:end]

    def _silence(self, sound: Float32, last: bool) -> Float32:
        if not self._begun:
            self._held = sound[max(0, len(sound) - self.head) :]
        elif last:
            # `tail` samples have gone out already, or as many of them as there were
            self._held = None
        else:
            self._held = sound
        return sound[:0]
