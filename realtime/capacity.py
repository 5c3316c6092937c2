"""How many sessions a machine carries, from what one turn costs it. Pure arithmetic.

    sessions = UTILISATION x CYCLE_S / the larger of
        CPU seconds of a turn, all stages together, divided by the cores
        CPU seconds of a turn in one stage, divided by the threads of its worker

but at least `FEWEST` and at most `MOST`. `CYCLE_S` is a turn with all that belongs to it: somebody
speaks, is answered, listens and thinks. `UTILISATION` leaves the other half for turns that come at
once, for what the costs leave out (the history that the language model reads ahead, engines that
get in each other's way) and for the machine's other work.

Costs are CPU time, not time that passed, because they are measured once, at a moment when anything
may disturb. On two cores alone 38 to 46 sessions come out for an echo and 11 to 13 with the
embedded language model; beside a process that takes one of the cores 42 to 53 and 8. `FEWEST` is
what any error leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CYCLE_S = 15.0
"""5 s of speech, one of waiting, 5 s of reply, 4 s until the next word."""

UTILISATION = 0.5
FEWEST = 4
MOST = 64
"""The speech detector's batch and the language model's line hold as many."""


@dataclass(frozen=True)
class Cost:
    """What one turn costs in one stage."""

    cpu_s: float
    """CPU seconds, of all threads."""
    threads: int = 1
    """On how many of them the stage can be at work at a time."""


@dataclass(frozen=True)
class Capacity:
    """The number of sessions, and the costs that it comes from; none where it was set."""

    sessions: int
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """For `/status`."""
        costs_ms = {stage: round(cost.cpu_s * 1e3) for stage, cost in self.costs.items()}
        return {"max_sessions": self.sessions, "turn_cpu_ms": costs_ms}


def capacity_for(costs: Mapping[str, Cost], cores: int) -> Capacity:
    """The sessions that fit on `cores`, by the formula above."""
    stages = [cost.cpu_s / cost.threads for cost in costs.values()]
    bound_s = max(sum(cost.cpu_s for cost in costs.values()) / cores, *stages)
    fit = int(UTILISATION * CYCLE_S / bound_s) if bound_s > 0 else MOST
    return Capacity(max(FEWEST, min(MOST, fit)), costs)
