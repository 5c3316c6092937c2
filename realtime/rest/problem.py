"""Refusals over HTTP: every error under `/v1` has OpenAI's body, whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from realtime.errors import ProtocolError, SoundRefused, StageError, VoiceError
from realtime.openai_error import error_body

log = logging.getLogger("banter.rest")

PREFIX = "/v1/"
AGAIN_S = 5
"""Told to whoever came while too much was going on."""

CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
BUSY = ("saturated", "shutting_down", "restarting")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer other than the one that was asked for. `param` names the field at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    @property
    def kind(self) -> str:
        """OpenAI's type of error."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def body(self) -> dict[str, object]:
        return error_body(str(self), kind=self.kind, code=self.code, param=self.param)

    def response(self) -> web.Response:
        return web.json_response(self.body(), status=self.status, headers=self.headers)


class ClientGone(Exception):
    """Whoever asked has left, or takes nothing any more; nobody reads an answer."""


def too_many(what: str) -> Problem:
    """More at once than is taken."""
    headers = {"Retry-After": str(AGAIN_S)}
    return Problem(429, f"too many {what} at once; try again", code="busy", headers=headers)


def unread(request: web.Request, error: Exception) -> Problem | ClientGone:
    """What it is that a body could not be read: its client left, or sends what is not HTTP."""
    if request.transport is None or request.transport.is_closing():
        return ClientGone()
    return Problem(400, f"the body cannot be read: {error}", code="invalid_body")


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error; the details of a bug are logged and not told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SoundRefused):
        status = 413 if error.code == "too_long" else 400
        return Problem(status, str(error), code=error.code, param="file")
    if isinstance(error, ProtocolError):
        return Problem(400, str(error), code=error.code, param=error.param)
    if isinstance(error, VoiceError) and error.code == "too_long":
        return Problem(400, str(error), code=error.code, param="input")
    if isinstance(error, StageError):
        if error.code in BUSY:
            headers = {"Retry-After": str(AGAIN_S)}
            return Problem(503, str(error), code=error.code, headers=headers)
        log.warning("%s failed: %s", error.stage, error)
        return Problem(500, str(error), code=error.code)
    if isinstance(error, web.HTTPException):
        message = f"{error.status} {error.reason}"
        allow = error.headers.get("Allow")
        if allow:
            message = f"this address takes {allow}"
        headers = {"Allow": allow} if allow else {}
        return Problem(error.status, message, code=CODES.get(error.status), headers=headers)
    log.error("a request failed", exc_info=error)
    return Problem(500, "the server failed", code="internal_error")


@web.middleware
async def openai_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors of what lies under `/v1` -> answers. A WebSocket that was opened closes itself. The
    connection of a client who is gone is cut, so that nothing is written into a half-sent body."""
    if not request.path.startswith(PREFIX):
        return await handler(request)
    try:
        return await handler(request)
    except ClientGone:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499, reason="Client Closed Request")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem_of(error).response()
    except Exception as error:
        if request.writer.output_size:
            raise  # it has begun to answer: the connection is cut
        return problem_of(error).response()
