"""When an engine that was lost is begun anew, and when it is not any more. Pure: time is handed in.

The first time at once, then after pauses that double. An engine that is lost more often than that
has a cause that a fresh model does not mend: a full disk, a broken driver, a machine that is too
small.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MOST_RESTARTS = 5
WITHIN_S = 600.0
"""An engine that is lost for the sixth time within ten minutes is given up."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass
class Restarts:
    """Of one engine. Ask `pause_s` each time that it is lost."""

    most: int = MOST_RESTARTS
    within_s: float = WITHIN_S
    _begun_s: deque[float] = field(default_factory=deque)

    def pause_s(self, now_s: float) -> float | None:
        """How long to wait before the next restart; None: there is to be none."""
        while self._begun_s and now_s - self._begun_s[0] >= self.within_s:
            self._begun_s.popleft()
        before = len(self._begun_s)
        if before >= self.most:
            return None
        self._begun_s.append(now_s)
        if not before:
            return 0.0
        return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (before - 1)))
