"""Work for a client who may leave: it ends when the connection does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from realtime.rest.problem import ClientGone

Result = TypeVar("Result")

LOOK_S = 0.25
"""How often it is looked whether the client is still there: the server tells nobody."""


async def while_connected(request: web.Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled and awaited when the client leaves.

    Raises:
        ClientGone: the client left first.
        Exception: what `work` raises.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
            if request.transport is None or request.transport.is_closing():
                raise ClientGone
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return task.result()
