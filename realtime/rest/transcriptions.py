"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a file in, its words out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
import numpy as np
from aiohttp import web

from realtime.engines import Engines, Transcript, Utterance
from realtime.engines.sound_file import read_sound
from realtime.metrics import Metrics
from realtime.recording import hear_recording
from realtime.rest.asked import FORMATS, Asked, read_asked
from realtime.rest.event_stream import DONE, begin, event, send
from realtime.rest.gone import while_connected
from realtime.rest.problem import ClientGone, problem_of, too_many
from realtime.rest.upload import Form, read_form
from realtime.subtitles import srt, vtt
from realtime.transcription_body import (
    Recorded,
    delta_event,
    done_event,
    json_body,
    verbose_body,
)

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"

MAX_FILES = 16
"""Uploads and recordings under way at once; more are refused with 429."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class UploadLimits:
    """What is taken of one file."""

    mib: int = 100
    minutes: float = 240.0


class TranscriptionRoutes:
    """`decoders` read files, and `pool` writes answers; `engines` is asked for anew by each
    request."""

    def __init__(
        self,
        engines: Callable[[], Engines],
        metrics: Metrics,
        pool: Executor,
        decoders: Executor,
        limits: UploadLimits,
    ) -> None:
        self._engines, self._metrics, self._limits = engines, metrics, limits
        self._pool, self._decoders = pool, decoders
        self._under_way = 0

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(TRANSCRIPTIONS, self.transcribe),
            web.post(TRANSLATIONS, self.translate),
        ]

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """The words as they were said."""
        return await self._answer(request, translate=False)

    async def translate(self, request: web.Request) -> web.StreamResponse:
        """The words in English. A recogniser that knows English alone is given English speech."""
        return await self._answer(request, translate=True)

    async def _answer(self, request: web.Request, *, translate: bool) -> web.StreamResponse:
        if self._under_way >= MAX_FILES:
            raise too_many("files")
        self._under_way += 1
        try:
            async with read_form(request, max_bytes=self._limits.mib << 20) as form:
                asked = read_asked(form, self._engines().transcriber.reach)
                self._metrics.count("files.asked")
                work = self._stream if asked.stream else self._whole
                return await while_connected(request, work(request, form, asked, translate))
        except ClientGone:
            self._metrics.count("files.gone")
            raise
        finally:
            self._under_way -= 1

    async def _whole(
        self, request: web.Request, form: Form, asked: Asked, translate: bool
    ) -> web.StreamResponse:
        heard = Recorded()
        async with aclosing(self._hear(form, asked, translate)) as transcripts:
            async for transcript in transcripts:
                add(heard, transcript)
        task = "translate" if translate else "transcribe"
        body = await self._written(_told, heard, asked, task)
        kind = FORMATS[asked.response_format]
        charset = "utf-8" if kind.startswith("text/") else None
        return web.Response(body=body, content_type=kind, charset=charset)

    async def _stream(
        self, request: web.Request, form: Form, asked: Asked, translate: bool
    ) -> web.StreamResponse:
        """Each window's text as it is heard; the answer begins with the first, so that a file that
        cannot be read is still refused by its status."""
        heard = Recorded()
        response: web.StreamResponse | None = None
        try:
            async with aclosing(self._hear(form, asked, translate)) as transcripts:
                async for transcript in transcripts:
                    response = response or await begin(request)
                    said = add(heard, transcript)
                    if said:
                        words = [word for p in transcript.passages for word in p.words]
                        told = delta_event(said, words if asked.logprobs else None)
                        await send(response, event(told))
        except ClientGone:
            raise
        except Exception as error:
            if response is None:
                raise
            await send(response, event({"type": "error", **problem_of(error).body()}))
            return response
        response = response or await begin(request)
        await send(response, await self._written(_ended, heard, asked))
        return response

    async def _written(self, write: Callable[..., bytes], *given: object) -> bytes:
        """On a thread: hours of speech are megabytes of words."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, write, *given)

    async def _hear(
        self, form: Form, asked: Asked, translate: bool
    ) -> AsyncGenerator[Transcript, None]:
        transcriber = self._engines().transcriber
        how = Utterance(
            np.zeros(0, np.int16),
            language=asked.language,
            prompt=asked.prompt,
            hotwords=asked.hotwords,
            words=asked.words,
            translate=translate,
            temperature=asked.temperature,
        )
        longest_s = self._limits.minutes * 60
        sound = read_sound(form.file, self._decoders, longest_s=longest_s)
        owner = f"file-{next(_numbers)}"
        async with (
            aclosing(sound) as blocks,
            aclosing(hear_recording(blocks, transcriber, how, owner=owner)) as transcripts,
        ):
            async for transcript in transcripts:
                self._metrics.observe("files.window_s", transcript.seconds)
                yield transcript


def add(heard: Recorded, transcript: Transcript) -> str:
    """Take one window into the whole; what its text adds to the text of the whole."""
    before = len(heard.text)
    heard.seconds += transcript.seconds
    heard.passages += transcript.passages
    if transcript.passages:
        heard.language = transcript.language
    return heard.text[before:]


def _ended(heard: Recorded, asked: Asked) -> bytes:
    """The end of the events."""
    return event(done_event(heard, logprobs=asked.logprobs)) + DONE


def _told(heard: Recorded, asked: Asked, task: str) -> bytes:
    """The body of the answer."""
    kind = asked.response_format
    if kind == "verbose_json":
        body = verbose_body(heard, task=task, granularities=asked.granularities)
        return msgspec.json.encode(body)
    if kind == "json":
        return msgspec.json.encode(json_body(heard, logprobs=asked.logprobs))
    if kind == "text":
        return f"{heard.text}\n".encode()
    return (srt(heard.segments) if kind == "srt" else vtt(heard.segments)).encode()
