"""When people begin to speak and what they say: seeded, so that two runs are alike. Pure.

Times are seconds; a generator of random numbers comes in and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

Thing = TypeVar("Thing")

THINK_LEAST_S, THINK_MOST_S = 2.0, 6.0
THINK_SCALE_S = 2.0


@dataclass(frozen=True)
class Arrival:
    """An utterance of a trace: when it comes, and which one of those at hand it is."""

    at_s: float
    which: int


def think_s(random: Random) -> float:
    """A pause for thought: 2 s, and then exponential (mean 2 s before it is cut) up to 6 s."""
    cut = 1 - math.exp(-(THINK_MOST_S - THINK_LEAST_S) / THINK_SCALE_S)
    return THINK_LEAST_S - THINK_SCALE_S * math.log(1 - random.random() * cut)


def endless(things: list[Thing], random: Random) -> Iterator[Thing]:
    """All of them in a shuffled order, again and again, shuffled anew each time."""
    while True:
        yield from random.sample(things, len(things))


def poisson(rate_per_s: float, count: int, kinds: int, random: Random) -> list[Arrival]:
    """`count` arrivals, each independent of all others, of `kinds` utterances in endless order."""
    order, at_s = endless(list(range(kinds)), random), 0.0
    arrivals = []
    for _ in range(count):
        at_s += random.expovariate(rate_per_s)
        arrivals.append(Arrival(at_s, next(order)))
    return arrivals


def burst(within_s: float, count: int, kinds: int, random: Random) -> list[Arrival]:
    """`count` arrivals spread evenly at random over `within_s`, in order of time."""
    order = endless(list(range(kinds)), random)
    return [
        Arrival(at_s, next(order))
        for at_s in sorted(random.uniform(0, within_s) for _ in range(count))
    ]
