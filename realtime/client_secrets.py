"""Keys for browsers: a server with a real key makes one for a short time, and a page connects with
it. Beside it what WebRTC clients ask for, which is answered with what there is instead.

`POST /v1/realtime/client_secrets`, and beta's `/v1/realtime/sessions` and
`/v1/realtime/transcription_sessions`, whose answers are flat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from realtime.dialect import flat
from realtime.ephemeral import (
    DEFAULT_SECONDS,
    MAX_SECONDS,
    MIN_SECONDS,
    Grant,
    ShortLived,
    TooManyKeys,
)
from realtime.errors import ProtocolError
from realtime.ids import new_id
from realtime.keyring import Key, Keyring
from realtime.keys import offered
from realtime.openai_error import error_body
from realtime.session_config import SessionConfig
from realtime.voice_choice import check_voice

PATH = "/v1/realtime"
MAX_BODY_BYTES = 64 * 1024
BODY_S = 30.0
"""In which the whole of a request's body comes."""

MAX_SESSIONS = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyGone(Exception):
    """The key with which a request began is none any more."""


class SecretRoutes:
    """`config` is what sessions of this server begin with; `voices` lists those there are now."""

    def __init__(
        self,
        keys: ShortLived,
        config: SessionConfig,
        voices: Callable[[], Sequence[str]],
        keyring: Keyring,
    ) -> None:
        self._keys, self._config, self._voices = keys, config, voices
        self._keyring = keyring

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{PATH}/client_secrets", _answering(self.client_secret)),
            web.post(f"{PATH}/sessions", _answering(self.session)),
            web.post(f"{PATH}/transcription_sessions", _answering(self.transcription_session)),
            web.post(f"{PATH}/calls", no_webrtc),
            web.post(PATH, no_webrtc),
        ]

    async def client_secret(self, request: web.Request) -> web.Response:
        """`{expires_after?: {anchor, seconds}, session?, sessions?}` ->
        `{value, expires_at, session}`."""
        body = await _body(request)
        value, grant = self._mint(request, _object(body, "session"), body)
        session = _session(grant)
        answer = {"value": value, "expires_at": grant.expires_at, "session": session}
        return web.json_response(answer)

    async def session(self, request: web.Request) -> web.Response:
        """Beta: a session's settings -> the session, flat, with its `client_secret`."""
        return self._flat(request, await _body(request))

    async def transcription_session(self, request: web.Request) -> web.Response:
        """Beta: the same for transcription."""
        return self._flat(request, {**await _body(request), "type": "transcription"})

    def _flat(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        value, grant = self._mint(request, body, _object(body, "client_secret"))
        secret = {"value": value, "expires_at": grant.expires_at}
        return web.json_response({**flat(_session(grant)), "client_secret": secret})

    def _mint(
        self, request: web.Request, patch: dict[str, Any], wanted: dict[str, Any]
    ) -> tuple[str, Grant]:
        key = self._maker(request)
        config = self._config.updated(patch)
        if config.audio.output.voice != self._config.audio.output.voice:
            check_voice(config.audio.output.voice, self._voices(), root="session")
        return self._keys.mint(
            config,
            seconds=_seconds(wanted),
            now=int(time.time()),
            parent=key.digest if key else b"",
            sessions=_sessions(wanted),
        )

    def _maker(self, request: web.Request) -> Key | None:
        """Looked up again: while the body came, it may have been taken away.

        Raises:
            KeyGone: it was.
        """
        key = self._keyring.find(offered(request.headers))
        if self._keyring and not (key and self._keyring.may_talk(key.digest)):
            raise KeyGone
        return key


async def no_webrtc(request: web.Request) -> web.Response:
    """501: sessions run over a WebSocket here."""
    message = (
        "this server does not speak WebRTC; connect a WebSocket to /v1/realtime (of "
        "@openai/agents-realtime: `new RealtimeSession(agent, {transport: 'websocket'})`)"
    )
    return web.json_response(error_body(message, code="webrtc_not_supported"), status=501)


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProtocolError as error:
            return web.json_response(
                error_body(str(error), code=error.code, param=error.param), status=400
            )
        except TimeoutError:
            body = error_body(f"the body did not come within {BODY_S:g} s", code="timeout")
            return web.json_response(body, status=408)
        except KeyGone:
            body = error_body("the key was taken away; use another", code="invalid_api_key")
            return web.json_response(body, status=401, headers={"WWW-Authenticate": "Bearer"})
        except TooManyKeys as error:
            message = f"too many client secrets are in use; {error}"
            body = error_body(message, kind="rate_limit_error", code="too_many_client_secrets")
            return web.json_response(
                body, status=429, headers={"Retry-After": str(max(1, error.seconds))}
            )

    return answer


async def _body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; none is an empty one."""
    data = b""
    async with asyncio.timeout(BODY_S):
        async for piece in request.content.iter_any():
            data += piece
            if len(data) > MAX_BODY_BYTES:
                raise ProtocolError(
                    f"the body has more than {MAX_BODY_BYTES} bytes", code="body_too_large"
                )
    try:
        return msgspec.json.decode(data, type=dict[str, Any]) if data.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"the body is not a JSON object: {error}"
        raise ProtocolError(problem, code="invalid_json") from None


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"'{name}' is not an object", param=name)
    return value


def _seconds(body: dict[str, Any]) -> int:
    seconds = _object(body, "expires_after").get("seconds", DEFAULT_SECONDS)
    if type(seconds) is not int or not MIN_SECONDS <= seconds <= MAX_SECONDS:
        field = "expires_after.seconds"
        message = f"'{field}' is not a whole number from {MIN_SECONDS} to {MAX_SECONDS}"
        raise ProtocolError(message, param=field)
    return seconds


def _sessions(body: dict[str, Any]) -> int:
    """How many at a time; ours, OpenAI has no such field."""
    sessions = body.get("sessions", 1)
    if type(sessions) is not int or not 1 <= sessions <= MAX_SESSIONS:
        message = f"'sessions' is not a whole number from 1 to {MAX_SESSIONS}"
        raise ProtocolError(message, param="sessions")
    return sessions


def _session(grant: Grant) -> dict[str, Any]:
    return grant.config.wire(session_id=new_id("sess"), expires_at=grant.expires_at)
