"""Notes when a model's stream was asked for, when the first of it came, and when the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from realtime.stretch import Stretch

Item = TypeVar("Item")


async def timed(stream: AsyncGenerator[Item, None], stretch: Stretch) -> AsyncGenerator[Item, None]:
    """The same stream. What its reader does between two items is not in `stretch` after the last
    of them, so a reader that lets it wait makes it no longer at its end."""
    now = asyncio.get_running_loop().time
    stretch.begin(now())
    async with aclosing(stream) as items:
        async for item in items:
            stretch.bring(now())
            yield item
    stretch.end(now())
