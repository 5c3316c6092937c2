"""Words in, words wrong out: both sides normalised as Whisper's authors do, errors by jiwer.

Two recognisers are compared on the same clips by a paired bootstrap: the clips are drawn again and
again, with replacement, and the difference of the two word error rates is taken each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

BETWEEN_DIGITS = re.compile(r"(?<=\d)(?=\d)")

english = EnglishTextNormalizer()


def normalise(text: str) -> str:
    """Lower case, no punctuation or fillers, British spelling as American, numbers digit by digit.

    Digit by digit, because "five five" becomes 55 and "5 5" does not, though both are said alike.
    """
    return BETWEEN_DIGITS.sub(" ", english(text))


@dataclass(frozen=True)
class WordErrors:
    """Substituted, left out and added words, against the number of words that were said."""

    wrong: int
    words: int

    @property
    def rate(self) -> float | None:
        """Word error rate; None where nothing was said."""
        return self.wrong / self.words if self.words else None


def word_errors(said: str, heard: str) -> WordErrors:
    """How far what was heard is from what was said, after normalisation."""
    reference, hypothesis = normalise(said), normalise(heard)
    words = len(reference.split())
    if not words:
        return WordErrors(len(hypothesis.split()), 0)
    out = jiwer.process_words(reference, hypothesis)
    return WordErrors(out.substitutions + out.deletions + out.insertions, words)


def summed(errors: Iterable[WordErrors]) -> WordErrors:
    """All errors over all words: long clips weigh more than short ones."""
    every = list(errors)
    return WordErrors(sum(e.wrong for e in every), sum(e.words for e in every))


@dataclass(frozen=True)
class Difference:
    """Of two word error rates, in percentage points; negative where the first is better."""

    points: float
    upper_95: float
    """95 of 100 resamples lie below it."""
    interval_95: tuple[float, float]
    """The middle 95 of 100 resamples."""


def difference(
    ours: Sequence[WordErrors],
    theirs: Sequence[WordErrors],
    *,
    resamples: int = 10_000,
    seed: int = 7,
) -> Difference:
    """Ours minus theirs over the same clips, by a paired bootstrap over clips."""
    words = np.array([o.words for o in ours])
    extra = np.array([o.wrong - t.wrong for o, t in zip(ours, theirs, strict=True)])
    drawn = np.random.default_rng(seed).integers(len(words), size=(resamples, len(words)))
    points = 100 * extra[drawn].sum(1) / words[drawn].sum(1)
    low, high, upper = (round(float(np.percentile(points, q)), 2) for q in (2.5, 97.5, 95))
    return Difference(round(100 * float(extra.sum() / words.sum()), 2), upper, (low, high))
