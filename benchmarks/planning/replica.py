"""A replica of an engine: one worker, the server's own queue before it, a device under it.

`BatchReplica` is Whisper, or a voice that speaks one piece at a time: an idle worker takes what is
there, as `realtime.batching.BatchQueue` hands it out, and is gone for as long as the run takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

import simpy

from benchmarks.planning.device import Device
from benchmarks.planning.job import FAILED, MADE, REFUSED, Job
from benchmarks.planning.service import Line, PieceVoice, Recogniser
from realtime.allowance import Allowance
from realtime.batching import PARTIAL, SPECULATION, BatchQueue
from realtime.engines.embedded_voice import MAX_WAITING_CHARS
from realtime.engines.whisper import (
    MAX_BATCH,
    MAX_BATCH_S,
    MAX_WAITING_S,
    PARTIAL_BURST_S,
    PARTIAL_SHARE,
    PARTIAL_WINDOWS,
    SPECULATION_BURST_S,
    SPECULATION_SHARE,
)
from realtime.fair_queue import Waiting


class BatchReplica:
    """`cost` of a job is in the unit of the queue's bound; see `BatchQueue`."""

    def __init__(
        self,
        env: simpy.Environment,
        device: Device,
        run: Line,
        *,
        queue: BatchQueue[Job],
        random: Random,
        said_s: float = 0.0,
    ) -> None:
        self.ran_s: defaultdict[int, float] = defaultdict(float)
        """Seconds that it worked so far, by rank."""
        self.batches: list[int] = []
        self.alive = True
        self._env, self._device, self._line, self._random = env, device, run, random
        self._queue, self._said_s = queue, said_s
        self._batch: Sequence[Waiting[Job]] = ()
        self._wake = env.event()
        self._lives = 0
        env.process(self._work())

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return self.alive and not self._batch and not len(self._queue)

    @property
    def queued_s(self) -> float:
        """Seconds of audio that wait or are worked on."""
        return self._queue.cost + sum(entry.cost for entry in self._batch)

    spare = free = True
    """Whether there is time for what may turn out to be of no use; a voice does not ask itself."""

    def free_for(self, rank: int) -> bool:
        """Nothing of this rank or a more urgent one runs or waits."""
        most_urgent = self._queue.most_urgent
        waits = most_urgent is not None and most_urgent <= rank
        runs = bool(self._batch) and self._batch[0].rank <= rank
        return self.alive and not waits and not runs

    def predict_s(self, weight: float) -> float:
        """How long a run of this weight takes, by the last runs."""
        return self._queue.pace.predict_s(weight)

    def submit(self, job: Job) -> None:
        """Take a job, or refuse it."""
        job.replica, job.asked_s = self, self._env.now
        if not self.alive:
            job.over(FAILED)
            return
        taken = self._queue.push(
            job, owner=job.owner, cost=job.audio_s, rank=job.rank, key=job.key, weight=job.weight
        )
        if not taken:
            job.over(REFUSED)
        elif not self._wake.triggered:
            self._wake.succeed()

    def withdraw(self, job: Job) -> None:
        """Nobody wants it any more; a run that has begun goes on."""
        job.gone = True
        self._queue.remove(job, owner=job.owner)

    def promote(self, job: Job) -> None:
        """It is a final from now on."""
        job.rank = min(job.rank, 0)
        self._queue.promote(job.owner)

    def fail(self) -> list[Job]:
        """It is lost with all that it has; gives the jobs that somebody still wants."""
        lost = [entry.job for entry in self._batch]
        while batch := self._queue.next_batch():
            lost += [entry.job for entry in batch]
        self.alive, self._batch = False, ()
        self._lives += 1
        return [job for job in lost if not job.gone]

    def revive(self) -> None:
        """It is there again, and has nothing."""
        self.alive = True
        self._env.process(self._work())

    def _work(self) -> simpy.events.ProcessGenerator:
        life = self._lives
        while life == self._lives:
            batch = self._queue.next_batch()
            if not batch:
                self._wake = self._env.event()
                yield self._wake
                continue
            self._batch, begun_s = batch, self._env.now
            self.batches.append(len(batch))
            more_s = self._said_s * max(entry.job.audio_s for entry in batch)
            weight = sum(entry.weight for entry in batch)
            work_s = self._line.seconds(weight, self._random, more_s=more_s)
            yield self._device.run(work_s, self._line.width).done
            if life != self._lives:
                return
            took_s = self._env.now - begun_s
            self._queue.ran(batch, took_s)
            self.ran_s[batch[0].rank] += took_s
            self._batch = ()
            for entry in batch:
                if not entry.job.gone:
                    entry.job.sounds(entry.job.audio_s)
                    entry.job.over(MADE)


class RecogniserReplica(BatchReplica):
    """Whisper, with the shares of its time that words ahead of a turn's end may take. Features are
    computed before, on a thread of their own: on the same device where they have a width."""

    def __init__(
        self, env: simpy.Environment, device: Device, how: Recogniser, random: Random
    ) -> None:
        queue: BatchQueue[Job] = BatchQueue(MAX_BATCH, MAX_WAITING_S, MAX_BATCH_S)
        super().__init__(env, device, how.run, queue=queue, random=random, said_s=how.said_s)
        features: BatchQueue[Job] = BatchQueue(1, MAX_WAITING_S)
        beside = device if how.features.width else Device(env)
        self._features = BatchReplica(env, beside, how.features, queue=features, random=random)
        self._allowance = Allowance(PARTIAL_SHARE, PARTIAL_BURST_S)
        self._ahead = Allowance(SPECULATION_SHARE, SPECULATION_BURST_S)
        self._partial_s = min(*PARTIAL_WINDOWS, how.windows_s[0])
        self._first_s = how.windows_s[0]

    def submit(self, job: Job) -> None:
        """Take a job: first its features, then it stands in line."""
        job.asked_s = self._env.now

        def computed(fate: str) -> None:
            if job.gone:
                return
            if fate == MADE:
                super(RecogniserReplica, self).submit(job)
            else:
                job.over(fate)

        self._features.submit(
            Job(job.owner, job.audio_s, job.audio_s, computed, rank=job.rank, key=job)
        )
        job.replica = self

    def promote(self, job: Job) -> None:
        """It is a final from now on, here or on its way through the features."""
        self._features.promote(job)
        super().promote(job)

    def fail(self) -> list[Job]:
        """It is lost with all that it has, features too."""
        under_way = [lost.key for lost in self._features.fail()]
        waiting = (job for job in under_way if isinstance(job, Job) and not job.gone)
        return [*super().fail(), *waiting]

    def revive(self) -> None:
        """It is there again, and has nothing."""
        self._features.revive()
        super().revive()

    @property
    def spare(self) -> bool:  # type: ignore[override]
        """A partial would begin at once and is within their share of the time."""
        cost_s = self.predict_s(self._partial_s)
        spent_s = self.ran_s[PARTIAL]
        covered = self._allowance.covers(cost_s, at_s=self._env.now, spent_s=spent_s)
        return covered and self.idle

    @property
    def free(self) -> bool:  # type: ignore[override]
        """A speculation may begin."""
        cost_s = self.predict_s(self._first_s)
        spent_s = self.ran_s[SPECULATION]
        covered = self._ahead.covers(cost_s, at_s=self._env.now, spent_s=spent_s)
        return covered and self.free_for(SPECULATION)


class PieceReplica(BatchReplica):
    """A voice that speaks one piece at a time, all of it before the first sound."""

    def __init__(
        self, env: simpy.Environment, device: Device, how: PieceVoice, random: Random
    ) -> None:
        bound_s = MAX_WAITING_CHARS * how.s_per_char
        super().__init__(env, device, how.run, queue=BatchQueue(1, bound_s), random=random)
