"""Cores or a GPU that several engines share: who runs beside others runs slower.

A run has a width, the cores that it keeps busy while it is alone (CPU seconds over wall seconds).
While the widths of all that run add up to more than there is, each gets its share:

    rate = capacity / (sum of widths + taken)     but never more than 1

That is what a fair scheduler makes of threads that wait for each other at barriers: the slowest
thread sets the pace. A GPU is a device of capacity 1, and a run on it has width 1: two processes
take turns, and each is half as fast. `taken` is what others have of the device all the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import simpy


@dataclass(eq=False)
class Run:
    """One piece of work under way."""

    work_s: float
    """What it takes alone."""
    width: float
    done: simpy.Event
    left_s: float
    """As of the device's last look."""


class Device:
    """`run` gives an event that comes when the work is done."""

    def __init__(
        self, env: simpy.Environment, capacity: float = 1.0, *, taken: float = 0.0
    ) -> None:
        if not capacity > 0:
            raise ValueError(f"a device has more than nothing, not {capacity}")
        self.capacity, self.taken = capacity, taken
        self.since_s = env.now
        self.busy_s = 0.0
        """Seconds of its whole capacity that runs have used so far."""
        self._env = env
        self._runs: list[Run] = []
        self._looked_s = env.now
        self._plan = 0

    @property
    def rate(self) -> float:
        """Seconds of work that each run gets done in a second."""
        wanted = sum(run.width for run in self._runs) + self.taken
        return min(1.0, self.capacity / wanted) if wanted else 1.0

    def run(self, work_s: float, width: float = 1.0) -> Run:
        """Begin a piece of work now."""
        self._look()
        run = Run(work_s, width, self._env.event(), work_s)
        self._runs.append(run)
        self._plan_ahead()
        return run

    def worked_s(self, run: Run) -> float:
        """So much of a run is done by now."""
        self._look()
        return run.work_s - run.left_s

    def shorten(self, run: Run, work_s: float) -> None:
        """From now on this is all that is to be done of a run, or what it has done already."""
        worked_s = self.worked_s(run)
        run.work_s = max(work_s, worked_s)
        run.left_s = run.work_s - worked_s
        self._plan_ahead()

    def _look(self) -> None:
        """Note what was done since the last look."""
        passed_s = self._env.now - self._looked_s
        self._looked_s = self._env.now
        if not (passed_s and self._runs):
            return
        done_s = passed_s * self.rate
        for run in self._runs:
            run.left_s -= done_s
            self.busy_s += done_s * run.width / self.capacity

    def _plan_ahead(self) -> None:
        """Wake when the next run is done, unless something else happens before."""
        self._plan += 1
        if not self._runs:
            return
        left_s = max(0.0, min(run.left_s for run in self._runs))
        wake = self._env.timeout(left_s / self.rate, self._plan)
        wake.callbacks.append(self._wake)  # type: ignore[union-attr]

    def _wake(self, event: simpy.Event) -> None:
        if event.value != self._plan:
            return
        self._look()
        over = [run for run in self._runs if run.left_s <= 1e-9]
        self._runs = [run for run in self._runs if run.left_s > 1e-9]
        for run in over:
            run.left_s = 0.0
            run.done.succeed()
        self._plan_ahead()
