"""Which jobs run together, and when: the policy of the batcher, without threads or a clock.

An idle engine takes what is there at once; work gathers only while it runs. A batch is made of jobs
of one rank and one key, one job of an owner at most, as many as fit into `max_batch` and, by what
runs took so far, into `max_batch_s`. Finals leave before speculations, these before partials, and
partials before files. Every `PATIENCE`-th batch is for files all the same, so that they do not wait
for ever; speculations and partials may: they never pass a final, and whoever asked gives them up.

The encoder of Whisper costs the same for each window of a batch, its decoder hardly more for eight
than for one: so a batch is worth it, and its length is what everybody in it waits for.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from realtime.fair_queue import FairQueue, Waiting

Job = TypeVar("Job")

FINAL = 0
SPECULATION = 1
"""Words of a turn that is perhaps over: they become the final's if it is."""
PARTIAL = 2
"""Words of a turn that goes on: to be shown, not to be answered."""
FILE = 3

PATIENCE = 8
"""While files wait behind others, one of so many batches is for them."""

FILE_BATCH_S = 0.25
"""Files go together only as long as their batch is predicted to take no longer: nobody listens to
them, and a caller who stops speaking while they run waits for all of it."""

RUNS_KEPT = 16

FIRST_RUNS = 3
"""Before so many, nobody knows how long a run takes: kernels may be compiled in it."""

LOST_AFTER = 20
"""Times as long as predicted, an engine that does not come back is taken to be lost: a machine that
is busy with other things makes a run some times as long, and not twenty."""

FIXED_SHARE = 0.5
"""While all runs were of one weight: the part of a run that is taken not to grow with it. High
enough to try a larger batch, and its run then tells."""


@dataclass
class Pace:
    """How long a run takes: a fixed part and one for each unit of weight, from the last runs.

    A line through them by Theil and Sen (the median of the slopes between all pairs): a run that
    the machine held up says nothing.
    """

    fixed_s: float = 0.0
    each_s: float = 0.0
    _runs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RUNS_KEPT))

    def ran(self, weight: float, seconds: float) -> None:
        """Add a run."""
        self._runs.append((weight, seconds))
        slopes = [
            (b_s - a_s) / (b - a)
            for (a, a_s), (b, b_s) in itertools.combinations(self._runs, 2)
            if abs(b - a) > 1e-3
        ]
        if slopes:
            self.each_s = max(0.0, statistics.median(slopes))
        else:
            typical_s = statistics.median(took_s for _, took_s in self._runs)
            self.each_s = (1 - FIXED_SHARE) * typical_s / max(weight, 1e-3)
        left = [took_s - self.each_s * w for w, took_s in self._runs]
        self.fixed_s = max(0.0, statistics.median(left))

    def predict_s(self, weight: float) -> float:
        """How long a run of this weight will take; 0 where nothing has run yet."""
        return self.fixed_s + self.each_s * weight

    def patience_s(self, weight: float, *, least_s: float, most_s: float) -> float:
        """How long a run of this weight is waited for, within these bounds; until there were
        `FIRST_RUNS`, for the longest."""
        if len(self._runs) < FIRST_RUNS:
            return most_s
        return min(most_s, max(least_s, LOST_AFTER * self.predict_s(weight)))


@dataclass
class BatchQueue(Generic[Job]):
    """A fair queue that hands out batches. `max_cost` bounds what waits; see `FairQueue.push`."""

    max_batch: int
    max_cost: float
    max_batch_s: float | None = None
    """A batch of more than one job is predicted to take no longer than this."""
    pace: Pace = field(default_factory=Pace)
    _passed_over: int = 0

    def __post_init__(self) -> None:
        self._waiting: FairQueue[Job] = FairQueue(self.max_cost)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def cost(self) -> float:
        """The summed cost of what waits."""
        return self._waiting.cost

    def cost_until(self, rank: int) -> float:
        """The summed cost of what waits and is more urgent than this rank."""
        return self._waiting.cost_until(rank)

    @property
    def most_urgent(self) -> int | None:
        """The first rank of which something waits; None where nothing does."""
        return min(self._waiting.ranks, default=None)

    def push(
        self,
        job: Job,
        *,
        owner: Hashable,
        cost: float = 1.0,
        rank: int = FINAL,
        key: Hashable = None,
        weight: float = 1.0,
    ) -> bool:
        """Add a job; False where the bound would be passed and this owner has a job waiting."""
        return self._waiting.push(job, owner=owner, cost=cost, rank=rank, key=key, weight=weight)

    def remove(self, job: Job, *, owner: Hashable) -> bool:
        """Take back a job that nobody waits for any more; False if it has left already."""
        return self._waiting.remove(job, owner=owner)

    def promote(self, owner: Hashable) -> None:
        """This owner's speculations are finals from now on."""
        self._waiting.move(owner, rank=SPECULATION, to=FINAL)

    def next_batch(self) -> list[Waiting[Job]]:
        """The jobs to run now; empty only if nothing waits."""
        first = self._waiting.pop(rank=self._next_rank())
        if first is None:
            return []
        batch, owners = [first], {first.owner}
        weight = first.weight

        def fits(entry: Waiting[Job]) -> bool:
            if entry.key != first.key or entry.owner in owners:
                return False
            limit_s = self.max_batch_s
            if limit_s is not None and first.rank >= FILE:
                limit_s = min(limit_s, FILE_BATCH_S)
            return limit_s is None or self.pace.predict_s(weight + entry.weight) <= limit_s

        while len(batch) < self.max_batch:
            entry = self._waiting.pop(fits, rank=first.rank)
            if entry is None:
                break
            batch.append(entry)
            owners.add(entry.owner)
            weight += entry.weight
        return batch

    def ran(self, batch: list[Waiting[Job]], seconds: float) -> None:
        """Tell how long a batch took; later batches are cut by it."""
        self.pace.ran(sum(entry.weight for entry in batch), seconds)

    def _next_rank(self) -> int | None:
        ranks = self._waiting.ranks
        if len(ranks) < 2 or ranks[-1] < FILE:
            self._passed_over = 0
            return ranks[0] if ranks else None
        self._passed_over += 1
        if self._passed_over < PATIENCE:
            return ranks[0]
        self._passed_over = 0
        return ranks[-1]
