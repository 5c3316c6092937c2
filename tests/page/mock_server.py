"""A server that says what a test tells it to say, to see how the page behaves.

It speaks the page's side of the protocol (events as JSON, reply audio in binary frames) and
records all that the page sends. It hears and thinks nothing; the real server has its own tests.
"""

import asyncio
import json
import math
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

STATIC = Path(__file__).parents[2] / "static"
CONTENT_SECURITY_POLICY = "default-src 'self'"
SAMPLE_RATE_HZ = 24_000
FRAME_MS = 100

Event = dict[str, Any]


def tone(milliseconds: int, hertz: float = 220.0, loudness: float = 0.3) -> bytes:
    """PCM16 at 24 kHz that swells and ebbs four times a second, as speech does."""
    count = SAMPLE_RATE_HZ * milliseconds // 1000
    seconds = (i / SAMPLE_RATE_HZ for i in range(count))
    samples = (
        loudness * (0.6 - 0.4 * math.cos(8 * math.pi * t)) * math.sin(2 * math.pi * hertz * t)
        for t in seconds
    )
    return struct.pack(f"<{count}h", *(round(sample * 32_767) for sample in samples))


def audio_frame(response_number: int, offset_samples: int, pcm: bytes) -> bytes:
    return struct.pack("<BBHII", 1, 0, 0, response_number, offset_samples) + pcm


def frames(response_number: int, pcm: bytes) -> Iterator[bytes]:
    """The frames of a whole reply, FRAME_MS each."""
    step = SAMPLE_RATE_HZ * FRAME_MS // 1000 * 2
    for start in range(0, len(pcm), step):
        yield audio_frame(response_number, start // 2, pcm[start : start + step])


class MockServer:
    """Serves the page and one socket at a time."""

    def __init__(self) -> None:
        self.url = ""
        self.greets = True  # False: takes the call and stays silent
        self._closing: asyncio.Task[bool] | None = None
        self.refuses = False  # True: answers the upgrade with 503
        self.refusal: Event | None = None  # what /ready says then; None: there is no /ready
        self.retry_after_s: int | None = None  # told with it
        self.key: str | None = None  # that the server wants
        self.sessions = 0  # sockets that were opened
        self.received: list[Event] = []
        self.audio_bytes = 0
        self.served_bytes: dict[str, int] = {}  # path -> length of what was served there
        self.close_code: int | None = None  # of the last socket, once the page has left
        self._socket: web.WebSocketResponse | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._news = asyncio.Condition()
        self._event_count = 0

    # What a test says

    async def say(self, type_: str, **fields: Any) -> None:
        assert self._socket is not None
        self._event_count += 1
        event = {"type": type_, "event_id": f"event_{self._event_count}", **fields}
        await self._socket.send_str(json.dumps(event))

    async def send_frame(self, frame: bytes) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(frame)

    async def close(self, code: int, reason: str = "") -> None:
        assert self._socket is not None
        self._closing = asyncio.create_task(self._socket.close(code=code, message=reason.encode()))
        await self._closing

    async def vanish(self) -> None:
        """Ends the connection without a farewell, as a killed process does."""
        assert self._socket is not None
        assert self._transport is not None
        self._transport.abort()

    # What a test waits for

    async def called(self) -> None:
        await self._until(lambda: self._socket is not None)

    async def called_again(self, sessions: int = 2) -> None:
        await self._until(lambda: self.sessions >= sessions and self._socket is not None)

    async def hears_audio(self, least_bytes: int) -> None:
        await self._until(lambda: self.audio_bytes >= least_bytes)

    async def receives(self, type_: str, count: int = 1) -> Event:
        """The first event of that type, or one after it; waits for it."""
        await self._until(lambda: len(self.told(type_)) >= count)
        return self.told(type_)[count - 1]

    def told(self, type_: str) -> list[Event]:
        """All events of that type so far."""
        return [event for event in self.received if event["type"] == type_]

    async def left(self) -> int | None:
        """Waits for the page to close its socket; the close code."""
        await self._until(lambda: self._socket is None)
        return self.close_code

    async def _until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(is_true)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    # What the page sees

    async def index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def before_response(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        if response.content_length:
            self.served_bytes[request.path] = response.content_length

    async def ready(self, request: web.Request) -> web.StreamResponse:
        if self.key is not None:
            return web.json_response({"status": "ready"})
        if self.refusal is None:
            raise web.HTTPNotFound
        wait = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return web.json_response(self.refusal, status=503, headers=wait)

    async def models(self, request: web.Request) -> web.StreamResponse:
        """A door with a lock: what is behind it does not matter here."""
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise web.HTTPUnauthorized
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        assert request.query_string == "audio=binary"
        if self.refuses:
            raise web.HTTPServiceUnavailable
        protocols = request.headers.get("Sec-WebSocket-Protocol", "")
        if self.key is not None and not protocols.endswith(f".{self.key}"):
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse(protocols=("realtime",), compress=False)
        await socket.prepare(request)
        self._socket, self._transport = socket, request.transport
        self.sessions += 1
        await self._tell()
        if self.greets:
            await self.say("session.created", session={"type": "realtime", "id": "sess_1"})
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.audio_bytes += len(message.data)
            else:
                self.received.append(json.loads(message.data))
            await self._tell()
        if self._closing:  # a handler that ends sooner cuts the farewell off
            await asyncio.wait({self._closing})
        self.close_code = socket.close_code
        if self._socket is socket:  # a page that has lost the connection may have called again
            self._socket = self._closing = None
        await self._tell()
        return socket


@asynccontextmanager
async def running_mock() -> AsyncIterator[MockServer]:
    mock = MockServer()
    app = web.Application()
    app.on_response_prepare.append(mock.before_response)
    app.router.add_get("/", mock.index)
    app.router.add_static("/static/", STATIC)
    app.router.add_get("/v1/realtime", mock.realtime)
    app.router.add_get("/ready", mock.ready)
    app.router.add_post("/v1/models", mock.models)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    mock.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield mock
    finally:
        await runner.cleanup()
