"""In place of the engines' weights: every answer is known to the last sample, and fails at will.

The recogniser's decoder knows a clip by its length, llama.cpp is a server that says what it was
told, and the voice makes of each text a sound of its own. `TROUBLE` is what one caller says;
whatever fails, fails on that.
"""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from aiohttp import web

from realtime.audio import Int16
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.whisper_model import Heard, Window
from realtime.hypothesis import Hypothesis
from realtime.metrics import Metrics
from tests.client import clip, quiet
from tests.llm_endpoint import Answer, Endpoint, finish, words

PATIENCE_S = 30.0
"""Nobody waits for ever: an event that does not come within this is a failure."""


@dataclass(frozen=True)
class Saying:
    """What a caller says, and what a decoder makes of it."""

    name: str
    seconds: float
    words: str

    @cached_property
    def audio(self) -> bytes:
        return quiet(0.3) + clip(self.name)[: int(self.seconds * 48_000)] + quiet(0.8)


CONCORD = Saying("ls_6930_0000", 1.4, "concord returned to its place")
FROG = Saying("vctk_p287_004_clean", 2.4, "we need a big toy frog")
TROUBLE = Saying("ls_mlx", 3.6, "trouble is what i am")
SAYINGS = (CONCORD, FROG, TROUBLE)


class Gate:
    """Holds up an engine's thread: on all work, or on trouble alone, until it is opened."""

    def __init__(self) -> None:
        self._all, self._trouble = threading.Event(), threading.Event()

    def close(self, *, to_trouble: bool = False) -> None:
        (self._trouble if to_trouble else self._all).clear()

    def open(self) -> None:
        self._all.set()
        self._trouble.set()

    def pass_through(self, texts: Sequence[str]) -> None:
        """Called on the engine's thread."""
        assert self._all.wait(PATIENCE_S)
        if any(TROUBLE.words in text for text in texts):
            assert self._trouble.wait(PATIENCE_S)


@dataclass
class Decoder:
    """The recogniser's weights, on its thread."""

    batches: list[list[str]] = field(default_factory=list)
    busy_with: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    """Raised on a batch that trouble is in."""
    gate: Gate = field(default_factory=Gate)

    def __call__(self, batch: Sequence[Window]) -> list[Heard]:
        said = [min(SAYINGS, key=lambda s: abs(s.seconds - w.seconds)).words for w in batch]
        self.batches.append(said)
        self.busy_with[:] = said
        self.gate.pass_through(said)
        self.busy_with.clear()
        if self.failure and TROUBLE.words in said:
            raise self.failure
        return [
            Heard(Hypothesis(words, len(words.split()), -0.1, 0.0, window.seconds), "en")
            for words, window in zip(said, batch, strict=True)
        ]


class Llama(Endpoint):
    """llama.cpp's server, as a language model that says what it was told."""

    failure: Answer | None = None
    """Its answer to trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        """Replies that have begun go on when it is set."""
        self.replies = 0
        """Asked for so far; preparations are not counted."""

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        said = asked["messages"][-1]["content"]
        self.replies += asked["max_tokens"] > 1
        if self.failure and TROUBLE.words in said:
            return await self.failure(self, request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):  # he wants no more
            await self._say(response, *reply_to(said))
        return response

    async def _say(self, response: web.StreamResponse, first: str, second: str) -> None:
        await _send(response, reading(0))
        await _send(response, words(first))
        while not self.gate.is_set():  # it is held up, not stuck
            await _send(response, reading(0))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.gate.wait(), 0.05)
        await _send(response, words(second))
        await _send(response, finish())


async def _send(response: web.StreamResponse, line: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(line)}\n\n".encode())


def reading(tokens: int) -> dict[str, Any]:
    """The line that tells how much of a prompt of 1,000 tokens is read."""
    return {"choices": [], "prompt_progress": {"total": 1_000, "cache": 0, "processed": tokens}}


def reply_to(said: str) -> tuple[str, str]:
    """The two pieces of the language model's answer."""
    return f"You said {said}. ", "That is all."


class Voice(EmbeddedVoice):
    """The voice with a model that makes a sound of its own of each text."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics=metrics)
        self.spoken: list[str] = []
        self.failure: BaseException | None = None
        self.gate = Gate()
        self.long = False
        """Trouble takes minutes to say."""

    def run(self, batch: Sequence[Any]) -> list[Int16]:
        for piece in batch:
            self.spoken.append(piece.text)
            self.gate.pass_through([piece.text])
            if self.failure and TROUBLE.words in piece.text:
                raise self.failure
        return [
            np.tile(sound_of(p.text), 500 if self.long and TROUBLE.words in p.text else 1)
            for p in batch
        ]


def sound_of(text: str) -> Int16:
    """10 ms for each character, of noise that no other text has."""
    noise = np.random.default_rng(zlib.crc32(text.encode()))
    return noise.integers(-9_000, 9_000, 240 * len(text), dtype=np.int16)
