"""Waiting without polling: one task tells that something changed, others look whether it is enough.

Wall time is seconds of time.perf_counter() everywhere in the benchmarks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class News:
    """Wakes everyone who waits, each time that something happens; ends for all of them at once."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self.ended: str | None = None
        """Why nothing will happen any more, once that is so."""

    def tell(self) -> None:
        """Something happened: let all who wait look again."""
        told, self._next = self._next, asyncio.Event()
        told.set()

    def end(self, reason: str) -> None:
        """Nothing more will happen; who waits for something gets a ConnectionError."""
        self.ended = self.ended or reason
        self.tell()

    async def until(self, look: Callable[[], Found | None], timeout_s: float) -> Found | None:
        """What `look` finds, as soon as it is not None; None when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while (found := look()) is None:
                    if self.ended is not None:
                        raise ConnectionError(f"the call is over: {self.ended}")
                    await self._next.wait()
                return found
        except TimeoutError:
            return None
