"""How many GPUs for so many conversations: the fewest on which nobody waits much longer than alone.

First what one front end carries while the GPUs are idle: that many places it has, or fewer if asked
for, so that the GPUs are what is short when theirs is looked for. What a number of GPUs carries is
looked for by halving, for few of them. More than `cell` are taken to carry as much for each GPU as
the cell does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.planning.cell import simulate
from benchmarks.planning.cluster import Cluster, Layout
from benchmarks.planning.doorway import blocked, fronts_for
from benchmarks.planning.figures import Figures
from benchmarks.planning.habits import Habits
from realtime.capacity import CYCLE_S

ANY_PLACES = 1_000_000
"""In a cell nobody is refused: few places fill up sooner than the same share of many."""

CLOSE = 1.05
"""The most that is carried is found to this factor."""

FRONT_SHARE = 0.25
"""Of what the whole cluster may add to the wait, what the front end may."""

FLOOR, FRONT = 25, 5
"""So many times as long are the runs of few callers that others are compared with: their 95th
percentile must not be chance."""

TURNS = 12
"""For each second asked for: one gap in a hundred replies must not be one reply."""

WARM_S = 45.0
"""Callers begin within 12 s, and are at all places of their turns by then."""


TOLD = ("turns", "dry_percent", "gpu_busy_percent", "utterances_a_run", "queued_s")
"""Of a run, in the curve's rows."""


@dataclass(frozen=True)
class Aim:
    """What must hold."""

    adds_ms: float = 200.0
    """The 95th percentile of the wait may be so much longer than in an idle cluster."""
    adds_dry_percent: float = 1.0
    """Of the replies, those with silence in them that would have none in an idle cluster."""


@dataclass
class Sizing:
    """`base` tells all but the numbers of GPUs and front ends; `voice_share` of the GPUs are the
    voice's alone and the rest the recogniser's, or each holds both where it is None."""

    base: Cluster
    habits: Habits
    aim: Aim = field(default_factory=Aim)
    voice_share: float | None = None
    cell: int = 8
    seconds: float = 120.0
    """At least; few conversations are simulated for longer, until there are turns enough."""
    seed: int = 7
    tell: Callable[[str], None] = lambda text: None
    _most: dict[int, float] = field(default_factory=dict)
    _floor: Figures | None = None
    _places: int | None = None
    _a_gpu: float = 50.0
    """Conversations that a GPU carries, as far as is known."""

    def layout(self, gpus: int) -> Layout:
        """What is on so many GPUs."""
        if self.voice_share is None or gpus < 2:
            return Layout(both=gpus)
        voice = min(gpus - 1, max(1, round(gpus * self.voice_share)))
        return Layout(transcription=gpus - voice, voice=voice)

    @property
    def floor(self) -> Figures:
        """Where nobody waits for anybody."""
        if self._floor is None:
            self._floor = self.run(8, 16, fronts=4, seconds=FLOOR * self.seconds)
        return self._floor

    @property
    def floor_ms(self) -> float:
        """The 95th percentile there."""
        return self.floor.percentile_ms(95)

    @property
    def places(self) -> int:
        """Conversations of a front end: as many as it carries without being what is waited for, and
        no more than `base.places`. Of one machine that does all, `base.places`."""
        if self._places is None:
            self._places = self.base.places if self.base.one_machine else self._front_end()
        return self._places

    def _front_end(self) -> int:
        """What one carries that has GPUs enough, looked for once."""
        share = replace(self.aim, adds_ms=FRONT_SHARE * self.aim.adds_ms)

        def carries(conversations: float) -> bool:
            gpus = max(4, math.ceil(conversations / 4))
            seconds = FRONT * self.seconds
            return self.good(self.run(gpus, conversations, fronts=1, seconds=seconds), share)

        most = self.base.places
        places = most if carries(most) else int(_looked_for(carries, most / 2, most=most))
        if not places:
            raise ValueError("a front end does not carry one conversation within the aim")
        self.tell(f"a front end carries {places}")
        return places

    def run(
        self,
        gpus: int,
        conversations: float,
        *,
        fronts: int | None = None,
        seconds: float | None = None,
    ) -> Figures:
        """A cell of so many GPUs, with the front ends that it takes or as many as are named."""
        fronts = fronts or max(1, math.ceil(conversations / self.places))
        enough_s = TURNS * self.seconds * CYCLE_S / conversations
        cluster = replace(self.base, layout=self.layout(gpus), fronts=fronts, places=ANY_PLACES)
        return simulate(
            cluster,
            self.habits,
            max(1, round(conversations)),
            seconds=seconds or max(self.seconds, enough_s),
            warm_s=WARM_S,
            seed=self.seed,
            stay=True,
        )

    def good(self, figures: Figures, aim: Aim | None = None) -> bool:
        """Whether an aim is met, or the one that was set."""
        turns, aim = figures.turns, aim or self.aim
        if not figures.answered or len(figures.answered) < len(turns):
            return False
        waits = figures.percentile_ms(95) <= self.floor_ms + aim.adds_ms
        dry = 100 * (figures.dry_share - self.floor.dry_share)
        return waits and dry <= aim.adds_dry_percent

    def most(self, gpus: int) -> float:
        """The most conversations that so many GPUs carry, looked for once."""
        if gpus not in self._most:
            self._most[gpus] = _looked_for(
                lambda tried: self.good(self.run(gpus, tried)), self._a_gpu * gpus
            )
            self._a_gpu = self._most[gpus] / gpus
            self.tell(f"{gpus} GPUs carry {self._most[gpus]:.0f}")
        return self._most[gpus]

    @property
    def known(self) -> dict[int, float]:
        """What was found so far: the most that so many GPUs carry."""
        return dict(self._most)

    def gpus_for(self, conversations: float) -> int:
        """The fewest GPUs; of numbers between two cells, each GPU carries what it does in the
        smaller one.

        Raises:
            ValueError: not even one conversation is carried.
        """
        cells = [2**n for n in range(self.cell.bit_length()) if 2**n < self.cell] + [self.cell]
        gpus = 0
        for cell in cells:
            a_gpu = self.most(cell) / cell
            if not a_gpu and cell == self.cell:
                raise ValueError(f"{self.base.machine.name} does not carry one conversation")
            gpus = max(cell, math.ceil(conversations / a_gpu)) if a_gpu else 2 * cell
            if gpus < 2 * cell:
                break
        return gpus


def _looked_for(carried: Callable[[float], bool], begin: float, *, most: float = math.inf) -> float:
    """The largest number that is carried, to a factor of `CLOSE`, begun at a guess; `most` is known
    to be too many. 0 where less than one is."""
    low, high, tried = 0.0, most, begin
    while not (high < math.inf and low) or high / low > CLOSE:
        if carried(tried):
            low = tried
        else:
            high = tried
        if high == math.inf:
            tried = 2 * low
        elif not low:
            tried = high / 2
            if tried < 0.5:
                return 0.0
        else:
            tried = math.sqrt(low * high)
    return low


def row(
    sizing: Sizing, conversations: float, *, gpu_price: float, front_price: float
) -> dict[str, Any]:
    """A line of the curve; prices are for an hour. Where the search was lucky and the row's own run
    misses the aim, there are more GPUs."""
    places = sizing.places
    gpus = sizing.gpus_for(conversations)
    fronts = fronts_for(conversations, places)
    while True:
        cell = min(gpus, sizing.cell)
        figures = sizing.run(cell, conversations * cell / gpus)
        if sizing.good(figures):
            break
        gpus = max(gpus + 1, math.ceil(1.02 * gpus))
    told = figures.told()
    price = gpus * gpu_price + fronts * front_price
    return {
        "conversations": conversations,
        "gpus": gpus,
        "front_ends": fronts,
        "p50_ms": told["wait_ms"]["median"],
        "p95_ms": told["wait_ms"]["p95"],
        "price_per_hour": round(price, 2),
        "price_per_conversation_hour": round(price / conversations, 5),
        "refused_percent": round(100 * blocked(conversations, fronts * places), 4),
        "simulated_gpus": cell,
        **{name: told[name] for name in TOLD},
    }
