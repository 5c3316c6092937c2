"""An event loop whose clock jumps: where nothing is ready it is at once the time of what is next.

Sessions that take minutes are over in milliseconds, and every run has the same order. For tests
whose parts all live on the loop: nothing waits for a thread or a network here.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Clock(selectors.SelectSelector):
    """Waiting takes no time, and time passes all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is left that could happen")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class TimelessLoop(asyncio.SelectorEventLoop):
    """`time` is seconds since the loop was made."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def run_timeless(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on a loop of this kind."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(work)
