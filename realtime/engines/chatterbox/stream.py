"""One line on its way through the voice: what was asked for, and how far it is."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from realtime.audio import Int16
from realtime.edges import Edges
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.decoder import Row
from realtime.engines.chatterbox.synthesizer import Job, Sound
from realtime.engines.chatterbox.tail import silent_run
from realtime.engines.chatterbox.variant import Sampling
from realtime.engines.chatterbox.watermark import MarkedStream

SPEECH_TOKENS = 6_561
"""Tokens from here on are marks, or belong to nothing; S3Gen has no sound for them."""
TOKEN_S = 0.04


@dataclass(frozen=True)
class Request:
    """What is to be said, by whom, and how."""

    text: str
    language: str | None
    conditionals: Conditionals
    sampling: Sampling
    exaggeration: float
    speed: float
    seed: int
    fewest_tokens: int
    """Before so many, silence is a pause."""
    max_tokens: int


@dataclass(eq=False)
class Stream:
    """Made on the loop; `cancelled` is written there, everything else by the worker's thread.

    `sounds` carries 16-bit chunks at 24 kHz, then None; or the error that ended it. It is bounded
    by `max_tokens`: 40 ms of sound a token.
    """

    request: Request
    owner: Hashable
    loop: asyncio.AbstractEventLoop
    sounds: asyncio.Queue[Int16 | Exception | None] = field(default_factory=asyncio.Queue)
    since_s: float = field(default_factory=time.perf_counter)
    cancelled: bool = False
    row: Row | None = None
    sound: Sound | None = None
    tokens: list[int] = field(default_factory=list)
    """Those that have a sound."""
    read: int = 0
    """Of the row's tokens, how many were looked at."""
    started: bool = False
    """A first chunk was made."""
    steps_at_cancel: int = 0
    number: int = field(default_factory=itertools.count().__next__)
    marked: MarkedStream | None = None
    """From here on: the finishing thread's."""
    edges: Edges | None = None
    level: float = 0.0
    """Of its speech so far."""

    def cancel(self) -> None:
        """Nothing more is wanted of it."""
        if not self.cancelled:
            self.steps_at_cancel = self.row.steps if self.row else 0
            self.cancelled = True

    def take(self) -> Row:
        """Look at the tokens that its row has got since; the row."""
        assert self.row is not None
        new = self.row.tokens[self.read :]
        self.read += len(new)
        self.tokens.extend(token for token in new if token < SPEECH_TOKENS)
        return self.row

    @property
    def spoken(self) -> bool:
        """No more tokens will come."""
        return self.row is not None and self.row.ended

    @property
    def silence_s(self) -> float:
        """At its end, as far as its tokens tell; the finishing threads cut it off."""
        return silent_run(self.tokens) * TOKEN_S / self.request.speed if self.tokens else 0.0

    def job(self) -> Job:
        """The chunk that could be made now."""
        assert self.sound is not None
        return Job(self.sound, self.tokens, self.spoken)

    def deliver(self, item: Int16 | Exception | None) -> None:
        """To whoever listens, from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and so nobody listens
            self.loop.call_soon_threadsafe(self.sounds.put_nowait, item)
