"""The HTTP side: routes, what they share, and how it is closed.

`/health` answers a prober with exactly two keys; everything else that is worth knowing is in
`/status`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from aiohttp import WSCloseCode, web

from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.runtime import Runtime
from realtime.session import Session
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.websocket import HEARTBEAT_S, MAX_MESSAGE_BYTES, serve

log = logging.getLogger("banter.server")

LAG_PROBE_S = 0.05
CLOSE_TIMEOUT_S = 5.0
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Callers:
    """The sockets that are open now."""

    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    served: int = 0


RUNTIME = web.AppKey("runtime", Runtime)
METRICS = web.AppKey("metrics", Metrics)
CALLERS = web.AppKey("callers", Callers)
CONFIG = web.AppKey("config", SessionConfig)
MANNERS = web.AppKey("manners", Manners)
STARTED = web.AppKey("started", float)


def static_folder() -> Path:
    """The page's files: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).parent
    packed = here / "static"
    return packed if packed.is_dir() else here.parent / "static"


def make_app(
    runtime: Runtime, metrics: Metrics, config: SessionConfig, manners: Manners
) -> web.Application:
    """The application around engines that are loaded and started."""
    app = web.Application()
    app[RUNTIME], app[METRICS], app[CONFIG] = runtime, metrics, config
    app[MANNERS] = manners
    app[CALLERS], app[STARTED] = Callers(), time.time()
    app.router.add_get("/", page)
    app.router.add_get("/health", health)
    app.router.add_get("/status", status)
    app.router.add_get("/v1/realtime", realtime)
    app.router.add_get("/realtime", realtime)
    app.router.add_static("/static", static_folder())
    app.on_response_prepare.append(_page_headers)
    app.on_shutdown.append(_close_sockets)
    app.cleanup_ctx.append(_watch_lag)
    return app


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(static_folder() / "index.html")


async def health(request: web.Request) -> web.Response:
    """Two keys and nothing else: load balancers and rental platforms compare it."""
    alive = request.app[RUNTIME].alive()
    models = {"tts": alive["voice"], "whisper": alive["whisper"]}
    ok = all(models.values())
    body = {"status": "ok" if ok else "error", "models": models}
    return web.Response(
        body=msgspec.json.encode(body), status=200 if ok else 503, content_type="application/json"
    )


async def status(request: web.Request) -> web.Response:
    app = request.app
    metrics = app[METRICS]
    return web.json_response(
        {
            "version": _version(),
            "uptime_s": round(time.time() - app[STARTED], 1),
            "engines": app[RUNTIME].describe(),
            "alive": app[RUNTIME].alive(),
            "sessions": {"open": len(app[CALLERS].sockets), "served": app[CALLERS].served},
            "loop_lag_ms": metrics.summary("loop.lag_ms"),
            **metrics.report(),
        }
    )


async def realtime(request: web.Request) -> web.WebSocketResponse:
    """Open a session. `?audio=binary` asks for raw audio frames, `?model=` may be anything."""
    app = request.app
    binary = request.query.get("audio") == "binary"
    socket = web.WebSocketResponse(
        protocols=("realtime",),
        heartbeat=HEARTBEAT_S,
        max_msg_size=MAX_MESSAGE_BYTES,
        compress=False,
    )
    await socket.prepare(request)
    callers, outbox = app[CALLERS], Outbox()
    session = Session(
        app[RUNTIME].engines,
        outbox,
        config=app[CONFIG],
        model=request.query.get("model", "banter"),
        metrics=app[METRICS],
        manners=app[MANNERS],
        binary=binary,
    )
    callers.sockets.add(socket)
    callers.served += 1
    log.info("session %s opened by %s", session.id, request.remote)
    try:
        await serve(socket, session, outbox, binary=binary)
    finally:
        callers.sockets.discard(socket)
        log.info("session %s closed", session.id)
    return socket


async def _page_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.path == "/" or request.path.startswith("/static"):
        response.headers.update(PAGE_HEADERS)


async def _close_sockets(app: web.Application) -> None:
    """Tell every caller that the server is going away; nobody who does not answer holds it up."""
    closing = [
        socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is shutting down")
        for socket in set(app[CALLERS].sockets)
    ]
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await asyncio.gather(*closing, return_exceptions=True)
    except TimeoutError:
        log.warning("some callers did not answer the close")


async def _watch_lag(app: web.Application) -> AsyncIterator[None]:
    """Measure how late the event loop is, all the time."""
    watch = asyncio.create_task(_probe_lag(app[METRICS]))
    yield
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def _probe_lag(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_PROBE_S
        await asyncio.sleep(LAG_PROBE_S)
        metrics.observe("loop.lag_ms", max(0.0, (loop.time() - due) * 1e3))


def _version() -> str:
    try:
        return version("banter-voice")
    except PackageNotFoundError:
        return "unknown"
