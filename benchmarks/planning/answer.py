"""One answer in the making: the words of a turn, the reply's first piece, its sound.

It is begun in a pause that may be the end of the turn (a draft, at a rank behind all others), or
when the turn is over; a draft that was right goes on as what it is then. Each stage follows the
one before at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import simpy

from benchmarks.planning.ear import Ear
from benchmarks.planning.habits import Clip, Habits
from benchmarks.planning.job import MADE, Job
from benchmarks.planning.pool import Link
from benchmarks.planning.writer import Writer
from realtime.audio import EAR_RATE_HZ
from realtime.batching import FINAL, SPECULATION
from realtime.recognition import Windows
from realtime.turns import TAIL_MS, TurnSettings

PREFIX_S = TurnSettings().prefix_padding_ms / 1e3
TAIL_S = TAIL_MS / 1e3
MIN_AUDIO_S = 1 / EAR_RATE_HZ


@dataclass(frozen=True)
class Stages:
    """What a caller's turns go through."""

    env: simpy.Environment
    habits: Habits
    hearing: Link
    voice: Link
    writer: Writer
    judged: Callable[[object, Callable[[str], object]], Callable[[], None]]
    """Puts an owner's pause before the end-of-turn model; the answer is told. What it gives takes
    the question back."""
    ear: Ear
    windows: Windows
    s_per_char: float


class Answer:
    """`words`, `sound` and `whole` are events; their value tells whether it went well.

    `stop` ends it: what waits is taken back, what runs is made for nobody.
    """

    def __init__(
        self,
        stages: Stages,
        owner: object,
        voiced_s: float,
        reply: Clip,
        *,
        draft: bool,
        replies: bool = True,
    ) -> None:
        env = stages.env
        self.words, self.sound = env.event(), env.event()
        self.whole = env.event()
        """All of it is made, or a stage failed."""
        self.released = not draft
        self.asked_for_reply = self.stopped = False
        self.heard_until_s: float | None = None
        """When the caller has heard all that was made so far."""
        self.dry_s = 0.0
        """How long he heard nothing in between."""
        self.marks: dict[str, float] = {"begun": env.now}
        """When its stages were over."""
        self._stages, self._env, self._owner = stages, env, owner
        self._voiced_s, self._reply, self._replies = voiced_s, reply, replies
        self._held_s = 0.0
        self._job: Job | None = None
        self._pool = stages.hearing
        self._goes_on = env.event()
        if self.released:
            self._goes_on.succeed()
        env.process(self._make())

    def release(self) -> None:
        """The turn is over as it was guessed."""
        self.released = True
        self._goes_on.succeed()
        if self._job:
            self._pool.promote(self._job)
        if self._held_s:
            self._play(self._held_s)

    def stop(self) -> None:
        """Nobody waits for it any more. The words of a turn that is over are still looked for."""
        self.stopped = True
        if self._job and (self.words.triggered or not self.released):
            self._pool.withdraw(self._job)

    @property
    def failed(self) -> bool:
        """A stage failed."""
        return self.whole.triggered and not self.whole.value

    @property
    def _rank(self) -> int:
        return FINAL if self.released else SPECULATION

    def _make(self) -> simpy.events.ProcessGenerator:
        heard = yield from self._hear()
        self._mark("words")
        self.words.succeed(heard)
        if not heard:
            self._end(False)
            return
        if not self.released and not self._replies:
            yield self._goes_on  # no guess any more: it is begun when the turn is over
        if self.stopped:
            return
        self.asked_for_reply = True
        yield self._stages.writer.first_words()
        self._mark("text")
        if not self.stopped:
            yield from self._speak()

    def _hear(self) -> simpy.events.ProcessGenerator:
        """Part by part, as long audio is cut."""
        windows, left_s = self._stages.windows, PREFIX_S + self._voiced_s + TAIL_S
        while left_s > MIN_AUDIO_S:
            part_s = min(left_s, windows.longest_s)
            window_s = windows.first(part_s)
            job = self._job_of(part_s, window_s, key=window_s)
            if (yield from self._asked(self._stages.hearing, job)) != MADE:
                return False
            left_s -= part_s
        return True

    def _speak(self) -> simpy.events.ProcessGenerator:
        for number, chars in enumerate(self._reply.pieces):
            if number:
                yield self._goes_on  # of a draft only the first piece is spoken
            if self.stopped:
                return
            job = self._job_of(chars * self._stages.s_per_char, chars)
            job.sounds = self._heard
            if (yield from self._asked(self._stages.voice, job)) != MADE:
                self._end(False)
                return
        self._end(True)

    def _job_of(self, audio_s: float, weight: float, key: object = None) -> Job:
        return Job(self._owner, audio_s, weight, lambda fate: None, rank=self._rank, key=key)

    def _asked(self, pool: Link, job: Job) -> simpy.events.ProcessGenerator:
        over = self._env.event()
        job.over = over.succeed
        self._pool, self._job = pool, job
        pool.ask(job)
        fate = yield over
        self._job = None
        return fate

    def _heard(self, seconds: float) -> None:
        """A chunk of sound is there; it is played when the one before has been."""
        if self.stopped:
            return
        if not self.sound.triggered:
            self._mark("sound")
            self.sound.succeed(True)
        if self.released:
            self._play(seconds)
        else:
            self._held_s += seconds

    def _play(self, seconds: float) -> None:
        now_s, until_s = self._env.now, self.heard_until_s
        if until_s is not None:
            self.dry_s += max(0.0, now_s - until_s)
        self.heard_until_s = max(now_s, until_s or now_s) + seconds

    def _mark(self, what: str) -> None:
        self.marks[what] = self._env.now

    def _end(self, good: bool) -> None:
        for event in (self.sound, self.whole):
            if not event.triggered:
                event.succeed(good)
