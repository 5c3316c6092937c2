"""A reply that comes back from a loudspeaker is known by its words, a caller's are left to him."""

from __future__ import annotations

import pytest

from realtime.items import Piece
from realtime.self_hearing import is_own, likeness, played

PIECES = [
    Piece("One two three", start=0, samples=13_000),
    Piece(" four five six.", start=13_000, samples=15_000),
    Piece(" Seven.", start=30_000, samples=None),
]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (0, 60_000, "One two three four five six."),
        (4_500, 6_000, "two"),
        (8_500, 14_500, "three four"),
        (28_000, 60_000, ""),
    ],
)
def test_the_words_that_sounded_in_a_time(first, last, words):
    assert played(PIECES, first, last) == words


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("The capital of", "of France. The capital of Norway is Oslo,"),
        ("the capitol of nor", "The capital of Norway is"),
        ("Well.", "All is well, thank"),
        ("capital of Norway is Oslo, which lies", "The capital of Norway is Oslo, which lies at"),
    ],
)
def test_the_replys_words_are_its_own(heard, said):
    assert is_own(heard, said)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Stop it, please.", "The capital of Norway is Oslo,"),
        ("No, I meant the capital of Sweden.", "The capital of Norway is Oslo,"),
        ("Oslo?", "The capital of Norway is Oslo."),
        ("", "The capital of Norway is Oslo."),
        ("Oslo.", ""),
    ],
)
def test_a_callers_words_are_not(heard, said):
    assert not is_own(heard, said)


def test_a_choice_among_what_a_question_offers_is_an_answer():
    assert not is_own("Wednesday.", "Do you mean Tuesday or Wednesday?", asked=True)
    assert is_own("you mean Tuesday or", "Do you mean Tuesday or Wednesday?", asked=True)


def test_likeness_is_the_share_in_letters():
    assert likeness("two three", "one two three") == 1.0
    assert likeness("xyz", "one two three") == 0.0


@pytest.mark.parametrize("heard", ["No.", "Go.", "Hey!"])
def test_a_word_that_only_its_letters_are_in_is_a_callers(heard):
    assert not is_own(heard, "they know it is going to Oslo, now that cinnamon is not as fast")
