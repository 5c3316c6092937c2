"""Which waiting job runs next: a pure queue, fair among owners, bounded by cost.

Each owner (a session) has its own line. Jobs leave round-robin over owners, and of one owner in the
order in which they came; a lower `rank` leaves before a higher one over all owners. When the bound
is reached, `push` refuses those who have something waiting already; nothing is ever dropped to make
room. So one owner cannot lock the others out, and the bound is passed by one job an owner at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")

_NOBODY = object()


@dataclass(frozen=True)
class Waiting(Generic[Job]):
    """A job in the queue. `cost` is in the unit of the bound, such as seconds of audio."""

    job: Job
    owner: Hashable
    cost: float


@dataclass
class FairQueue(Generic[Job]):
    """A queue bounded by the summed cost of what waits in it (`max_cost`)."""

    max_cost: float
    cost: float = 0.0
    _ranks: dict[int, dict[Hashable, deque[Waiting[Job]]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(line) for lines in self._ranks.values() for line in lines.values())

    def push(self, job: Job, *, owner: Hashable, cost: float = 1.0, rank: int = 0) -> bool:
        """Add a job; False where the bound would be passed and this owner has a job waiting."""
        if self.cost + cost > self.max_cost and self.waits(owner):
            return False
        lines = self._ranks.setdefault(rank, {})
        lines.setdefault(owner, deque()).append(Waiting(job, owner, cost))
        self.cost += cost
        return True

    def waits(self, owner: Hashable) -> bool:
        """True if a job of this owner is in the queue."""
        return any(owner in lines for lines in self._ranks.values())

    def pop(self, without: Container[Hashable] = ()) -> Job | None:
        """The next job, or None. Its owner goes to the end of the round.

        Jobs of the owners in `without` stay where they are.
        """
        for rank in sorted(self._ranks):
            lines = self._ranks[rank]
            owner = next((o for o in lines if o not in without), _NOBODY)
            if owner is _NOBODY:
                continue
            line = lines.pop(owner)
            taken = line.popleft()
            if line:
                lines[owner] = line
            if not lines:
                del self._ranks[rank]
            self.cost = max(0.0, self.cost - taken.cost) if self._ranks else 0.0
            return taken.job
        return None
