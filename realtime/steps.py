"""How long each step of a start took, for one line of the log and for `/status`."""

from __future__ import annotations

import time


class Steps:
    """Begins with the first step; `done` ends one and begins the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begun = self._last = time.perf_counter()

    def done(self, step: str) -> None:
        """The step that began with the last one's end is over."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self._last, 4)
        self._last = now

    @property
    def total_s(self) -> float:
        """From the first step's begin to the last one's end."""
        return self._last - self._begun

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.2f} s" for step, seconds in self.seconds.items())
