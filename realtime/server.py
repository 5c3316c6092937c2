"""The HTTP side: routes, what they share, and how it is closed.

`/health` answers a prober with exactly two keys, `/ready` says whether a caller who came now would
be let in, and everything else that is worth knowing is in `/status`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from realtime.admission import Admission, Refusal
from realtime.capacity import MOST, Capacity
from realtime.client_secrets import SecretRoutes
from realtime.cors import Cors
from realtime.dialect import Beta, speaks_beta
from realtime.ephemeral import EphemeralKeys
from realtime.errors import ProtocolError
from realtime.guard import Handler, granted, guard
from realtime.metrics import Metrics
from realtime.openai_error import error_body
from realtime.opening import asked_for
from realtime.outbox import Outbox
from realtime.rest.endpoints import add_rest
from realtime.rest.transcriptions import UploadLimits
from realtime.runtime import Runtime
from realtime.session import Session
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.steps import Steps
from realtime.voices import VoiceRoutes
from realtime.watchdog import Watchdog
from realtime.websocket import HEARTBEAT_S, MAX_MESSAGE_BYTES, prepare, serve

log = logging.getLogger("banter.server")

CLOSE_TIMEOUT_S = 5.0
# In no frame: a page elsewhere could put this one, which may use the microphone, under a click.
_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'",
    "form-action 'self'; frame-ancestors 'none'",
)
PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
NEVER_PACKED = ("Range", "If-None-Match", "If-Modified-Since")


@dataclass
class Callers:
    """The sockets that are open now, and those of them that are being closed from here."""

    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    closing: dict[web.WebSocketResponse, asyncio.Task[bool]] = field(default_factory=dict)
    served: int = 0


RUNTIME = web.AppKey("runtime", Runtime)
METRICS = web.AppKey("metrics", Metrics)
CALLERS = web.AppKey("callers", Callers)
CONFIG = web.AppKey("config", SessionConfig)
MANNERS = web.AppKey("manners", Manners)
CAPACITY = web.AppKey("capacity", Capacity)
EPHEMERAL = web.AppKey("ephemeral", EphemeralKeys)
ADMISSION = web.AppKey("admission", Admission)
WATCHDOG = web.AppKey("watchdog", Watchdog)
STEPS = web.AppKey("steps", Steps)
STARTED = web.AppKey("started", float)


def static_folder() -> Path:
    """The page's files: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).parent
    packed = here / "static"
    return packed if packed.is_dir() else here.parent / "static"


def make_app(
    runtime: Runtime,
    metrics: Metrics,
    config: SessionConfig,
    manners: Manners,
    capacity: Capacity | None = None,
    *,
    keys: Iterable[str] = (),
    origins: Iterable[str] = (),
    only_here: bool = False,
    uploads: UploadLimits | None = None,
    models: Iterable[str] = (),
    steps: Steps | None = None,
) -> web.Application:
    """The application around engines that are loaded and started; without a capacity it takes as
    many sessions as any machine would, without keys it asks for none. `origins` are the web pages
    that may call it, `only_here` says that no other machine can reach it, `models` are the names of
    those that are loaded."""
    keys, origins = tuple(keys), tuple(origins)
    ephemeral = EphemeralKeys()
    check = guard(keys, ephemeral, origins=origins, only_here=only_here)
    app = web.Application(middlewares=[check, _packed])
    app[EPHEMERAL] = ephemeral
    app[STEPS] = steps or Steps()
    app[RUNTIME], app[METRICS], app[CONFIG] = runtime, metrics, config
    app[MANNERS], app[WATCHDOG] = manners, Watchdog(metrics)
    app[CAPACITY] = capacity or Capacity(MOST)
    app[ADMISSION] = Admission(app[CAPACITY].sessions)
    app[CALLERS], app[STARTED] = Callers(), time.time()
    app.router.add_get("/", page)
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    app.router.add_get("/status", status)
    app.router.add_get("/v1/realtime", realtime)
    app.router.add_get("/realtime", realtime)
    store = getattr(runtime.engines.voice, "store", None)
    app.router.add_routes(VoiceRoutes(store, keyed=bool(keys)).routes())
    add_rest(app, runtime, metrics, uploads, models)
    voices = runtime.engines.voice.names
    app.router.add_routes(SecretRoutes(ephemeral, config, voices).routes())
    app.router.add_static("/static", static_folder())
    app.on_response_prepare.append(_page_headers)
    Cors(origins).apply(app)
    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(_watch_loop)
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


async def ready(request: web.Request) -> web.Response:
    """200 while a caller who came now would be let in; else 503, and why not."""
    refusal = request.app[ADMISSION].refusal()
    if refusal is None:
        return web.json_response({"status": "ready"})
    return _unavailable(refusal, {"status": refusal.reason, "reason": refusal.message})


async def status(request: web.Request) -> web.Response:
    app = request.app
    metrics, admission = app[METRICS], app[ADMISSION]
    memory = getattr(app[RUNTIME].engines.voice, "memory", None)
    return web.json_response(
        {
            "version": _version(),
            "uptime_s": round(time.time() - app[STARTED], 1),
            "start_s": app[STEPS].seconds,
            "engines": app[RUNTIME].describe(),
            "alive": app[RUNTIME].alive(),
            "sessions": {
                "open": admission.open,
                "max": admission.max_sessions,
                "served": app[CALLERS].served,
                "refused": admission.refused,
            },
            "capacity": app[CAPACITY].report(),
            **({"voice_memory_mib": memory()} if memory else {}),
            "loop_lag_ms": metrics.summary("loop.lag_ms"),
            "loop_culprits": app[WATCHDOG].culprits,
            **metrics.report(),
        }
    )


async def realtime(request: web.Request) -> web.StreamResponse:
    """Open a session, or refuse it with 503 before the upgrade: its place is taken before anything
    is awaited."""
    if "call_id" in request.query:
        body = error_body("there are no calls here to join", code="call_not_found", param="call_id")
        return web.json_response(body, status=404)
    try:
        grant = granted(request, request.app[EPHEMERAL])
        config = asked_for(request, request.app[CONFIG], grant)
    except ProtocolError as error:
        body = error_body(str(error), code=error.code, param=error.param)
        return web.json_response(body, status=400)
    admission = request.app[ADMISSION]
    place = admission.enter(time.monotonic())
    if isinstance(place, Refusal):
        request.app[METRICS].count(f"sessions.refused.{place.reason}")
        log.info("%s is refused: %s", request.remote, place.message)
        return _unavailable(place, place.wire())
    try:
        return await _converse(request, config)
    finally:
        admission.leave(place, time.monotonic())


async def _converse(request: web.Request, config: SessionConfig) -> web.WebSocketResponse:
    """One session. `?audio=binary` asks for raw audio frames."""
    app = request.app
    binary = request.query.get("audio") == "binary"
    socket = web.WebSocketResponse(
        protocols=("realtime",),
        heartbeat=HEARTBEAT_S,
        max_msg_size=MAX_MESSAGE_BYTES,
        compress=False,
    )
    await prepare(socket, request)
    callers, outbox = app[CALLERS], Outbox()
    session = Session(
        app[RUNTIME].engines,
        outbox,
        config=config,
        metrics=app[METRICS],
        manners=app[MANNERS],
        binary=binary,
    )
    beta = Beta(session.conversation.id) if speaks_beta(request.headers) else None
    callers.sockets.add(socket)
    callers.served += 1
    log.info("session %s opened by %s", session.id, request.remote)
    try:
        await serve(socket, session, outbox, binary=binary, beta=beta)
    finally:
        callers.sockets.discard(socket)
        if farewell := callers.closing.pop(socket, None):
            await asyncio.wait({farewell})  # a handler that ends sooner cuts it off
        log.info("session %s closed", session.id)
    return socket


def _is_page(request: web.Request) -> bool:
    return request.path == "/" or request.path.startswith("/static")


async def _page_headers(request: web.Request, response: web.StreamResponse) -> None:
    if _is_page(request):
        response.headers.update(PAGE_HEADERS)


@web.middleware
async def _packed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The page's files are sent packed to a browser that takes them so: a third of the bytes.

    Not to one that asks for a part, or whether what it has is still good: aiohttp would put the end
    of a packed file behind an answer that has none.
    """
    response = await handler(request)
    if _is_page(request) and isinstance(response, web.FileResponse) and request.method == "GET":
        response.headers["Vary"] = "Accept-Encoding"
        if not any(name in request.headers for name in NEVER_PACKED):
            response.enable_compression()
    return response


async def drain(app: web.Application) -> None:
    """Let nobody in any more and tell every caller that the server is going away; nobody who does
    not answer holds it up. Called with the listener still open, it lets `/ready` tell it too."""
    app[ADMISSION].draining = True
    callers = app[CALLERS]
    for socket in callers.sockets:
        goodbye = socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is shutting down")
        callers.closing[socket] = asyncio.create_task(goodbye)
    if not callers.closing:
        return
    _, waiting = await asyncio.wait(set(callers.closing.values()), timeout=CLOSE_TIMEOUT_S)
    for farewell in waiting:
        farewell.cancel()
    if waiting:
        log.warning("some callers did not answer the close")


async def _watch_loop(app: web.Application) -> AsyncIterator[None]:
    """Measure how late and how busy the event loop is, all the time."""
    app[WATCHDOG].start()
    yield
    await app[WATCHDOG].stop()


def _unavailable(refusal: Refusal, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=503, headers={"Retry-After": str(refusal.retry_after_s)})


@cache
def _version() -> str:
    try:
        return version("banter-voice")
    except PackageNotFoundError:
        return "unknown"
