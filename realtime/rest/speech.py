"""`POST /v1/audio/speech`: a text in, its sound out, from the first chunk of the first sentence on.

A sentence is a job of the voice, and the next is asked for when this one has been sent: a client
who reads slowly waits alone. Where a live caller's sentence waits too, that one goes first.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from realtime.audio import VOICE_RATE_HZ, Int16
from realtime.batching import PARTIAL
from realtime.engines import DEFAULT_VOICE, Engines, Line, Voice
from realtime.engines.sound_encoder import FORMATS, SoundEncoder
from realtime.metrics import Metrics
from realtime.rest.event_stream import CONTENT_TYPE, begin, event, send
from realtime.rest.gone import while_connected
from realtime.rest.problem import ClientGone, Problem, problem_of, too_many, unread
from realtime.sentences import SentenceCutter
from realtime.speakable import speakable
from realtime.voice_choice import OPENAI_VOICES, chosen_voice

PATH = "/v1/audio/speech"
MAX_SPEECHES = 32
"""Under way at once; more are refused with 429."""

BODY_S = 30.0
"""In which the whole of a request's body comes."""

MAX_CHARS = 4_096
AUDIO_TOKENS_PER_S = 20
"""OpenAI's count of spoken audio, for `usage`."""

FASTEST = 1.5
"""The protocol has 4, but from 2 on the embedded voice swallows words: it is told, not mumbled."""

CHARS_PER_TOKEN = 4
"""Of text, likewise."""

Result = TypeVar("Result")

_numbers = itertools.count(1)


class VoiceId(msgspec.Struct):
    """A voice by its id, which here is its name."""

    id: str


class SpeechRequest(msgspec.Struct, kw_only=True):
    """The body. What else a client sends is ignored."""

    input: Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]
    model: str = "tts-1"
    voice: str | VoiceId = DEFAULT_VOICE
    instructions: str = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=FASTEST)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"


def read_request(data: bytes) -> SpeechRequest:
    """JSON to a request; fields that are null count as left out.

    Raises:
        Problem: it cannot be followed; names the field.
    """
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"the body is not JSON: {error}"
        raise Problem(400, message, code="invalid_json") from None
    if not isinstance(body, dict):
        raise Problem(400, "the body is not a JSON object", code="invalid_json")
    given = {key: value for key, value in body.items() if value is not None}
    try:
        return msgspec.convert(given, SpeechRequest)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        param = where.rstrip("`").partition(".")[0] or _missing(what)
        message = f"'{param}': {what}" if where else what
        if param == "speed":
            message += f"; voices here are understood from 0.25 to {FASTEST:g} times their pace"
        raise Problem(400, message, code="invalid_value", param=param) from None


def _missing(message: str) -> str | None:
    """The field that msgspec misses: it says "Object missing required field `input`"."""
    return message.split("`")[1] if "required field" in message else None


class SpeechRoutes:
    """`pool` cuts and encodes; `engines` is asked for anew by each request."""

    def __init__(self, engines: Callable[[], Engines], metrics: Metrics, pool: Executor) -> None:
        self._engines, self._metrics, self._pool = engines, metrics, pool
        self._under_way = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.speak)]

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """Sound, or events with it. The answer begins when the first sound is there."""
        if request.content_type != "application/json":
            message = "send JSON, with `Content-Type: application/json`"
            raise Problem(415, message, code="unsupported_media_type")
        if self._under_way >= MAX_SPEECHES:
            raise too_many("speeches")
        self._under_way += 1
        try:
            asked = read_request(await _body(request))
            voice = self._engines().voice
            name = _voice(asked, voice.names())
            manner = Line("", voice=name, speed=asked.speed, rank=PARTIAL)
            said = await self._in_pool(pieces, asked.input, voice)
            lines = [replace(manner, text=text) for text in said]
            if not lines:
                message = "'input' holds nothing that can be said"
                raise Problem(400, message, code="invalid_value", param="input")
            self._metrics.count("speeches.asked")
            return await while_connected(request, self._answer(request, asked, voice, lines))
        except ClientGone:
            self._metrics.count("speeches.gone")
            raise
        finally:
            self._under_way -= 1

    async def _answer(
        self, request: web.Request, asked: SpeechRequest, voice: Voice, lines: Sequence[Line]
    ) -> web.StreamResponse:
        events = asked.stream_format == "sse"
        kind = CONTENT_TYPE if events else FORMATS[asked.response_format].content_type
        response: web.StreamResponse | None = None
        samples = 0
        try:
            async with aclosing(self._encoded(asked.response_format, voice, lines)) as sounds:
                async for made, data in sounds:
                    samples += made
                    response = response or await begin(request, kind)
                    if data:
                        await send(response, event(_delta(data)) if events else data)
        except ClientGone:
            raise
        except Exception as error:
            if response is None or not events:
                raise  # the answer is cut off, which says that it is not whole
            await send(response, event({"type": "error", **problem_of(error).body()}))
            return response
        response = response or await begin(request, kind)
        if events:
            await send(response, event(_done(asked.input, samples)))
        return response

    async def _encoded(
        self, name: str, voice: Voice, lines: Sequence[Line]
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Samples that went in, and bytes that came out, of each chunk of each line."""
        encoder, owner = await self._in_pool(SoundEncoder, name), f"speech-{next(_numbers)}"
        try:
            async for audio in _spoken(voice, lines, owner):
                yield len(audio), await self._in_pool(encoder.push, audio)
            yield 0, await self._in_pool(encoder.finish)
        finally:
            await self._in_pool(encoder.close)

    async def _in_pool(self, work: Callable[..., Result], *given: Any) -> Result:
        """On a thread, to the end even when cancelled: nobody closes an encoder meanwhile."""
        running = asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            raise


async def _body(request: web.Request) -> bytes:
    """
    Raises:
        Problem: it does not come, or cannot be read.
        ClientGone: the client left before its end.
    """
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        message = f"the body did not come within {BODY_S:g} s"
        raise Problem(408, message, code="timeout") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        raise unread(request, error) from error


async def _spoken(voice: Voice, lines: Sequence[Line], owner: str) -> AsyncGenerator[Int16, None]:
    for line in lines:
        async with aclosing(voice.speak(line, owner=owner)) as chunks:
            async for audio in chunks:
                if len(audio):
                    yield audio


def pieces(text: str, voice: Voice) -> list[str]:
    """What can be said of a text, cut as a reply is: a clause first, then sentences."""
    cutter = SentenceCutter(shortest_chars=voice.shortest_chars)
    cut = [*cutter.push(text), *cutter.flush()]
    return [said for said in map(speakable, cut) if said]


def _voice(asked: SpeechRequest, names: Sequence[str]) -> str:
    """
    Raises:
        Problem: there is no such voice; lists those that there are.
    """
    name = asked.voice if isinstance(asked.voice, str) else asked.voice.id
    if name not in names and name not in OPENAI_VOICES:
        message = (
            f"'voice': there is no voice '{name}'; there are {', '.join(names)}, and OpenAI's "
            f"names, which mean {names[0]}"
        )
        raise Problem(400, message, code="invalid_value", param="voice")
    return chosen_voice(name, names)


def _delta(data: bytes) -> dict[str, Any]:
    return {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()}


def _done(text: str, samples: int) -> dict[str, Any]:
    said = round(len(text) / CHARS_PER_TOKEN)
    sound = round(samples / VOICE_RATE_HZ * AUDIO_TOKENS_PER_S)
    usage = {"input_tokens": said, "output_tokens": sound, "total_tokens": said + sound}
    return {"type": "speech.audio.done", "usage": usage}
