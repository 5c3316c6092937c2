"""What a model makes, kept as it comes: read now by one reader, and from its beginning by the next.

A task of its own pumps the model's stream into a buffer, so that work which nobody may need yet
goes on while it is decided. The buffer is bounded: what is `ahead` of the furthest reader waits in
the model. An error is kept too, and raised to whoever reads up to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

Own = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Script(Generic[Item]):
    """`own` makes the task that pumps; whoever owns it awaits it. All on the event loop."""

    def __init__(self, stream: AsyncGenerator[Item, None], *, ahead: int, own: Own) -> None:
        self._items: list[Item] = []
        self._ahead, self._read_to = ahead, 0
        self._error: Exception | None = None
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._begun = time.perf_counter()
        self._ended: float | None = None
        self._pumping = own(self._pump(stream))
        self._pumping.add_done_callback(self._over)

    @property
    def begun(self) -> bool:
        """True as soon as there is something to read."""
        return bool(self._items)

    @property
    def unread(self) -> bool:
        """There is more than anybody has read."""
        return len(self._items) > self._read_to

    def all_read(self, count: int) -> bool:
        """Whether it has ended and there were no more than `count` items."""
        return self._ended is not None and self._error is None and count >= len(self._items)

    @property
    def failed(self) -> bool:
        """True where the stream broke off."""
        return self._error is not None

    @property
    def seconds(self) -> float:
        """How long it has occupied its model."""
        return (self._ended or time.perf_counter()) - self._begun

    def close(self) -> None:
        """End the model's stream; what was read stays read, and readers come to the end."""
        self._pumping.cancel()

    async def read(self, start: int = 0) -> AsyncGenerator[Item, None]:
        """All of it from the beginning, or without the first `start` items, as it comes.

        Raises:
            Exception: what the stream raised, at the place where it did.
        """
        at = start
        while True:
            while at < len(self._items):
                at += 1
                if at > self._read_to:
                    self._read_to = at
                    self._room.set()
                yield self._items[at - 1]
            if self._error:
                raise self._error
            if self._ended is not None:
                return
            self._news.clear()
            await self._news.wait()

    async def _pump(self, stream: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(stream):
                async for item in stream:
                    self._items.append(item)
                    self._news.set()
                    while len(self._items) - self._read_to >= self._ahead:
                        self._room.clear()
                        await self._room.wait()
        except Exception as error:
            self._error = error

    def _over(self, pumping: asyncio.Task[None]) -> None:
        self._ended = time.perf_counter()
        self._news.set()
