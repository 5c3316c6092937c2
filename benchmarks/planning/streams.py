"""A replica of Chatterbox: lines join one running batch, and sound comes in chunks.

What its worker does next is `realtime.deadlines.next_work`'s answer, as in the server, and where a
line is cut into chunks is that of `chatterbox.chunks`. Steps between which nothing can happen are
taken in one go; who comes meanwhile waits for the step under way. Left out: the watermark, which
has threads of its own, and that a line may end with silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import simpy

from benchmarks.planning.device import Device, Run
from benchmarks.planning.job import FAILED, MADE, REFUSED, Job
from benchmarks.planning.service import ChunkVoice
from realtime.batching import FINAL, SPECULATION
from realtime.deadlines import URGENT_S, Chunk, Work, next_work, step_by
from realtime.engines.chatterbox.chunks import HOP, Progress, Schedule, next_chunk
from realtime.engines.chatterbox.chunks import Chunk as Part
from realtime.engines.chatterbox.pieces import TOKENS_PER_S
from realtime.engines.embedded_voice import MAX_WAITING_CHARS
from realtime.fair_queue import FairQueue

FRAME_S = HOP / 24_000
SCHEDULE = Schedule()
APPENDED = 3
"""Tokens of silence at the end of a line; Turbo's."""
REFERENCE = 100
"""Tokens of the voice, 4 s, that the flow reads again for each chunk."""


@dataclass(eq=False)
class Line:
    """One line in the batch."""

    job: Job
    tokens: int
    """It will have."""
    known: int = 0
    progress: Progress = field(default_factory=Progress)

    @property
    def spoken(self) -> bool:
        """No more tokens come."""
        return self.known >= self.tokens

    @property
    def needed(self) -> int:
        """Tokens that its next chunk wants."""
        return min(self.tokens, SCHEDULE.needed(self.progress.number))

    @property
    def chunk(self) -> Part | None:
        """The next chunk, if it can be made."""
        known, final = self.known, self.spoken
        return next_chunk(SCHEDULE, self.progress, known, final=final, appended=APPENDED)


def parts_of(tokens: int) -> list[Part]:
    """The chunks of a line of so many tokens."""
    line, parts = Line(Job(None, 0.0, 0.0, lambda fate: None), tokens), []
    while not line.progress.ended:
        line.known = line.needed
        if part := line.chunk:
            parts.append(part)
            line.progress = part.after(line.progress)
    return parts


def read_tokens(parts: Iterable[Part]) -> int:
    """What the flow reads for some chunks, the voice included."""
    return sum(REFERENCE + part.tokens for part in parts)


def read_frames(parts: Iterable[Part]) -> int:
    """What the vocoder reads for them."""
    return sum(part.sound_frames for part in parts)


class StreamReplica:
    """The same to whoever asks as `replica.BatchReplica`; a job's weight is its characters."""

    def __init__(
        self, env: simpy.Environment, device: Device, how: ChunkVoice, random: Random
    ) -> None:
        self.alive = True
        self.rows: list[int] = []
        """Lines in each stretch of steps."""
        self._env, self._device, self._how, self._random = env, device, how, random
        self._waiting: FairQueue[Job] = FairQueue(MAX_WAITING_CHARS)
        self._lines: list[Line] = []
        self._dry_s: dict[object, float] = {}
        self._step_s = 0.0
        self._wake = env.event()
        self._steps: tuple[Run, float] | None = None
        """Steps under way, and what one takes alone."""
        self._lives = 0
        env.process(self._work())

    @property
    def idle(self) -> bool:
        return self.alive and not self._lines and not len(self._waiting)

    spare = free = True
    """Nobody asks a voice whether it has time."""

    def submit(self, job: Job) -> None:
        """Take a line."""
        job.replica, job.asked_s = self, self._env.now
        if not self.alive:
            job.over(FAILED)
            return
        if not self._waiting.push(job, owner=job.owner, cost=job.weight, rank=job.rank):
            job.over(REFUSED)
            return
        self._something_new()

    def withdraw(self, job: Job) -> None:
        """It frees its row before the next step, and its owner hears nothing of it any more."""
        job.gone = True
        self._waiting.remove(job, owner=job.owner)
        self._dry_s.pop(job.owner, None)
        self._something_new()

    def promote(self, job: Job) -> None:
        """It is a live line from now on."""
        job.rank = FINAL
        self._waiting.move(job.owner, rank=SPECULATION, to=FINAL)
        self._something_new()

    def fail(self) -> list[Job]:
        """It is lost with all that it has; gives the jobs that somebody still wants."""
        lost = [line.job for line in self._lines]
        while entry := self._waiting.pop():
            lost.append(entry.job)
        self.alive, self._lines, self._steps = False, [], None
        self._dry_s.clear()
        self._lives += 1
        return [job for job in lost if not job.gone]

    def revive(self) -> None:
        """It is there again, and has nothing."""
        self.alive = True
        self._env.process(self._work())

    def _something_new(self) -> None:
        """Wake the worker, or have it look again after the step under way."""
        if self._steps:
            run, step_s = self._steps
            under_way = max(1, math.ceil(self._device.worked_s(run) / step_s - 1e-9))
            self._device.shorten(run, min(run.work_s, under_way * step_s))
        if not self._wake.triggered:
            self._wake.succeed()

    def _work(self) -> simpy.events.ProcessGenerator:
        life = self._lives
        while life == self._lives:
            self._lines = [line for line in self._lines if not line.job.gone]
            due = [(line, part) for line in self._lines if (part := line.chunk)]
            stepping = [line for line in self._lines if not line.spoken]
            lacking = self._step_by_s(stepping)
            work = next_work(
                [self._chunk(*each) for each in due],
                self._env.now,
                can_begin=self._can_begin(len(stepping)),
                can_step=bool(stepping),
                step_by_s=lacking,
            )
            if work is Work.WAIT:
                self._wake = self._env.event()
                yield self._wake
            elif work is Work.BEGIN:
                yield from self._begin()
            elif work is Work.STEP:
                yield from self._take_steps(stepping, [line for line, _ in due])
            elif isinstance(work, list):
                yield from self._make([chunk.line for chunk in work])  # type: ignore[misc]

    def _can_begin(self, rows: int) -> bool:
        most_urgent = min(self._waiting.ranks, default=None)
        free = self._how.streams - rows
        if most_urgent is None or most_urgent == FINAL:
            return most_urgent is not None and free > 0
        return free > 1 or not self._lines

    def _chunk(self, line: Line, part: Part) -> Chunk:
        shape = (part.tokens, part.sound_frames)
        owner = line.job.owner
        return Chunk(line, shape, line.job.asked_s, self._dry_s.get(owner), line.spoken)

    def _step_by_s(self, stepping: list[Line]) -> float | None:
        listeners = (
            (self._dry_s[line.job.owner], line.needed - line.known)
            for line in stepping
            if line.job.owner in self._dry_s
        )
        return step_by(listeners, self._env.now, self._step_s)

    def _begin(self) -> simpy.events.ProcessGenerator:
        entry = self._waiting.pop()
        if entry is None:
            return
        job, life = entry.job, self._lives
        line = Line(job, max(1, round(job.audio_s * TOKENS_PER_S)))
        self._lines.append(line)
        yield self._device.run(self._how.begin.seconds(1, self._random), self._how.begin.width).done
        if life == self._lives and self._dry_s.get(job.owner, 0.0) < self._env.now:
            self._dry_s.pop(job.owner, None)  # what was heard before is long over

    def _take_steps(self, stepping: list[Line], due: list[Line]) -> simpy.events.ProcessGenerator:
        """As many steps as nothing can come between."""
        step_s = self._how.step.seconds(len(stepping), self._random)
        count = min(line.needed - line.known for line in stepping)
        urgent = [self._dry_s[line.job.owner] for line in due if line.job.owner in self._dry_s]
        if urgent:
            calm_s = min(urgent) - URGENT_S - self._env.now
            count = max(1, min(count, int(calm_s / step_s)))
        self.rows.append(len(stepping))
        run = self._device.run(count * step_s, self._how.step.width)
        self._steps, begun_s, life = (run, step_s), self._env.now, self._lives
        yield run.done
        if life != self._lives:
            return
        self._steps = None
        taken = max(1, round(run.work_s / step_s))
        took_s = (self._env.now - begun_s) / taken
        self._step_s += (took_s - self._step_s) / 8 if self._step_s else took_s
        for line in stepping:
            line.known = min(line.tokens, line.known + taken)

    def _make(self, lines: list[Line]) -> simpy.events.ProcessGenerator:
        """The next chunks of these lines, in one run."""
        life, how, random = self._lives, self._how, self._random
        parts = [(line, part) for line in lines if (part := line.chunk)]
        flow_s = how.flow.seconds(read_tokens(part for _, part in parts), random)
        vocoder_s = how.vocoder.seconds(read_frames(part for _, part in parts), random)
        yield self._device.run(flow_s + vocoder_s, how.flow.width).done
        if life != self._lives:
            return
        over: list[Job] = []
        for line, part in parts:
            job = line.job
            line.progress = part.after(line.progress)
            if part.last:
                self._lines.remove(line)
            if job.gone:
                continue
            made_s = (part.sound_until - part.sound_start) * FRAME_S
            self._dry_s[job.owner] = max(self._dry_s.get(job.owner, 0.0), self._env.now) + made_s
            job.sounds(made_s)
            if part.last:
                over.append(job)
        self._forget()
        for job in over:
            job.over(MADE)

    def _forget(self) -> None:
        """Listeners who have nothing in hand any more."""
        inside = {line.job.owner for line in self._lines}
        for owner in [o for o, dry_s in self._dry_s.items() if dry_s < self._env.now]:
            if owner not in inside:
                del self._dry_s[owner]
