"""Front ends and their places: who calls is let in where most places are free, or told to go."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import simpy

from benchmarks.planning.answer import Stages
from benchmarks.planning.caller import Caller, Counts


class Doorway:
    """Conversations come and go. What is refused does not come again."""

    def __init__(
        self,
        env: simpy.Environment,
        fronts: list[Stages],
        counts: Counts,
        random: Random,
        *,
        places: int,
    ) -> None:
        self.came = self.refused = 0
        self._env, self._fronts, self._counts, self._random = env, fronts, counts, random
        self._free = [places] * len(fronts)
        self._callers = 0

    @property
    def open(self) -> int:
        """Conversations under way."""
        return self._callers

    def stay(self, count: int, *, within_s: float) -> None:
        """So many callers come within this time, and stay for ever."""
        for number in range(count):
            begin_s = self._random.uniform(0.0, within_s)
            self._let_in(number % len(self._fronts), lambda: False, begin_s=begin_s)

    def come(self, rate_per_s: float, call_s: float) -> simpy.events.ProcessGenerator:
        """Callers come at random, and stay for an exponential time."""
        while True:
            yield self._env.timeout(self._random.expovariate(rate_per_s))
            self.enter(call_s)

    def enter(self, call_s: float) -> bool:
        """Somebody calls; whether there was a place."""
        self.came += 1
        front = max(range(len(self._free)), key=self._free.__getitem__)
        if not self._free[front]:
            self.refused += 1
            return False
        ends_s = self._env.now + self._random.expovariate(1 / call_s)
        self._let_in(front, lambda: self._env.now >= ends_s)
        return True

    def _let_in(self, front: int, over: Callable[[], bool], *, begin_s: float = 0.0) -> None:
        """His place is taken now, so that who comes in the same moment sees it."""
        self._free[front] -= 1
        self._callers += 1
        self._fronts[front].ear.open += 1
        self._env.process(self._one(begin_s, front, over))

    def _one(
        self, begin_s: float, front: int, over: Callable[[], bool]
    ) -> simpy.events.ProcessGenerator:
        yield self._env.timeout(begin_s)
        random = Random(self._random.getrandbits(64))
        yield from Caller(self._fronts[front], self._counts, random, over).talk()
        self._callers -= 1
        self._fronts[front].ear.open -= 1
        self._free[front] += 1


def fronts_for(conversations: float, places: int, refused: float = 1e-3) -> int:
    """Front ends of so many places that refuse at most this share, by Erlang's formula."""
    fronts = max(1, math.ceil(conversations / places))
    while blocked(conversations, fronts * places) > refused:
        fronts += 1
    return fronts


def blocked(offered: float, places: int) -> float:
    """Erlang's B: the share of callers who find all places taken."""
    share = 1.0
    for n in range(1, places + 1):
        share = offered * share / (n + offered * share)
    return share
