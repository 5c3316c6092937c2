"""An OpenAI-compatible chat endpoint that fails on cue: each test scripts what it does.

`script` holds one answer for each request, the last one for all that follow. Nothing here waits for
a time: an answer that should never come waits until the client hangs up, and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[["Endpoint", web.Request], Awaitable[web.StreamResponse]]
Step = Callable[["Endpoint", web.Request], Awaitable[None]]
"""Something that happens in the middle of a stream."""


class Endpoint:
    """Use `serve`; then `url` is its address, and `requests` are the bodies that came."""

    def __init__(self) -> None:
        self.script: list[Answer] = [stream(words("All is well."), finish())]
        self.models: Answer = status(200, {"object": "list", "data": []})
        self.requests: list[dict[str, Any]] = []
        self.callers: list[object] = []
        """The client's address and port of each request: the same for one connection."""
        self.keys: list[str] = []
        self.waiting = asyncio.Event()
        """An answer got to where it waits."""
        self.hung_up = asyncio.Event()
        """The client closed its connection while an answer waited."""
        self.url = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Endpoint]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        async with TestServer(app) as server:  # a client that hangs up cancels its handler
            self.url = str(server.make_url("/v1"))
            yield self

    async def wait_for_ever(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers["Authorization"])
        assert request.transport is not None
        self.callers.append(request.transport.get_extra_info("peername"))
        return await self.script[min(len(self.requests), len(self.script)) - 1](self, request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return await self.models(self, request)


# --- answers ------------------------------------------------------------------------------------


def status(code: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """One that is not streamed; a text is sent as a page, anything else as JSON."""

    async def answer(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(status=code, text=body, content_type="text/html", headers=headers)
        return web.json_response(body, status=code, headers=headers)

    return answer


def stream(*parts: Any, code: int = 200) -> Answer:
    """Server-sent events: dictionaries as data, bytes as they are, steps are taken.

    The connection is closed properly after the last part, without a `[DONE]`.
    """

    async def answer(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=code, headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            if callable(part):
                await part(endpoint, request)
            elif isinstance(part, bytes):
                await response.write(part)
            else:
                await response.write(f"data: {json.dumps(part)}\n\n".encode())
        return response

    return answer


async def nothing(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    """Not even the status: the request is taken and never answered."""
    await endpoint.wait_for_ever()
    raise AssertionError("unreachable")


async def hang_up(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
    """The connection is cut without an answer."""
    await cut(endpoint, request)
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


# --- parts of a stream --------------------------------------------------------------------------

DONE = b"data: [DONE]\n\n"


def words(text: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with text, or with other fields of a delta."""
    delta = fields if text is None else {"content": text, **fields}
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def finish(reason: str = "stop") -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


async def stuck(endpoint: Endpoint, request: web.Request) -> None:
    await endpoint.wait_for_ever()


async def cut(endpoint: Endpoint, request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
