"""A share of an engine's time for work that can be left out: a bucket of seconds. Pure.

It fills by `share` of the time that passes, up to `burst_s`, and every second that the engine spent
on such work is taken out. So the first words of a caller come quickly, and in the long run no more
than the share is spent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Allowance:
    """Times are seconds of any one clock; `spent_s` counts from the engine's start."""

    share: float
    burst_s: float
    left_s: float = 0.0
    _at_s: float | None = None
    _spent_s: float = 0.0

    def covers(self, cost_s: float, *, at_s: float, spent_s: float) -> bool:
        """Whether work that will take so long may be begun now. What costs more than a burst
        never may: such an engine is too slow for it."""
        if self._at_s is None:
            self.left_s = self.burst_s
        else:
            self.left_s = min(self.burst_s, self.left_s + self.share * (at_s - self._at_s))
        self._at_s = at_s
        self.left_s -= spent_s - self._spent_s
        self._spent_s = spent_s
        return self.left_s >= cost_s
