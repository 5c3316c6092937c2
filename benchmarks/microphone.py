"""A microphone that never stops: 20 ms of audio every 20 ms, speech when there is some, or silence.

Samples are counted from the first one sent, at 24 kHz. A chunk is sent when its last sample would
have been recorded, on a schedule fixed at the start, so lateness does not add up.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from itertools import count

import numpy as np

from benchmarks.clips import SAMPLE_RATE_HZ, Pcm
from benchmarks.news import News

CHUNK_MS = 20
CHUNK_SAMPLES = SAMPLE_RATE_HZ * CHUNK_MS // 1000
SILENCE = np.zeros(0, np.int16)


class Microphone:
    """Feeds one call, and remembers when each sample left."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self.sent_samples = 0
        self.late_ms: list[float] = []
        """How far behind its schedule each chunk was: the fault of this side, not the server."""
        self._send = send
        self._waiting = SILENCE
        self._news = News()
        self._on = asyncio.Event()
        self._on.set()
        self._firsts: list[int] = []
        self._stamps: list[float] = []

    def say(self, pcm: Pcm) -> int:
        """Speak after what is still to be said; gives the number its first sample will have."""
        first_sample = self.sent_samples + self._waiting.size
        self._waiting = np.concatenate([self._waiting, pcm])
        return first_sample

    def hush(self) -> None:
        """Drop what is still to be said and go on with silence."""
        self._waiting = SILENCE

    def mute(self) -> None:
        """Send nothing at all any more, not even silence."""
        self._on.clear()

    def unmute(self) -> None:
        """Send again, on a new schedule."""
        self._on.set()

    async def send_at_once(self, pcm: Pcm) -> None:
        """One message with any amount of audio, however short a time it takes to send."""
        if self._waiting.size:
            raise ValueError("speech is waiting: its samples would change their numbers")
        await self._deliver(pcm)

    def sent_at(self, sample: int) -> float:
        """When the message that held this sample was handed to the socket."""
        if not 0 <= sample < self.sent_samples:
            raise ValueError(f"sample {sample} is not among the {self.sent_samples} sent")
        return self._stamps[bisect_right(self._firsts, sample) - 1]

    async def sent(self, sample: int, timeout_s: float = 120.0) -> float:
        """Wait until this sample has been sent; gives the time."""
        await self._news.until(lambda: self.sent_samples > sample or None, timeout_s)
        return self.sent_at(sample)

    async def run(self) -> None:
        """Send a chunk each 20 ms while not muted, for ever."""
        while True:
            await self._on.wait()
            await self._run_schedule(time.perf_counter())

    async def _run_schedule(self, begun_at: float) -> None:
        """Chunks on an absolute schedule from one moment on, until muted."""
        for chunk in count(1):
            due_at = begun_at + chunk * CHUNK_MS / 1000
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            if not self._on.is_set():
                return
            self.late_ms.append((time.perf_counter() - due_at) * 1000)
            await self._deliver(self._next_chunk())

    def _next_chunk(self) -> Pcm:
        """20 ms of what is to be said, filled up with silence."""
        chunk, self._waiting = self._waiting[:CHUNK_SAMPLES], self._waiting[CHUNK_SAMPLES:]
        return np.pad(chunk, (0, CHUNK_SAMPLES - chunk.size))

    async def _deliver(self, pcm: Pcm) -> None:
        """Stamp and count a message, then send it."""
        self._firsts.append(self.sent_samples)
        self._stamps.append(time.perf_counter())
        self.sent_samples += pcm.size
        await self._send(pcm.tobytes())
        self._news.tell()
