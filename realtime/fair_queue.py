"""Which waiting job runs next: a pure queue, fair among owners, bounded by cost.

Each owner (a session) has its own line. Jobs leave round-robin over owners, and of one owner in the
order in which they came; a lower `rank` leaves before a higher one over all owners. When the bound
is reached, `push` refuses those who have something waiting already; nothing is ever dropped to make
room. So one owner cannot lock the others out, and the bound is passed by one job an owner at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")


@dataclass(frozen=True)
class Waiting(Generic[Job]):
    """A job in the queue. `cost` is in the unit of the bound, such as seconds of audio."""

    job: Job
    owner: Hashable
    cost: float = 1.0
    rank: int = 0
    key: Hashable = None
    """For a caller who picks: jobs that can run together share it."""
    weight: float = 1.0
    """For a caller who picks: what the job adds to the time of a run."""


def anyone(waiting: Waiting[Any]) -> bool:
    """Accepts every job."""
    return True


@dataclass
class FairQueue(Generic[Job]):
    """A queue bounded by the summed cost of what waits in it (`max_cost`)."""

    max_cost: float
    cost: float = 0.0
    _ranks: dict[int, dict[Hashable, deque[Waiting[Job]]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(line) for lines in self._ranks.values() for line in lines.values())

    @property
    def ranks(self) -> list[int]:
        """The ranks of which jobs wait, the most urgent first."""
        return sorted(self._ranks)

    def push(
        self,
        job: Job,
        *,
        owner: Hashable,
        cost: float = 1.0,
        rank: int = 0,
        key: Hashable = None,
        weight: float = 1.0,
    ) -> bool:
        """Add a job; False where the bound would be passed and this owner has a job waiting."""
        if self.cost + cost > self.max_cost and self.waits(owner):
            return False
        lines = self._ranks.setdefault(rank, {})
        lines.setdefault(owner, deque()).append(Waiting(job, owner, cost, rank, key, weight))
        self.cost += cost
        return True

    def cost_until(self, rank: int) -> float:
        """The summed cost of what waits and is more urgent than this rank."""
        urgent = [lines for each, lines in self._ranks.items() if each < rank]
        return sum(entry.cost for lines in urgent for line in lines.values() for entry in line)

    def waits(self, owner: Hashable) -> bool:
        """True if a job of this owner is in the queue."""
        return any(owner in lines for lines in self._ranks.values())

    def pop(
        self, accept: Callable[[Waiting[Job]], bool] = anyone, *, rank: int | None = None
    ) -> Waiting[Job] | None:
        """The next job whose entry is accepted, or None; its owner goes to the end of the round.

        Only the first job of each owner's line is offered: nobody overtakes himself. With `rank`,
        jobs of that rank alone.
        """
        for each in self.ranks if rank is None else [rank]:
            lines = self._ranks.get(each, {})
            owner = next((o for o, line in lines.items() if accept(line[0])), _NOBODY)
            if owner is not _NOBODY:
                line = lines.pop(owner)
                taken = line.popleft()
                if line:
                    lines[owner] = line
                self._left(taken)
                return taken
        return None

    def remove(self, job: Job, *, owner: Hashable) -> bool:
        """Take a job out wherever it stands; False if it is not here. Nobody's place changes."""
        for lines in self._ranks.values():
            for entry in lines.get(owner, ()):
                if entry.job is job:
                    lines[owner].remove(entry)
                    if not lines[owner]:
                        del lines[owner]
                    self._left(entry)
                    return True
        return False

    def move(self, owner: Hashable, *, rank: int, to: int) -> None:
        """Give an owner's jobs of one rank another, behind those that he has there already."""
        lines = self._ranks.get(rank, {})
        if line := lines.pop(owner, None):
            there = self._ranks.setdefault(to, {}).setdefault(owner, deque())
            there.extend(replace(entry, rank=to) for entry in line)
            if not lines:
                del self._ranks[rank]

    def _left(self, entry: Waiting[Job]) -> None:
        if not self._ranks[entry.rank]:
            del self._ranks[entry.rank]
        # sums of floats drift: an empty queue weighs nothing
        self.cost = max(0.0, self.cost - entry.cost) if self._ranks else 0.0


_NOBODY = object()
