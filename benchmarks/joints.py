"""Clicks where chunks of sound meet: a step in the wave or its slope, against what is usual there.

A click shows in the second difference of the samples. Loud or bright sound has large ones of its
own, so a place is judged by its largest one over the level of those around it, and the places where
chunks meet by the places where none do: without clicks the two are alike. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR = 24
"""Samples to either side that belong to a place: 1 ms."""
AROUND = 600
"""Samples to either side whose level counts: 25 ms."""
QUIET = 3e-4
"""Of full scale, -70 dBFS: where all around is quieter, nothing is heard and nothing judged."""
USUAL_PERCENT = 99.0

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Joints:
    """Of one sound, or of several together."""

    at_joints: tuple[float, ...]
    elsewhere: tuple[float, ...]

    def __add__(self, other: Joints) -> Joints:
        return Joints(self.at_joints + other.at_joints, self.elsewhere + other.elsewhere)

    @property
    def usual(self) -> float | None:
        """What 99 of 100 places without a joint stay under."""
        if not self.elsewhere:
            return None
        return float(np.percentile(self.elsewhere, USUAL_PERCENT))

    @property
    def clicks(self) -> int:
        """Joints beyond that; by chance one in a hundred."""
        usual = self.usual
        return 0 if usual is None else sum(score > usual for score in self.at_joints)

    @property
    def facts(self) -> dict[str, float | int | None]:
        def middle(scores: Sequence[float]) -> float | None:
            return round(float(np.median(scores)), 2) if scores else None

        return {
            "joints": len(self.at_joints),
            "beyond_99_percent": self.clicks,
            "expected_by_chance": round(len(self.at_joints) * (1 - USUAL_PERCENT / 100), 2),
            "median_at_joints": middle(self.at_joints),
            "median_elsewhere": middle(self.elsewhere),
            "worst_at_joints": round(max(self.at_joints, default=0.0), 2),
            "percent_99_elsewhere": None if self.usual is None else round(self.usual, 2),
        }


def joints_of(sound: Sound, places: Sequence[int]) -> Joints:
    """Judge `places`, the first samples of chunks but the first, and all others of the sound."""
    bends = np.abs(np.diff(sound.astype(np.float64), n=2))
    hop = 2 * NEAR
    grid = range(AROUND + 1, len(sound) - AROUND, hop)
    clear = [p for p in grid if all(abs(p - place) > hop for place in places)]
    return Joints(_scores(sound, bends, places), _scores(sound, bends, clear))


def _scores(sound: Sound, bends: NDArray[np.float64], places: Sequence[int]) -> tuple[float, ...]:
    """The largest bend near a place over the level of those around it; not where it is quiet."""
    found = []
    for place in places:
        if place <= AROUND or place > len(sound) - AROUND:
            continue
        if np.sqrt(np.mean(np.square(sound[place - AROUND : place + AROUND]))) < QUIET:
            continue
        # sample n bends in bends[n - 1]
        near = bends[place - 1 - NEAR : place - 1 + NEAR]
        before = bends[place - 1 - AROUND : place - 1 - NEAR]
        after = bends[place - 1 + NEAR : place - 1 + AROUND]
        level = np.sqrt((np.mean(np.square(before)) + np.mean(np.square(after))) / 2)
        found.append(float(near.max() / (level + 1e-9)))
    return tuple(found)
