"""Words in, words wrong out: both sides normalised as Whisper's authors do, errors by jiwer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import jiwer
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
