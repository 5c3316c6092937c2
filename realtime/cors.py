"""Pages of other origins: which of them may call the REST interface from a browser.

A browser asks first (a preflight, which never carries a key), and shows a page the answer only if
the answer names the page's origin. WebSockets know nothing of this: their upgrade is not asked for,
and `guard.py` looks after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

PREFIX = "/v1/"
METHODS = "GET, POST, DELETE, OPTIONS"
EXPOSED = "Retry-After, X-Request-Id"
PREFLIGHT_S = "600"
"""How long a browser may remember the answer to a preflight."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Cors:
    """`origins` may be `*`; without any, nothing is answered and nothing is added."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def apply(self, app: web.Application) -> None:
        """Before every other middleware, and on every answer, also on streams and refusals."""
        if self._origins:
            app.middlewares.insert(0, self._preflights())
            app.on_response_prepare.append(self._add_headers)

    def _preflights(self) -> Middleware:
        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
            if request.method != hdrs.METH_OPTIONS or not asked or not self._allowed(request):
                return await handler(request)
            headers = {
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
                hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_S,
            }
            if wanted := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
                headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
            return web.Response(status=204, headers=headers)

        return answer

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if not request.path.startswith(PREFIX) or isinstance(response, web.WebSocketResponse):
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self._allowed(request):
            shown = "*" if "*" in self._origins else request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = shown
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    def _allowed(self, request: web.Request) -> bool:
        origin = request.headers.get(hdrs.ORIGIN, "").lower()
        if not origin or not request.path.startswith(PREFIX):
            return False
        return "*" in self._origins or origin in self._origins
