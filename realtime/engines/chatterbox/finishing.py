"""What is done to sound after the model: noise after the words, watermark, silent ends, 16 bits.

On threads of their own, because the watermark takes some 15 ms of a core for each second of sound
and the model's thread has better things to do. A line stays on one thread, so its chunks stay in
order. There is no bound of its own: what waits here is what the model has made, and each line's
sound is bounded by its tokens.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass

import numpy as np
import torch

from realtime.audio import VOICE_RATE_HZ, Float32, ms_to_samples, to_pcm16
from realtime.edges import Edges
from realtime.engines.chatterbox.stream import Stream
from realtime.engines.chatterbox.tail import speech_end, speech_level
from realtime.engines.chatterbox.watermark import Watermark
from realtime.errors import VoiceError
from realtime.metrics import Metrics

log = logging.getLogger("banter.chatterbox")

HEAD_SAMPLES = ms_to_samples(20, VOICE_RATE_HZ)
"""Kept before the first audible sample of a line."""
TAIL_SAMPLES = ms_to_samples(180, VOICE_RATE_HZ)
"""Kept after the last: the pause before the next line."""


@dataclass(frozen=True)
class _Chunk:
    stream: Stream
    sound: Float32
    last: bool
    error: Exception | None = None


class Finisher:
    """`push` and `end` are called on the model's thread and return at once."""

    def __init__(self, watermark: Watermark, *, threads: int, metrics: Metrics) -> None:
        self._watermark, self._metrics = watermark, metrics
        self._queues: list[queue.SimpleQueue[_Chunk | None]] = [
            queue.SimpleQueue() for _ in range(threads)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(q,), name=f"banter-finish-{i}", daemon=True)
            for i, q in enumerate(self._queues)
        ]

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    @property
    def trouble(self) -> str:
        """Why they have to be replaced; empty while they work, or have not begun."""
        begun = all(thread.ident is not None for thread in self._threads)
        return "a finishing thread died" if begun and not self.alive else ""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def abandon(self) -> None:
        """Stop after what was pushed; nobody waits for that."""
        for q in self._queues:
            q.put(None)

    def close(self) -> None:
        """Stop after what was pushed. Blocks."""
        for q in self._queues:
            q.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def push(self, stream: Stream, sound: Float32, *, last: bool) -> None:
        """The next sound of a line, 24 kHz in [-1, 1]."""
        self._queue(stream).put(_Chunk(stream, sound, last))

    def end(self, stream: Stream, error: Exception) -> None:
        """The line ends with an error, after what was pushed."""
        self._queue(stream).put(_Chunk(stream, np.zeros(0, np.float32), True, error))

    def _queue(self, stream: Stream) -> queue.SimpleQueue[_Chunk | None]:
        return self._queues[stream.number % len(self._queues)]

    def _work(self, chunks: queue.SimpleQueue[_Chunk | None]) -> None:
        torch.set_num_threads(1)
        while (chunk := chunks.get()) is not None:
            stream = chunk.stream
            if chunk.error or stream.cancelled:
                stream.deliver(chunk.error)
                continue
            try:
                self._finish(chunk)
            except Exception:
                log.exception("a chunk could not be finished")
                self._metrics.count("voice.failed")
                stream.deliver(VoiceError("the voice failed on this piece"))
                stream.cancel()  # the model has nobody to work for any more

    def _finish(self, chunk: _Chunk) -> None:
        begun_s = time.perf_counter()
        stream = chunk.stream
        stream.marked = stream.marked or self._watermark.open()
        stream.edges = stream.edges or Edges(head=HEAD_SAMPLES, tail=TAIL_SAMPLES)
        sound = chunk.sound
        stream.level = max(stream.level, speech_level(sound, VOICE_RATE_HZ))
        if chunk.last:
            sound = sound[: speech_end(sound, VOICE_RATE_HZ, stream.level) + TAIL_SAMPLES]
        sound = stream.marked.push(sound, chunk.last)
        sound = stream.edges.push(sound, last=chunk.last)
        self._metrics.observe("voice.finish_ms", (time.perf_counter() - begun_s) * 1e3)
        if len(sound):
            stream.deliver(to_pcm16(sound))
        if chunk.last:
            stream.deliver(None)
