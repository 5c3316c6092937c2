"""The HTTP side: routes, what they share, and how it is closed.

`/health` answers a prober with exactly two keys, `/ready` says whether a caller who came now would
be let in, and everything else that is worth knowing is in `/status`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from realtime.addresses import holder_of
from realtime.admission import Admission, Refusal, Visitor
from realtime.capacity import MOST, Capacity
from realtime.client_secrets import SecretRoutes
from realtime.cors import Cors
from realtime.dialect import Beta, speaks_beta
from realtime.drain import GOING_AWAY, RESTARTING, Callers, close_all, let_finish
from realtime.ephemeral import EphemeralKeys, Grant, ShortLived
from realtime.errors import ProtocolError
from realtime.exposition import Exposition, Sessions, engine_of
from realtime.guard import GRANT, Handler, address_of, guard
from realtime.keyring import Key, Keyring, keys_of
from realtime.keys import offered
from realtime.lifetime import FOREVER_S, Lifetime
from realtime.limits import Limits
from realtime.log_context import enter, leave
from realtime.metrics import Metrics
from realtime.metrics_routes import count_answers, metrics_route
from realtime.openai_error import error_body
from realtime.opening import asked_for
from realtime.outbox import Outbox
from realtime.rest.endpoints import add_rest
from realtime.rest.transcriptions import UploadLimits
from realtime.runtime import Runtime
from realtime.session import Session
from realtime.session_config import SessionConfig
from realtime.signed_keys import SignedKeys
from realtime.speaker import Manners
from realtime.steps import Steps
from realtime.supervisor import Loss, Outage, Supervisor
from realtime.transcript_log import TranscriptLog
from realtime.turn_report import TurnReport
from realtime.turn_reporter import TurnReporter
from realtime.voices import VoiceRoutes
from realtime.watchdog import Watchdog
from realtime.websocket import HEARTBEAT_S, MAX_MESSAGE_BYTES, prepare, serve

log = logging.getLogger("banter.server")

KEY_GONE = b"the key of this session was taken away"
# In no frame: a page elsewhere could put this one, which may use the microphone, under a click.
_POLICY = (
    "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'",
    "form-action 'self'; frame-ancestors 'none'",
)
PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
NEVER_PACKED = ("Range", "If-None-Match", "If-Modified-Since")


NEEDED = ("speech_detection", "transcription", "voice")
"""Stages without which no turn is answered. Without the others silence alone ends turns, and the
apology is said."""

RUNTIME = web.AppKey("runtime", Runtime)
METRICS = web.AppKey("metrics", Metrics)
CALLERS = web.AppKey("callers", Callers)
CONFIG = web.AppKey("config", SessionConfig)
MANNERS = web.AppKey("manners", Manners)
CAPACITY = web.AppKey("capacity", Capacity)
EPHEMERAL: web.AppKey[ShortLived] = web.AppKey("ephemeral")
KEYRING = web.AppKey("keyring", Keyring)
LIMITS = web.AppKey("limits", Limits)
LOG_TRANSCRIPTS = web.AppKey("log_transcripts", bool)
ADMISSION = web.AppKey("admission", Admission)
WATCHDOG = web.AppKey("watchdog", Watchdog)
SUPERVISOR = web.AppKey("supervisor", Supervisor)
LOST = web.AppKey("lost", asyncio.Event)
STEPS = web.AppKey("steps", Steps)
STARTED = web.AppKey("started", float)
REPORTER = web.AppKey("reporter", TurnReporter)
EXPOSITION = web.AppKey("exposition", Exposition)


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
    keys: Iterable[str] | Keyring = (),
    shared_secrets: Sequence[str] = (),
    limits: Limits | None = None,
    log_transcripts: bool = False,
    origins: Iterable[str] = (),
    only_here: bool = False,
    uploads: UploadLimits | None = None,
    models: Iterable[str] = (),
    steps: Steps | None = None,
    trace: Callable[[TurnReport], None] | None = None,
) -> web.Application:
    """The application around engines that are loaded and started; without a capacity it takes as
    many sessions as any machine would, without keys it asks for none. `shared_secrets` let it know
    other front ends' keys for a short time. `origins` are the web pages that may call it,
    `only_here` says that no other machine can reach it, `models` are the names of those that are
    loaded. `trace` gets every turn that is over."""
    keyring = keys if isinstance(keys, Keyring) else Keyring(keys_of(keys))
    limits, origins = limits or Limits(), tuple(origins)
    ephemeral: ShortLived = (
        SignedKeys(shared_secrets, lambda: keyring.digests) if shared_secrets else EphemeralKeys()
    )
    check = guard(keyring, ephemeral, origins=origins, only_here=only_here, proxies=limits.proxies)
    app = web.Application(middlewares=[count_answers(metrics), check, _packed])
    app[KEYRING], app[LIMITS], app[LOG_TRANSCRIPTS] = keyring, limits, log_transcripts
    app[EPHEMERAL] = ephemeral
    app[STEPS] = steps or Steps()
    app[RUNTIME], app[METRICS], app[CONFIG] = runtime, metrics, config
    app[MANNERS], app[WATCHDOG] = manners, Watchdog(metrics)
    app[CAPACITY] = capacity or Capacity(MOST)
    app[ADMISSION] = Admission(
        app[CAPACITY].sessions,
        max_waiting_s=limits.waiting_s,
        waiting_s=runtime.waiting_s,
        keys=lambda: keyring.talkers,
        elsewhere=runtime.outage,
    )
    app[CALLERS], app[STARTED] = Callers(), time.time()
    app[REPORTER], app[EXPOSITION] = TurnReporter(metrics, trace), _exposition(app)
    app.router.add_routes([metrics_route(app[EXPOSITION], keyed=bool(keyring))])
    app[LOST] = asyncio.Event()
    app[SUPERVISOR] = Supervisor(
        runtime.parts(),
        metrics,
        changed=lambda outages: _note(app, outages),
        lost=lambda loss: _lose(app, loss),
    )
    app.router.add_get("/", page)
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    app.router.add_get("/status", status)
    app.router.add_get("/v1/realtime", realtime)
    app.router.add_get("/realtime", realtime)
    store = getattr(runtime.engines.voice, "store", None)
    app.router.add_routes(VoiceRoutes(store, keyed=bool(keyring)).routes())
    add_rest(app, runtime, metrics, uploads, models)
    voices = runtime.engines.voice.names
    app.router.add_routes(SecretRoutes(ephemeral, config, voices, keyring).routes())
    app.router.add_static("/static", static_folder())
    app.on_response_prepare.append(_page_headers)
    Cors(origins).apply(app)
    app.on_shutdown.append(drain)
    app.cleanup_ctx.append(_watch_loop)
    app.cleanup_ctx.append(_supervise)
    return app


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(static_folder() / "index.html")


async def health(request: web.Request) -> web.Response:
    """Two keys and nothing else: load balancers and rental platforms compare it. What hears is
    Whisper and the speech detector before it."""
    alive = request.app[RUNTIME].alive()
    down = request.app[SUPERVISOR].down
    hears = alive["whisper"] and alive["speech_detector"]
    models = {
        "tts": alive["voice"] and "voice" not in down,
        "whisper": hears and down.isdisjoint(("speech_detection", "transcription")),
    }
    ok = all(models.values())
    body = {"status": "ok" if ok else "error", "models": models}
    return web.Response(
        body=msgspec.json.encode(body), status=200 if ok else 503, content_type="application/json"
    )


async def ready(request: web.Request) -> web.Response:
    """200 while a caller who came now would be let in, and what he would have to do without; else
    503, and why not."""
    refusal = request.app[ADMISSION].refusal()
    if refusal is None:
        without = request.app[SUPERVISOR].report()["down"]
        return web.json_response({"status": "ready", **({"without": without} if without else {})})
    return _unavailable(refusal, {"status": refusal.reason, "reason": refusal.message})


async def status(request: web.Request) -> web.Response:
    app = request.app
    metrics, admission = app[METRICS], app[ADMISSION]
    memory = getattr(app[RUNTIME].engines.voice, "memory", None)
    breaker = getattr(app[RUNTIME].engines.replier, "breaker_report", None)
    pools = app[RUNTIME].pools
    return web.json_response(
        {
            "version": own_version(),
            "uptime_s": round(time.time() - app[STARTED], 1),
            "start_s": app[STEPS].seconds,
            "engines": app[RUNTIME].describe(),
            "alive": app[RUNTIME].alive(),
            "sessions": {
                "open": admission.open,
                "max": admission.max_sessions,
                "served": app[CALLERS].served,
                "refused": admission.refused,
                "by_key": dict(admission.held()),
            },
            "capacity": app[CAPACITY].report(),
            "supervisor": app[SUPERVISOR].report(),
            **({"cluster": pools.report()} if pools else {}),
            **({"reply_endpoint": breaker()} if breaker else {}),
            **({"voice_memory_mib": memory()} if memory else {}),
            "tasks": len(asyncio.all_tasks()),
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
    grant = request.get(GRANT)
    try:
        config = asked_for(request, request.app[CONFIG], grant)
    except ProtocolError as error:
        body = error_body(str(error), code=error.code, param=error.param)
        return web.json_response(body, status=400)
    admission, key = request.app[ADMISSION], _key_of(request, grant)
    visitor = _visitor(request, key, grant)
    place = admission.enter(time.monotonic(), visitor)
    if isinstance(place, Refusal):
        request.app[METRICS].count(f"sessions.refused.{place.reason}")
        log.info("%s is refused: %s", _shown(request, key), place.message)
        return _unavailable(place, place.wire())
    try:
        return await _converse(request, config, key)
    finally:
        admission.leave(place, time.monotonic())


def _key_of(request: web.Request, grant: Grant | None) -> Key | None:
    """The key that was shown, or that made the one that was."""
    keyring = request.app[KEYRING]
    return keyring.holding(grant.parent) if grant else keyring.find(offered(request.headers))


def _visitor(request: web.Request, key: Key | None, grant: Grant | None) -> Visitor:
    limits = request.app[LIMITS]
    most = limits.sessions_per_key if key is None else key.max_sessions
    return Visitor(
        key=key.name if key else "",
        key_limit=limits.sessions_per_key if most is None else most,
        ticket=grant.ticket if grant else "",
        ticket_limit=grant.sessions if grant else 0,
        address=holder_of(address_of(request, limits.proxies)),
        address_limit=limits.sessions_per_address,
    )


def _shown(request: web.Request, key: Key | None) -> str:
    """A caller, as the log tells of one."""
    address = address_of(request, request.app[LIMITS].proxies)
    return f"{address} with the key {key.name}" if key else address


async def _converse(
    request: web.Request, config: SessionConfig, key: Key | None
) -> web.WebSocketResponse:
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
    if key and not app[KEYRING].may_talk(key.digest):
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=KEY_GONE)
        return socket  # it was taken away in these few milliseconds
    callers, limits, outbox = app[CALLERS], app[LIMITS], Outbox()
    session = Session(
        app[RUNTIME].engines,
        outbox,
        config=config,
        metrics=app[METRICS],
        manners=app[MANNERS],
        binary=binary,
        lasts_s=limits.session_s or FOREVER_S,
        turn_over=app[REPORTER].over,
    )
    entered = enter(session.id, key.name if key else "")
    lifetime = Lifetime(asyncio.get_running_loop().time(), limits.session_s, limits.idle_s)
    words = TranscriptLog(session.id) if app[LOG_TRANSCRIPTS] else None
    beta = Beta(session.conversation.id) if speaks_beta(request.headers) else None
    callers.sockets[socket] = session
    if transport := request.transport:
        callers.transports[socket] = transport
    if key:
        callers.owners[socket] = key.digest
    callers.served += 1
    log.info("session %s opened by %s", session.id, _shown(request, key))
    try:
        await serve(
            socket, session, outbox, binary=binary, beta=beta, lifetime=lifetime, words=words
        )
    finally:
        callers.sockets.pop(socket, None)
        callers.owners.pop(socket, None)
        if farewell := callers.closing.pop(socket, None):
            await asyncio.wait({farewell})  # a handler that ends sooner cuts it off
        callers.let_go(socket)
        log.info("session %s closed", session.id)
        leave(entered)
    return socket


def _exposition(app: web.Application) -> Exposition:
    admission, callers = app[ADMISSION], app[CALLERS]

    def alive() -> dict[str, bool]:
        runtime, down = app[RUNTIME], app[SUPERVISOR].down
        looked_after = {engine_of(stage): True for stage in runtime.parts()}
        return {**looked_after, **runtime.alive(), **{engine_of(stage): False for stage in down}}

    return Exposition(
        app[METRICS],
        sessions=lambda: Sessions(
            admission.open, admission.max_sessions, callers.served, admission.draining
        ),
        alive=alive,
        version=own_version(),
    )


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
    try:
        response = await handler(request)
    except OSError as error:
        if _is_page(request) and error.errno == errno.ENAMETOOLONG:
            raise web.HTTPNotFound from None
        raise
    if _is_page(request) and isinstance(response, web.FileResponse) and request.method == "GET":
        response.headers["Vary"] = "Accept-Encoding"
        if not any(name in request.headers for name in NEVER_PACKED):
            response.enable_compression()
    return response


async def drain(
    app: web.Application, limit_s: float = 0.0, hurry: asyncio.Event | None = None
) -> None:
    """Let nobody in any more, let who is in the middle of something finish until the limit or until
    told to hurry, and tell every caller that the server is going away. Called with the listener
    still open, it lets `/ready` tell it too."""
    app[ADMISSION].draining = True
    await let_finish(app[CALLERS], limit_s=limit_s, hurry=hurry or asyncio.Event())
    await close_all(app[CALLERS], WSCloseCode.GOING_AWAY, GOING_AWAY)


async def give_up(app: web.Application) -> int:
    """Tell every caller that the server restarts; the exit code that says why."""
    loss = app[SUPERVISOR].loss
    assert loss is not None
    await close_all(app[CALLERS], WSCloseCode.SERVICE_RESTART, RESTARTING)
    return loss.code


def _note(app: web.Application, outages: Mapping[str, Outage]) -> None:
    """Nobody is let in while an engine is down that he would need, or the process has to end."""
    if app[LOST].is_set():
        return
    needed = [str(outages[stage]) for stage in NEEDED if stage in outages]
    app[ADMISSION].outage = needed[0] if needed else ""


def _lose(app: web.Application, loss: Loss) -> None:
    app[ADMISSION].outage = f"the server restarts: {loss.reason}"
    app[LOST].set()


async def _supervise(app: web.Application) -> AsyncIterator[None]:
    """Look after the engines."""
    app[SUPERVISOR].start()
    yield
    await app[SUPERVISOR].stop()


async def _watch_loop(app: web.Application) -> AsyncIterator[None]:
    """Measure how late and how busy the event loop is, all the time."""
    app[WATCHDOG].start()
    yield
    await app[WATCHDOG].stop()


def _unavailable(refusal: Refusal, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=503, headers={"Retry-After": str(refusal.retry_after_s)})


@cache
def own_version() -> str:
    try:
        return version("banter-voice")
    except PackageNotFoundError:
        return "unknown"
