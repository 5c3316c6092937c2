"""The middleware before every route: without a key of the server, no further.

What a prober or a person needs before there is a key stays open: `/health`, `/ready`, the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from realtime.keys import PROTOCOL_PREFIX, accepted, offered

OPEN_PATHS = ("/", "/health", "/ready", "/favicon.ico")
OPEN_PREFIX = "/static/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(keys: Iterable[str]) -> Middleware:
    """A middleware that refuses with 401 whoever shows no key; without keys, it lets all pass."""
    known = tuple(keys)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        open_to_all = request.path in OPEN_PATHS or request.path.startswith(OPEN_PREFIX)
        if not known or open_to_all or accepted(known, request.headers):
            return await handler(request)
        message = (
            "a key of this server is needed: `Authorization: Bearer KEY`, or in a browser the "
            f"WebSocket protocol `{PROTOCOL_PREFIX}KEY` beside `realtime`"
        )
        code = "invalid_api_key" if offered(request.headers) else "missing_api_key"
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        return web.json_response(
            {"error": error}, status=401, headers={"WWW-Authenticate": "Bearer"}
        )

    return check
