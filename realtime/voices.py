"""`/v1/audio/voices`: list the voices, add one from a recording, remove one.

In the form of OpenAI's API. Whoever can add a voice can make this server speak as somebody, so
adding and removing are off unless the server has keys; listing is as open as the rest of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from realtime.engines import DEFAULT_VOICE, KnownVoice, VoiceStore
from realtime.errors import VoiceRefused
from realtime.openai_error import error_body

log = logging.getLogger("banter.voices")

PATH = "/v1/audio/voices"
MAX_CLIP_BYTES = 10 * 2**20
MAX_TEXT_BYTES = 4_096
MAX_PARTS = 16
PIECE_BYTES = 65_536
UPLOAD_TIMEOUT_S = 60.0
MAX_UPLOADS = 4
AGAIN_S = 5

BROKEN_FORM = (ValueError, AssertionError, web.HTTPException, HttpProcessingError)
"""What aiohttp raises of a form that is none."""

CLIP_FIELDS = ("audio_sample", "file")
"""OpenAI's name for it, and that of its other uploads."""

STATUS = {
    "invalid_name": 400,
    "voice_protected": 403,
    "voice_not_found": 404,
    "voice_exists": 409,
    "too_many_voices": 409,
    "unsupported_audio": 415,
    "unsuitable_clip": 422,
    "busy": 429,
    "storage_failed": 500,
}


class _Refusal(Exception):
    """An answer other than a voice."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


@dataclass
class _Upload:
    """The parts of a form that count."""

    name: str | None = None
    clip: bytes | None = None
    consent: str = ""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class VoiceRoutes:
    """`store` is None where the voice cannot be given others. `keyed` is whether the server has
    keys, which every request has shown by the time it gets here."""

    def __init__(self, store: VoiceStore | None, *, keyed: bool) -> None:
        self._store, self._keyed = store, keyed
        self._uploads = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PATH, _answering(self.list)),
            web.post(PATH, _answering(self.add)),
            web.delete(PATH + "/{name}", _answering(self.remove)),
        ]

    async def list(self, request: web.Request) -> web.Response:
        known = self._store.describe() if self._store else (KnownVoice(DEFAULT_VOICE),)
        can_add = self._store is not None and self._keyed
        shown = [_shown(voice) for voice in known]
        return web.json_response({"object": "list", "data": shown, "can_add": can_add})

    async def add(self, request: web.Request) -> web.Response:
        """Multipart: `name`, `audio_sample`, and `consent`, which is kept beside the voice."""
        store = self._changeable()
        if self._uploads >= MAX_UPLOADS:
            raise _Refusal(429, "too many uploads at once; try again", "busy")
        self._uploads += 1
        try:
            upload = await _read(request)
            if not upload.name:
                raise _Refusal(400, "the form has no field name", "missing_field", "name")
            if not upload.clip:
                raise _Refusal(400, "the form has no audio", "missing_field", CLIP_FIELDS[0])
            voice = await store.add(upload.name, upload.clip, consent=upload.consent)
        finally:
            self._uploads -= 1
        return web.json_response(_shown(voice))

    async def remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await self._changeable().remove(name)
        return web.json_response({"id": name, "object": "audio.voice.deleted", "deleted": True})

    def _changeable(self) -> VoiceStore:
        if not self._keyed:
            raise _Refusal(
                403,
                "voices are added and removed only on a server with keys: start it with "
                "BANTER_API_KEYS, and show one of them",
                "keys_not_set",
            )
        if self._store is None:
            raise _Refusal(
                400,
                "this server's voice cannot be given others; start it with --voice chatterbox",
                "voice_cannot_clone",
            )
        return self._store


def _shown(voice: KnownVoice) -> dict[str, Any]:
    return {
        "id": voice.name,
        "object": "audio.voice",
        "name": voice.name,
        "created_at": voice.created_at,
        "seconds": voice.seconds,
    }


def _answering(handle: Callable[[web.Request], Awaitable[web.Response]]) -> Handler:
    """Refusals become answers in OpenAI's form."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except _Refusal as refusal:
            return _error(refusal.status, str(refusal), refusal.code, refusal.param)
        except VoiceRefused as refusal:
            return _error(STATUS.get(refusal.code, 400), str(refusal), refusal.code, None)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _error(500, "the server failed", "internal_error", None)

    return answer


def _error(status: int, message: str, code: str, param: str | None) -> web.Response:
    """OpenAI's clients try a 409 and a 500 again unless they are told not to."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = {"x-should-retry": "false"}
    if status == 429:
        headers = {"Retry-After": str(AGAIN_S)}
    body = error_body(message, kind=kind, code=code, param=param)
    return web.json_response(body, status=status, headers=headers)


async def _read(request: web.Request) -> _Upload:
    if not request.content_type.startswith("multipart/"):
        raise _Refusal(415, "multipart/form-data is needed", "unsupported_media_type")
    if (request.content_length or 0) > MAX_CLIP_BYTES + MAX_PARTS * MAX_TEXT_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(UPLOAD_TIMEOUT_S):
            return await _parts(request)
    except TimeoutError:
        raise _Refusal(408, "the upload takes too long", "timeout") from None
    except BROKEN_FORM as error:
        raise _Refusal(400, f"the form cannot be read: {error}", "invalid_form") from error


async def _parts(request: web.Request) -> _Upload:
    upload = _Upload()
    form = await request.multipart()
    for _ in range(MAX_PARTS):
        part = await form.next()
        if part is None:
            return upload
        if not isinstance(part, BodyPartReader):
            break
        if part.name in CLIP_FIELDS:
            upload.clip = await _body(part, MAX_CLIP_BYTES)
            continue
        text = (await _body(part, MAX_TEXT_BYTES)).decode()
        if part.name == "name":
            upload.name = text.strip()
        elif part.name == "consent":
            upload.consent = text
    raise _Refusal(400, f"a form has at most {MAX_PARTS - 1} plain fields", "invalid_form")


async def _body(part: BodyPartReader, limit: int) -> bytes:
    body = bytearray()
    while piece := await part.read_chunk(PIECE_BYTES):
        body += piece
        if len(body) > limit:
            raise _too_large()
    return bytes(body)


def _too_large() -> _Refusal:
    return _Refusal(
        413,
        f"at most {MAX_CLIP_BYTES >> 20} MiB of audio and {MAX_TEXT_BYTES} bytes of a text field "
        "are taken",
        "too_large",
    )
