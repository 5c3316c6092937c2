"""Server-sent events: one JSON object each, and the line that OpenAI's streams end with."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from realtime.rest.problem import ClientGone

CONTENT_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
STALLED_S = 60.0
"""A client that takes nothing for so long is given up."""


def event(body: dict[str, Any]) -> bytes:
    """One event as bytes."""
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


async def begin(request: web.Request, content_type: str = CONTENT_TYPE) -> web.StreamResponse:
    """An answer that is sent piece by piece."""
    response = web.StreamResponse(
        headers={"Content-Type": content_type, "Cache-Control": "no-store"}
    )
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must not gather it
    await response.prepare(request)
    return response


async def send(response: web.StreamResponse, data: bytes) -> None:
    """Send a piece, no faster than the client reads.

    Raises:
        ClientGone: it has left, or reads nothing any more.
    """
    try:
        async with asyncio.timeout(STALLED_S):
            await response.write(data)
    except (ConnectionError, TimeoutError):
        raise ClientGone from None
