"""The thread that owns Chatterbox: lines of all sessions join and leave one running batch.

What it does next is `deadlines.next_work`'s answer; between two pieces of work it looks at what has
come and who has gone. A line that is cancelled frees its row before the next step, and no chunk of
it is made after. An error costs the line it is of: one that fails to begin, one whose chunk fails
even alone. A step that fails costs all lines that were in it, since none can tell whose it was;
out of memory in a step costs the youngest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence

import torch

from realtime.audio import VOICE_RATE_HZ
from realtime.batching import FINAL, PARTIAL, SPECULATION
from realtime.deadlines import Chunk, Work, next_work, step_by
from realtime.engines.chatterbox.decoder import Decoder, Row
from realtime.engines.chatterbox.finishing import Finisher
from realtime.engines.chatterbox.stream import Stream
from realtime.engines.chatterbox.synthesizer import Synthesizer
from realtime.engines.chatterbox.tail import is_over
from realtime.errors import Saturated, VoiceError
from realtime.fair_queue import FairQueue
from realtime.fault import device_lost
from realtime.metrics import Metrics

log = logging.getLogger("banter.chatterbox")

MAX_WAITING_CHARS = 20_000
STUCK_S = 60.0
PACE = 8
"""Steps over which their time is averaged."""


class Worker:
    """`tokenize` is called on the thread; `finisher` takes the sound from there."""

    def __init__(
        self,
        decoder: Decoder,
        synthesizer: Synthesizer,
        finisher: Finisher,
        tokenize: Callable[[str, str | None], list[int]],
        *,
        metrics: Metrics,
        threads: int = 1,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._threads, self._stuck_s = threads, stuck_s
        self._decoder, self._synthesizer, self._finisher = decoder, synthesizer, finisher
        self._tokenize, self._metrics = tokenize, metrics
        self._waiting: FairQueue[Stream] = FairQueue(MAX_WAITING_CHARS)
        self._streams: list[Stream] = []
        self._runs_dry_s: dict[Hashable, float] = {}
        self._hushed: deque[Hashable] = deque()
        """Callers who stopped listening; the thread has yet to note it."""
        self._wake = threading.Condition()
        self._closing = False
        self._begun_s: float | None = None
        self._step_s = 0.0
        self.lost_device = ""
        """What was said when the device was lost to this process; empty while it was not."""
        self.abandoned = False
        self._thread = threading.Thread(target=self._work, name="banter-voice", daemon=True)
        metrics.gauges["voice.depth"] = self._depth
        metrics.gauges["voice.fill"] = lambda: self._waiting.cost / MAX_WAITING_CHARS
        metrics.gauges["voice.lines"] = lambda: len(self._streams)

    def _depth(self) -> int:
        with self._wake:
            return len(self._waiting)

    @property
    def waiting_chars(self) -> float:
        """Characters of live lines that no row is free for."""
        with self._wake:
            return self._waiting.cost_until(PARTIAL)

    @property
    def alive(self) -> bool:
        """False where the thread is gone, stuck, or has lost its device."""
        return self._thread.is_alive() and not self.trouble and not self.lost_device

    @property
    def trouble(self) -> str:
        """Why it has to be replaced; empty while it works, or is not meant to."""
        if self._closing or self._thread.ident is None:
            return ""
        if not self._thread.is_alive():
            return "its worker thread died"
        begun_s = self._begun_s
        worked_s = 0.0 if begun_s is None else time.perf_counter() - begun_s
        if worked_s > self._stuck_s:
            return f"it has been at one piece of work for {worked_s:.1f} s"
        return ""

    @property
    def running(self) -> bool:
        """The thread has not ended."""
        return self._thread.is_alive()

    def abandon(self, error: VoiceError) -> None:
        """Give the thread up: all its lines end with the error, now. When it comes back it ends,
        and what it made is heard by nobody."""
        with self._wake:
            self._closing = self.abandoned = True
            lines = [*self._streams, *(entry.job for entry in iter(self._waiting.pop, None))]
            self._wake.notify()
        for stream in lines:
            stream.deliver(error)
            stream.cancel()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the work under way; all lines get an error. Blocks, but for a thread that was
        given up or is stuck."""
        comes_back = not (self.abandoned or self.trouble)
        with self._wake:
            self._closing = True
            self._wake.notify()
        if comes_back and self._thread.is_alive():
            self._thread.join(STUCK_S)

    def submit(self, stream: Stream, *, rank: int = FINAL) -> None:
        """Take a line. One of a higher rank than `FINAL` begins behind those that wait, and leaves
        the last row free for a live caller.

        Raises:
            Saturated: too much text is waiting.
            VoiceError: the voice is closed or lost.
        """
        with self._wake:
            if self.abandoned:
                raise VoiceError("the voice is being restarted", code="restarting")
            if self._closing or self.lost_device:
                raise VoiceError("the voice is not available", code="shutting_down")
            cost = len(stream.request.text)
            if not self._waiting.push(stream, owner=stream.owner, cost=cost, rank=rank):
                self._metrics.count("voice.refused")
                raise Saturated("voice", "too much is waiting for the voice; try again later")
            self._wake.notify()

    def promote(self, owner: Hashable) -> None:
        """The speculative lines of this owner that wait are live ones from now on."""
        with self._wake:
            self._waiting.move(owner, rank=SPECULATION, to=FINAL)
            self._wake.notify()

    def cancel(self, stream: Stream) -> None:
        """Nothing more is wanted of this line, nor is what its listener has still in hand."""
        stream.cancel()
        with self._wake:
            self._waiting.remove(stream, owner=stream.owner)
            self._hushed.append(stream.owner)
            self._wake.notify()

    def hush(self, owner: Hashable) -> None:
        """Nothing of what this listener has in hand is heard any more."""
        with self._wake:
            self._hushed.append(owner)
            self._wake.notify()

    def _work(self) -> None:
        torch.set_num_threads(self._threads)
        while not self._closing:
            try:
                with self._wake:
                    while not (self._closing or self._streams or len(self._waiting)):
                        self._wake.wait()
                self._begun_s = time.perf_counter()
                self._do_next()
            except Exception as error:
                log.exception("the voice's worker failed")
                self._metrics.count("voice.worker_failed")
                self._notice(error)
                self._fail(self._streams, error)
            finally:
                self._begun_s = None
        self._fail(self._streams, VoiceError("the server is going away", code="shutting_down"))
        with self._wake:
            waiting = [entry.job for entry in iter(self._waiting.pop, None)]
        self._fail(waiting, VoiceError("the server is going away", code="shutting_down"))

    def _do_next(self) -> None:
        """One piece of work, after those who have gone are gone."""
        while self._hushed:
            self._runs_dry_s.pop(self._hushed.popleft(), None)
        for stream in [s for s in self._streams if s.cancelled]:
            self._drop(stream)
        now_s = time.perf_counter()
        can_begin = self._can_begin()
        chunks = [self._chunk(s) for s in self._streams if self._due(s)]
        can_step = any(s.row and not s.row.ended for s in self._streams)
        work = next_work(
            chunks, now_s, can_begin=can_begin, can_step=can_step, step_by_s=self._step_by_s(now_s)
        )
        if work is Work.BEGIN:
            self._begin()
        elif work is Work.STEP:
            self._step()
        elif isinstance(work, list):
            self._make([chunk.line for chunk in work])  # type: ignore[misc]

    def _can_begin(self) -> bool:
        with self._wake:
            most_urgent = min(self._waiting.ranks, default=None)
        if most_urgent is None or most_urgent == FINAL:
            return most_urgent is not None and self._decoder.free > 0
        return self._decoder.free > 1 or not self._streams

    def _step_by_s(self, now_s: float) -> float | None:
        listeners = (
            (self._runs_dry_s[s.owner], self._missing(s))
            for s in self._streams
            if s.owner in self._runs_dry_s
        )
        return step_by(listeners, now_s, self._step_s)

    def _missing(self, stream: Stream) -> int:
        """Tokens that its next chunk still needs."""
        if stream.spoken or stream.sound is None:
            return 0
        return self._synthesizer.needed(stream.sound) - len(stream.tokens)

    def _due(self, stream: Stream) -> bool:
        assert stream.sound is not None
        return self._synthesizer.due(stream.sound, len(stream.tokens), stream.spoken)

    def _chunk(self, stream: Stream) -> Chunk:
        return Chunk(
            stream,
            self._synthesizer.key(stream.job()),
            stream.since_s,
            self._runs_dry_s.get(stream.owner),
            stream.spoken,
        )

    def _begin(self) -> None:
        with self._wake:
            entry = self._waiting.pop()
        if entry is None or entry.job.cancelled:
            return
        stream = entry.job
        asked = stream.request
        self._metrics.observe("voice.wait_ms", (time.perf_counter() - stream.since_s) * 1e3)
        try:
            stream.row = Row(  # before it joins: whatever fails after that gives its place back
                conditionals=asked.conditionals,
                text_tokens=self._tokenize(asked.text, asked.language),
                sampling=asked.sampling,
                seed=asked.seed,
                max_tokens=asked.max_tokens,
                exaggeration=asked.exaggeration,
            )
            self._decoder.join(stream.row)
            stream.sound = self._synthesizer.open(
                asked.conditionals, seed=asked.seed, speed=asked.speed
            )
        except Exception as error:
            self._failed("begin a line", error)
            self._fail([stream], error)
            return
        if self._runs_dry_s.get(stream.owner, 0.0) < time.perf_counter():
            self._runs_dry_s.pop(stream.owner, None)  # what was heard before is long over
        self._streams.append(stream)

    def _step(self) -> None:
        begun_s = time.perf_counter()
        rows = [s.row for s in self._streams if s.row and not s.row.ended]
        try:
            self._decoder.step()
        except torch.OutOfMemoryError as error:
            self._failed("take a step", error)
            self._fail([s for s in self._streams if s.row in rows][-1:], error)
            return
        for stream in self._streams:
            row = stream.take()
            if not row.ended and is_over(stream.tokens, stream.request.fewest_tokens):
                self._decoder.leave(row)
                row.ended = True
                self._metrics.count("voice.ended_by_silence")
        took_s = time.perf_counter() - begun_s
        self._step_s += (took_s - self._step_s) / PACE
        self._metrics.count("voice.steps")
        self._metrics.observe("voice.step_ms", took_s * 1e3)
        self._metrics.observe("voice.rows", len(rows))

    def _make(self, streams: Sequence[Stream]) -> None:
        """The next chunks of these lines, in one run; alone where that fails."""
        begun_s = time.perf_counter()
        try:
            sounds = self._synthesizer.run([stream.job() for stream in streams])
        except Exception as error:
            self._failed(f"make {len(streams)} chunks", error)
            if len(streams) == 1 or self.lost_device:
                self._fail(streams, error)
            else:
                for stream in streams:
                    self._make([stream])
            return
        now_s = time.perf_counter()
        self._metrics.observe("voice.chunk_ms", (now_s - begun_s) * 1e3)
        self._metrics.observe("voice.batch", len(streams))
        for stream, sound in zip(streams, sounds, strict=True):
            if not stream.started:
                stream.started = True
                self._metrics.observe("voice.first_ms", (now_s - stream.since_s) * 1e3)
            dry_s = max(self._runs_dry_s.get(stream.owner, 0.0), now_s)
            last = stream.spoken and not self._due(stream)
            heard_s = len(sound) / VOICE_RATE_HZ - (stream.silence_s if last else 0.0)
            self._runs_dry_s[stream.owner] = dry_s + max(0.0, heard_s)
            self._finisher.push(stream, sound, last=last)
            if last:
                self._streams.remove(stream)
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        """Listeners who have nothing in hand any more."""
        for owner in [o for o, dry_s in self._runs_dry_s.items() if dry_s < now_s]:
            if not any(stream.owner == owner for stream in self._streams):
                del self._runs_dry_s[owner]

    def _drop(self, stream: Stream) -> None:
        self._streams.remove(stream)
        if stream.row:
            self._decoder.leave(stream.row)
            after = stream.row.steps - stream.steps_at_cancel
            self._metrics.observe("voice.steps_after_cancel", after)
        self._metrics.count("voice.cancelled")

    def _failed(self, what: str, error: Exception) -> None:
        """Say it, make room where it was memory, and notice a device that is lost."""
        log.error("the voice could not %s: %s", what, error, exc_info=error)
        if isinstance(error, torch.OutOfMemoryError):
            self._metrics.count("voice.out_of_memory")
            torch.cuda.empty_cache()
        self._notice(error)

    def _notice(self, error: Exception) -> None:
        if device_lost(error):
            self.lost_device = self.lost_device or f"{type(error).__name__}: {error}"

    def _fail(self, streams: Sequence[Stream], error: Exception) -> None:
        shown = error if isinstance(error, VoiceError) else _shown(error)
        for stream in list(streams):
            if stream in self._streams:
                self._streams.remove(stream)
            if stream.row:
                self._decoder.leave(stream.row)
            self._metrics.count("voice.failed")
            self._finisher.end(stream, shown)


def _shown(error: Exception) -> VoiceError:
    if isinstance(error, torch.OutOfMemoryError):
        return VoiceError("the voice ran out of memory on this line", code="out_of_memory")
    return VoiceError("the voice failed on this piece")
