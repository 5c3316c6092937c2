"""The middleware before every route: without a key of the server, no further.

What a prober or a person needs before there is a key stays open: `/health`, `/ready`, the page. A
key for a short time (`ephemeral.py`) opens sessions and nothing else. Where no key is asked for,
the browser's `Origin` is: else any page on the web could use a server on the visitor's machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from realtime.ephemeral import EphemeralKeys, Grant
from realtime.keys import PROTOCOL_PREFIX, accepted, foreign, offered
from realtime.openai_error import error_body

log = logging.getLogger("banter.guard")

OPEN_PATHS = ("/", "/health", "/ready", "/favicon.ico")
OPEN_PREFIX = "/static/"
SESSION_PATHS = ("/v1/realtime", "/realtime")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(
    keys: Iterable[str],
    ephemeral: EphemeralKeys | None = None,
    *,
    origins: Iterable[str] = (),
    only_here: bool = False,
) -> Middleware:
    """A middleware that refuses with 401 whoever shows no key. Without keys it lets all pass but
    pages of other sites (403); `origins` and `only_here` are as in `keys.foreign`."""
    known, listed = tuple(keys), tuple(origins)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS or request.path.startswith(OPEN_PREFIX):
            return await handler(request)
        if not known:
            if foreign(request.headers, listed, only_here=only_here):
                return _foreign(request)
            return await handler(request)
        if accepted(known, request.headers) or (ephemeral and granted(request, ephemeral)):
            return await handler(request)
        return _keyless(request)

    return check


def granted(request: web.Request, ephemeral: EphemeralKeys) -> Grant | None:
    """What a key for a short time stands for, if a request for a session shows one."""
    if request.method != "GET" or request.path not in SESSION_PATHS:
        return None
    now = int(time.time())
    found = (ephemeral.find(key, now=now) for key in offered(request.headers))
    return next((grant for grant in found if grant), None)


def _keyless(request: web.Request) -> web.Response:
    message = (
        "a key of this server is needed, or one for a short time that has not expired: "
        "`Authorization: Bearer KEY`, or in a browser the WebSocket protocol "
        f"`{PROTOCOL_PREFIX}KEY` beside `realtime`"
    )
    code = "invalid_api_key" if offered(request.headers) else "missing_api_key"
    return web.json_response(
        error_body(message, code=code), status=401, headers={"WWW-Authenticate": "Bearer"}
    )


def _foreign(request: web.Request) -> web.Response:
    origin = request.headers["Origin"]
    log.warning("%s is refused: a page of %r", request.remote, origin)
    message = (
        f"pages of '{origin[:200]}' may not use this server, which asks for no key; list the "
        "origin in --cors-origins (BANTER_CORS_ORIGINS), or set BANTER_API_KEYS"
    )
    return web.json_response(error_body(message, code="origin_not_allowed"), status=403)
