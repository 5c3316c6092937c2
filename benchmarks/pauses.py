"""Pauses as the ear found them, a model's verdicts on them, and what a policy makes of both. Pure.

Times are milliseconds from the last frame that the ear took for speech. A pause ends the turn when
it has lasted as long as the policy wants by the verdicts that are known by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.joined import SENTENCE_END
from benchmarks.report import percentile
from realtime.endpointing import BOTH, Verdict, Waits, Weights, log_probability, logit

ASKED_MS = 120
"""The silence that the end-of-turn model hears."""
SOUND_MS = 60
SOUND_KNOWN_MS = ASKED_MS + SOUND_MS
WORDS_KNOWN_MS = 260
"""As `speculation.transcript_ms` and `.read_ms` tell it on two cores, from 60 ms on."""
RIDGE = 0.5
END, NATURAL = "end", "natural"

Milliseconds = NDArray[np.float64]


@dataclass(frozen=True)
class Pause:
    """A pause in a turn, or the silence after it."""

    turn: str
    kind: str
    """Of the pause that was put into the turn; `NATURAL` if it was in the recording, or `END`."""
    lasted_ms: float | None
    """None: nothing was said any more."""
    late_ms: float
    """Of an end: from the last voiced sample to the ear's last frame of speech."""
    verdicts: Mapping[int, float]
    """The probability that the turn is complete, by the ms of silence that the model heard."""
    before: str = ""
    """The word before a pause that was put in."""
    words: float | None = None
    """The probability that the words so far end here; None where there are none."""


@dataclass(frozen=True)
class Policy:
    """Which verdicts there are, and what they are worth."""

    waits: Waits
    listens: bool = False
    """The sound of the pause is judged."""
    reads: bool = False
    """Its words are."""
    both: Weights = BOTH

    def ends_at(self, pauses: Pauses) -> Milliseconds:
        """When silence that goes on would end the turn, for each pause."""
        ends = np.full(len(pauses.lasted_ms), float(self.waits.silence_ms))
        nobody = np.full(len(ends), np.nan)
        words, asked = pauses.words if self.reads else nobody, self.asks_sound(pauses)
        sound = np.where(asked, pauses.sound, np.nan)
        wanted = [self._after(np.nan, each) for each in words]
        ends = _later(ends, WORDS_KNOWN_MS, wanted, known=~np.isnan(words))
        known_ms = WORDS_KNOWN_MS + SOUND_MS if self.reads else SOUND_KNOWN_MS
        wanted = [self._after(*each) for each in zip(sound, words, strict=True)]
        return _later(ends, known_ms, wanted, known=~np.isnan(sound))

    def asks_sound(self, pauses: Pauses) -> NDArray[np.bool_]:
        """Of which pauses the sound is judged: words that leave no doubt spare it that."""
        if not self.listens:
            return np.zeros(len(pauses.sound), bool)
        read = pauses.words if self.reads else np.full(len(pauses.sound), np.nan)
        wants = [self.waits.wants_sound(self._verdict(np.nan, w), np.inf, self.both) for w in read]
        return np.array(wants, bool) & ~np.isnan(pauses.sound)

    def _after(self, sound: float, words: float) -> int:
        return self.waits.after(self._verdict(sound, words), self.both)

    def _verdict(self, sound: float, words: float) -> Verdict:
        heard, read = (None if np.isnan(each) else each for each in (sound, words))
        return Verdict(heard, read, listening=self.listens)


def _later(
    ends: Milliseconds,
    known_ms: int,
    wanted: Sequence[int],
    *,
    known: NDArray[np.bool_],
) -> Milliseconds:
    """What becomes of these ends when after `known_ms` others are wanted."""
    changes = known & (ends > known_ms)
    return np.where(changes, np.maximum(wanted, known_ms), ends)


class Pauses:
    """Many pauses as columns; NaN where a model said nothing."""

    def __init__(self, pauses: Sequence[Pause], put_in: Mapping[str, int]) -> None:
        """`put_in`: how many pauses of each kind there were, whether the ear heard them or not."""
        self.lasted_ms = np.array([np.inf if p.lasted_ms is None else p.lasted_ms for p in pauses])
        self.late_ms = np.array([p.late_ms for p in pauses])
        self.sound = np.array([p.verdicts.get(ASKED_MS, np.nan) for p in pauses])
        self.words = np.array([np.nan if p.words is None else p.words for p in pauses])
        self.kinds = np.array([p.kind for p in pauses])
        natural = int(np.sum(self.kinds == NATURAL))
        self.put_in = {**put_in, NATURAL: natural}


def fitted(pauses: Sequence[Pause]) -> Weights:
    """A logistic regression of "this is an end" on both verdicts, by Newton's method."""
    known = [
        (p.verdicts[ASKED_MS], p.words, p.kind in (END, SENTENCE_END))
        for p in pauses
        if p.words is not None and ASKED_MS in p.verdicts and p.kind != NATURAL
    ]
    one = [[1.0, logit(sound), log_probability(words)] for sound, words, _ in known]
    columns, ends = np.array(one), np.array([end for *_, end in known], float)
    weights = np.zeros(3)
    for _ in range(50):
        guess = 1 / (1 + np.exp(-columns @ weights))
        penalty = RIDGE * np.array([0, *weights[1:]])
        curve = columns.T @ (columns * (guess * (1 - guess))[:, None])
        curve += RIDGE * np.diag([0.0, 1.0, 1.0])
        weights -= np.linalg.solve(curve, columns.T @ (guess - ends) + penalty)
    constant, sound, words = (round(float(each), 2) for each in weights)
    return Weights(sound, words, constant)


@dataclass(frozen=True)
class Outcome:
    """Of a policy: the share of each kind of pause that it cuts off, and what it makes people wait.

    The wait is from the last voiced sample of a turn to its end.
    """

    cut_percent: Mapping[str, float]
    waits_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return percentile(self.waits_ms, 50)

    @property
    def mean_ms(self) -> float:
        return sum(self.waits_ms) / len(self.waits_ms)

    @property
    def p95_ms(self) -> float:
        return percentile(self.waits_ms, 95)


def outcome(policy: Policy, pauses: Pauses) -> Outcome:
    """What becomes of the turns."""
    ends_at = policy.ends_at(pauses)
    cut = ends_at <= pauses.lasted_ms
    shares = {
        kind: 100 * float(np.sum(cut & (pauses.kinds == kind))) / max(1, count)
        for kind, count in pauses.put_in.items()
    }
    ends = pauses.kinds == END
    return Outcome(shares, tuple((pauses.late_ms + ends_at)[ends]))


def best(
    outcomes: Sequence[tuple[Policy, Outcome]], kinds: Sequence[str], *, mean_ms: float
) -> tuple[Policy, Outcome]:
    """Of the policies that make people wait no longer on average, the one that cuts off the
    smallest share of these kinds, which weigh the same; of several, the quickest.

    The mean counts those who are done and whom the model does not believe; the median does not.
    """
    within = [each for each in outcomes if each[1].mean_ms <= mean_ms]

    def merit(each: tuple[Policy, Outcome]) -> tuple[float, float]:
        found = each[1]
        return round(sum(found.cut_percent[kind] for kind in kinds), 2), found.mean_ms

    return min(within, key=merit)
