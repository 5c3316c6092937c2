"""The middleware before every route: without a key of the server, no further.

What a prober or a person needs before there is a key stays open: `/health`, `/ready`, the page. A
key opens what its roles say (`roles.py`), a key for a short time (`ephemeral.py`) sessions and
nothing else. Where no key is asked for, the browser's `Origin` is: else any page on the web could
use a server on the visitor's machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from realtime.addresses import Network, caller_of, holder_of
from realtime.attempts import Attempts
from realtime.ephemeral import Grant, ShortLived
from realtime.keyring import Key, Keyring
from realtime.keys import PROTOCOL_PREFIX, foreign, offered
from realtime.openai_error import error_body
from realtime.roles import SESSION_PATHS, is_open, opens

log = logging.getLogger("banter.guard")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GRANT = web.RequestKey("grant", Grant)
"""What let a request in, where that was a key for a short time."""


def guard(
    keyring: Keyring,
    ephemeral: ShortLived | None = None,
    *,
    origins: Iterable[str] = (),
    only_here: bool = False,
    proxies: Sequence[Network] = (),
    attempts: Attempts | None = None,
) -> Middleware:
    """A middleware that refuses with 401 whoever shows no key, and with 403 whose key may not do
    this. Without keys it lets all pass but pages of other sites (403); `origins` and `only_here`
    are as in `keys.foreign`."""
    listed, failures = tuple(origins), attempts or Attempts()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_open(request.path):
            return await handler(request)
        if not keyring:
            if _twofold(request) or foreign(request.headers, listed, only_here=only_here):
                return _foreign(request)
            if grant := granted(request, ephemeral):
                request[GRANT] = grant
            return await handler(request)
        if key := keyring.find(offered(request.headers)):
            if not opens(key.roles, request.method, request.path):
                return _not_allowed(key)
            return await handler(request)
        grant = granted(request, ephemeral)
        if grant and keyring.may_talk(grant.parent):
            request[GRANT] = grant
            return await handler(request)
        address = holder_of(address_of(request, proxies))
        wait_s = failures.failed(address, time.monotonic())
        return _too_often(wait_s) if wait_s else _keyless(request)

    return check


def address_of(request: web.Request, proxies: Sequence[Network]) -> str:
    """From where a request comes, behind proxies too."""
    return caller_of(request.remote, request.headers.getall(hdrs.X_FORWARDED_FOR, ()), proxies)


def granted(request: web.Request, ephemeral: ShortLived | None) -> Grant | None:
    """What a key for a short time stands for, if a request for a session shows one."""
    if ephemeral is None or request.method != "GET" or request.path not in SESSION_PATHS:
        return None
    now = int(time.time())
    found = (ephemeral.find(key, now=now) for key in offered(request.headers))
    return next((grant for grant in found if grant), None)


def _twofold(request: web.Request) -> bool:
    """No browser names two origins or hosts: which of them counts would be anybody's guess."""
    return any(len(request.headers.getall(name, ())) > 1 for name in (hdrs.ORIGIN, hdrs.HOST))


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


def _too_often(wait_s: int) -> web.Response:
    message = f"too many requests without a key of this server: try again in {wait_s} s"
    body = error_body(message, kind="rate_limit_error", code="too_many_failed_keys")
    return web.json_response(body, status=429, headers={"Retry-After": str(wait_s)})


def _not_allowed(key: Key) -> web.Response:
    message = (
        f"the key '{key.name}' may not do this; its roles are {', '.join(sorted(key.roles))}: "
        "use another, or add a role to it in the server's keys file"
    )
    return web.json_response(error_body(message, code="insufficient_permissions"), status=403)


def _foreign(request: web.Request) -> web.Response:
    origin = request.headers.get(hdrs.ORIGIN, "")
    if not origin:
        return _misnamed(request)
    log.warning("%s is refused: a page of %r", request.remote, origin[:200])
    message = (
        f"pages of '{origin[:200]}' may not use this server, which asks for no key; list the "
        "origin in --cors-origins (BANTER_CORS_ORIGINS), or set BANTER_API_KEYS"
    )
    return web.json_response(error_body(message, code="origin_not_allowed"), status=403)


def _misnamed(request: web.Request) -> web.Response:
    host = request.headers.get(hdrs.HOST, "")[:200]
    log.warning("%s is refused: it calls this server %r", request.remote, host)
    message = (
        f"'{host}' is no name of this machine, which alone may use this server, as it asks for no "
        "key: call it localhost, list the address in --cors-origins (BANTER_CORS_ORIGINS) if a "
        "proxy passes its name on, or set BANTER_API_KEYS"
    )
    return web.json_response(error_body(message, code="host_not_allowed"), status=403)
