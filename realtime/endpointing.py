"""How long a pause lasts until it ends the turn: what the client asked for, what models say.

One model reads the words of the turn and says whether they may end here, the other listens to its
sound. The first is right more often; together they are better than either. The second is asked
where the words are not known, or leave a doubt that it could settle: on two cores its run takes
from all others what they are waited for. A pause that is probably the end ends the turn soon, one
that is hardly the end may last long, and for one that nobody has said anything about plain silence
counts.
Pure arithmetic in milliseconds; the figures were chosen by `benchmarks/endpoint.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Eagerness = Literal["auto", "low", "medium", "high"]

SILENCE_MS = 500
"""Silence that ends a turn where nothing else was asked for."""


@dataclass(frozen=True)
class Verdict:
    """What is known of one pause: probabilities that the turn is over."""

    sound: float | None = None
    """By how it sounds."""
    words: float | None = None
    """By what was said: the probability that no word follows."""
    reading: bool = False
    """The words are being looked for and will be read."""
    listening: bool = False
    """There is a model for the sound, which may still say something when it is asked."""


@dataclass(frozen=True)
class Weights:
    """A logistic regression over both verdicts."""

    sound: float
    words: float
    constant: float

    def together(self, verdict: Verdict) -> float:
        """The probability that the turn is over, by all that is known."""
        score = self.constant
        if verdict.sound is not None:
            score += self.sound * logit(verdict.sound)
        if verdict.words is not None:
            score += self.words * log_probability(verdict.words)
        return 1 / (1 + math.exp(-score))


JUDGED_AFTER_MS = 120
"""Silence after which the sound is judged where the words are not looked for, and what the model
hears of it in any case. Sooner would be too often, and at the expense of the recogniser, which
begins with the pause."""

FLOOR = 1e-3
"""A probability below this says no more than this: of which word a model rules out most surely
nothing follows."""

BOTH = Weights(0.29, 0.7, 1.36)
WORDS_ALONE = Weights(0.0, 0.7, 1.32)


@dataclass(frozen=True)
class Levels:
    """What a pause has to last by one probability: `complete_ms` from `least` on, else longer."""

    least: float
    complete_ms: int
    incomplete_ms: int

    def after(self, probability: float) -> int:
        return self.complete_ms if probability >= self.least else self.incomplete_ms


@dataclass(frozen=True)
class Waits:
    """What a pause has to last, by what is known of it."""

    silence_ms: int
    """As long as there is no verdict."""
    heard: Levels
    """By the sound alone."""
    read: Levels
    """By the words, and the sound where it is known."""
    unsure: float = 0.05
    """A sound that is so improbably the end, or so improbably not, is not reckoned with: words that
    it would outvote are believed alone."""

    def after(self, verdict: Verdict, both: Weights = BOTH) -> int:
        """The wait of a pause of which this is known."""
        if verdict.words is not None:
            weights = WORDS_ALONE if verdict.sound is None else both
            wait_ms = self.read.after(weights.together(verdict))
            asked = self.wants_sound(verdict, math.inf, both)
            return max(wait_ms, self.silence_ms) if asked else wait_ms
        if verdict.sound is None:
            return self.silence_ms
        wait_ms = self.heard.after(verdict.sound)
        return max(wait_ms, self.silence_ms) if verdict.reading else wait_ms

    def wants_sound(self, verdict: Verdict, silence_ms: float, both: Weights = BOTH) -> bool:
        """Whether the sound should be judged, of a pause that lasted so long."""
        if not verdict.listening or verdict.sound is not None:
            return False
        if verdict.words is not None:
            return silence_ms >= JUDGED_AFTER_MS and self._in_doubt(verdict, both)
        # words that are not known by the time at which they would end the turn may come too late
        return silence_ms >= (self.read.complete_ms if verdict.reading else JUDGED_AFTER_MS)

    def _in_doubt(self, verdict: Verdict, both: Weights) -> bool:
        """Whether words that are known leave it to the sound."""
        either = (replace(verdict, sound=sound) for sound in (self.unsure, 1 - self.unsure))
        least, most = (both.together(each) for each in either)
        return least < self.read.least <= most

    @property
    def asks(self) -> bool:
        """Whether a verdict could change anything."""
        told = (self.heard, self.read)
        return {self.silence_ms} != {ms for by in told for ms in (by.complete_ms, by.incomplete_ms)}


def exactly(silence_ms: int) -> Waits:
    """Plain silence: no verdict changes it."""
    always = Levels(0.5, silence_ms, silence_ms)
    return Waits(silence_ms, always, always)


NOTHING_SET = Waits(SILENCE_MS, Levels(0.8, 260, 900), Levels(0.4, 340, 1_200))
"""On average people wait as long as with plain silence of `SILENCE_MS`; within that these cut off
the fewest pauses in which more was to come."""

MEDIUM = Waits(600, Levels(0.8, 400, 900), Levels(0.64, 400, 1_200), 0.01)
EAGERNESS: dict[Eagerness, Waits] = {
    "low": Waits(900, Levels(0.95, 460, 1_200), Levels(0.7, 460, 1_200), 0.02),
    "medium": MEDIUM,
    "high": Waits(400, Levels(0.1, 340, 700), Levels(0.4, 260, 780)),
    "auto": MEDIUM,
}
"""Where words are read, `medium` cuts off one in twenty of the pauses within a clause, `low` fewer;
with `high` nineteen of twenty turns are over within 0.8 s."""


def by_model() -> Waits:
    """Where the client has set nothing."""
    return NOTHING_SET


def by_eagerness(eagerness: Eagerness) -> Waits:
    """How soon a client that leaves it to the model wants its turns ended."""
    return EAGERNESS[eagerness]


def logit(probability: float) -> float:
    """What the regression is given of a sound."""
    clipped = min(1 - FLOOR, max(FLOOR, probability))
    return math.log(clipped / (1 - clipped))


def log_probability(probability: float) -> float:
    """What the regression is given of words."""
    return math.log(probability + FLOOR)
