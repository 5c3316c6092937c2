"""How long the stages of a pipeline take, by putting a clock around methods of its objects.

On a GPU the calls return before the work is done; there the clock waits for the device before and
after each call, so that the time is the stage's own. That costs what host and device would have
done at the same time: a run with such a clock tells shares, and one without tells speed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class StageClock:
    """Seconds and calls by stage; `wait` returns when the device has done all it was given."""

    def __init__(self, wait: Callable[[], None] | None = None) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._wait = wait or (lambda: None)

    def around(self, owner: Any, method: str, stage: str, *, on_host: bool = False) -> None:
        """From now on `owner.method` is timed as `stage`; `on_host` waits for nothing."""
        inner = getattr(owner, method)

        def timed(*args: Any, **given: Any) -> Any:
            with self.stage(stage, on_host=on_host):
                return inner(*args, **given)

        setattr(owner, method, timed)

    @contextmanager
    def stage(self, name: str, *, on_host: bool = False) -> Iterator[None]:
        """What is done while it is open."""
        wait = (lambda: None) if on_host else self._wait
        wait()
        begun_at = time.perf_counter()
        try:
            yield
        finally:
            wait()
            self.seconds[name] += time.perf_counter() - begun_at
            self.calls[name] += 1

    def clear(self) -> None:
        self.seconds.clear()
        self.calls.clear()


def shares(
    seconds: dict[str, float], wall_s: float, beside: tuple[str, ...] = ()
) -> dict[str, float]:
    """Percent of the wall time by stage, and `rest`: what is left of it, the host's gaps.

    Stages of `beside` ran on other threads at the same time, and leave the rest as it is.
    """
    if not wall_s:
        return {}
    inside = sum(s for name, s in seconds.items() if name not in beside)
    every = {**seconds, "rest": max(0.0, wall_s - inside)}
    return {name: round(100 * s / wall_s, 1) for name, s in every.items()}
