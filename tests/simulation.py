"""The batcher's policy with a clock of its own: arrivals and a model of service time in, waits out.

One engine, as in the server: it takes a batch whenever it is idle and something waits. Seconds are
those of the trace; nothing here sleeps.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from realtime.batching import FINAL, BatchQueue
from realtime.fair_queue import Waiting


@dataclass(eq=False)
class Arrival:
    """A job of a trace, and what became of it."""

    at: float
    owner: Hashable
    rank: int = FINAL
    key: Hashable = 15.0
    cost: float = 5.0
    weight: float = 1.0
    gone_after: float = float("inf")
    """Its owner leaves so long after it came."""
    fate: str = "waits"
    begun: float = float("nan")
    done: float = float("nan")

    @property
    def took(self) -> float:
        return self.done - self.at


@dataclass(frozen=True)
class Service:
    """How long a batch runs: Whisper's shape, a fixed part and one for each item.

    The figures are those of tiny.en on two cores: 60 ms and 120 ms for an utterance in 15 s.
    """

    fixed_s: float = 0.06
    each_s: float = 0.12

    def __call__(self, batch: Sequence[Arrival]) -> float:
        return self.fixed_s + self.each_s * sum(job.weight for job in batch)


@dataclass
class Run:
    """What happened: every batch with its begin and end."""

    queue: BatchQueue[Arrival]
    service: Service
    batches: list[tuple[float, float, list[Arrival]]] = field(default_factory=list)
    most_cost: float = 0.0

    @property
    def busy_s(self) -> float:
        return sum(end - begin for begin, end, _ in self.batches)


def simulate(
    arrivals: Sequence[Arrival], queue: BatchQueue[Arrival], service: Service | None = None
) -> Run:
    """Play a trace to its end; fates and times are written into the arrivals."""
    run = Run(queue, service or Service())
    coming = sorted(arrivals, key=lambda job: job.at)
    waiting: list[Arrival] = []
    free_at, n = 0.0, 0
    while n < len(coming) or waiting:
        now = free_at if waiting else max(free_at, coming[n].at)
        # all that happened until the engine is free, in its order
        while n < len(coming) and coming[n].at <= now:
            _leave(run, waiting, coming[n].at)
            _arrive(run, waiting, coming[n])
            n += 1
        _leave(run, waiting, now)
        batch = run.queue.next_batch()
        if batch:
            free_at = _serve(run, waiting, batch, now)
    return run


def _arrive(run: Run, waiting: list[Arrival], job: Arrival) -> None:
    taken = run.queue.push(
        job, owner=job.owner, cost=job.cost, rank=job.rank, key=job.key, weight=job.weight
    )
    job.fate = "waits" if taken else "refused"
    if taken:
        waiting.append(job)
    run.most_cost = max(run.most_cost, run.queue.cost)


def _leave(run: Run, waiting: list[Arrival], now: float) -> None:
    for job in [job for job in waiting if job.at + job.gone_after <= now]:
        assert run.queue.remove(job, owner=job.owner)
        job.fate = "gone"
        waiting.remove(job)


def _serve(run: Run, waiting: list[Arrival], batch: list[Waiting[Arrival]], now: float) -> float:
    jobs = [entry.job for entry in batch]
    seconds = run.service(jobs)
    for job in jobs:
        assert job.fate == "waits", "served twice, or after its owner left"
        job.fate, job.begun, job.done = "served", now, now + seconds
        waiting.remove(job)
    run.queue.ran(batch, seconds)
    run.batches.append((now, now + seconds, jobs))
    return now + seconds
