"""`GET /metrics` for Prometheus: on the server's own port, and on a listener of its own if wanted.

On the server's port it is behind the server's keys. Where there are none it is for this machine
alone: how many callers there are and what goes wrong is not everybody's, and a proxy on this
machine speaks for others. A listener of its own asks for no key, because a scraper in the same
private network has none to keep; it listens for this machine unless it is told otherwise.

A scrape is made in a thread: it takes locks that the engines hold for moments, asks the GPU's
driver, and takes some milliseconds.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from realtime.doorway import Doorway, Site, runner_of
from realtime.errors import BanterError
from realtime.exposition import Exposition
from realtime.guard import Handler, guard
from realtime.keyring import Keyring
from realtime.keys import is_loopback
from realtime.metrics import Metrics
from realtime.openai_error import error_body

log = logging.getLogger("banter.metrics")

PATH = "/metrics"
REFUSED = (401, 403, 429, 503)
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
PROBES = ("/health", "/ready")
CLOSE_S = 1.0
MAX_SCRAPERS = 32
"""Connections of the listener of its own."""


def metrics_route(exposition: Exposition, *, keyed: bool) -> web.RouteDef:
    """The route on the server's port; `keyed` if nobody comes so far without a key."""

    scrapes = Scrapes(exposition)

    async def metrics(request: web.Request) -> web.Response:
        if not keyed and not is_near(request):
            message = (
                "without a key of the server, its metrics are for its own machine; set "
                "BANTER_API_KEYS, or --metrics-port (BANTER_METRICS_PORT) for a listener of its own"
            )
            return web.json_response(error_body(message, code="metrics_not_allowed"), status=403)
        return await scrapes.answer(request)

    return web.get(PATH, metrics)


class Scrapes:
    """One at a time: however often it is asked, one thread at most is busy with it."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition, self._one = exposition, asyncio.Lock()

    async def answer(self, request: web.Request) -> web.Response:
        """In the format that is asked for."""
        accept = request.headers.get("Accept", "")
        async with self._one:
            body, content_type = await asyncio.to_thread(self._exposition.render, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})


def is_near(request: web.Request) -> bool:
    """Whether a request comes from this machine, and nobody has passed it on."""
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def metrics_listener(
    exposition: Exposition, host: str, port: int
) -> Callable[[web.Application], AsyncIterator[None]]:
    """A cleanup context for the server's application: a second listener, as long as that runs.

    Raises, at the start:
        BanterError: it cannot listen there.
    """

    async def listening(_: web.Application) -> AsyncIterator[None]:
        no_keys = guard(Keyring(), only_here=is_loopback(host))
        app = web.Application(middlewares=[no_keys])
        app.router.add_get(PATH, Scrapes(exposition).answer)
        runner = runner_of(app, shutdown_timeout_s=CLOSE_S)
        await runner.setup()
        try:
            await Site(runner, host, port, Doorway(most=MAX_SCRAPERS)).start()
        except OSError as error:
            await runner.cleanup()
            raise BanterError(
                f"--metrics-port (BANTER_METRICS_PORT): cannot listen on {host}:{port}: "
                f"{error.strerror or error}"
            ) from None
        at, bound = runner.addresses[0][:2]
        log.info("metrics at http://%s:%d%s", at, bound, PATH)
        yield
        await runner.cleanup()

    return listening


def count_answers(metrics: Metrics) -> Middleware:
    """A middleware before all others: answers by status, and refusals by the error's code."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            metrics.count(f"http.{error.status}")
            raise
        except Exception:
            metrics.count("http.500")
            raise
        metrics.count(f"http.{response.status}")
        if response.status in REFUSED and request.path not in PROBES:
            metrics.count(f"refused.{_code(response)}")
        return response

    return count


def _code(response: web.StreamResponse) -> str:
    """The code in an error's body, which is a word of ours; else its status."""
    body = getattr(response, "body", None)
    if isinstance(body, bytes):
        try:
            code = msgspec.json.decode(body, type=_Body).error.code
        except msgspec.DecodeError:
            code = None
        if code:
            return code
    return f"http_{response.status}"


class _Error(msgspec.Struct):
    code: str | None = None


class _Body(msgspec.Struct):
    error: _Error
