"""Wrong words: two recognisers on the same clips, and which texts are loops."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.readings import loops
from benchmarks.words import WordErrors, difference, summed, word_errors

SAID = "it was the best of times it was the worst of times it was the age of wisdom"


@pytest.mark.parametrize(
    ("said", "heard", "wrong", "words"),
    [
        ("Ask not, what?", "ask not what", 0, 3),
        ("twenty one colours", "21 colors", 0, 3),
        ("five five", "5 5", 0, 2),
        ("go to bed", "go bed", 1, 3),
        ("go home", "", 2, 2),
        ("", "um hello", 1, 0),
    ],
)
def test_words_wrong(said: str, heard: str, wrong: int, words: int) -> None:
    errors = word_errors(said, heard)
    assert (errors.wrong, errors.words) == (wrong, words)


def test_errors_are_summed_over_words_not_over_clips() -> None:
    total = summed([word_errors("a bad day", "a bad way"), word_errors("yes", "yes")])
    assert total.rate == 0.25
    assert summed([]).rate is None


def clips(wrong: list[int]) -> list[WordErrors]:
    return [WordErrors(n, 10) for n in wrong]


def test_the_same_errors_differ_by_nothing() -> None:
    same = clips([0, 3, 1])
    found = difference(same, same)
    assert (found.points, found.upper_95, found.interval_95) == (0, 0, (0, 0))


def test_a_difference_in_every_clip_is_certain_and_in_one_of_many_is_not() -> None:
    certain = difference(clips([1] * 40), clips([0] * 40))
    assert (certain.points, certain.interval_95) == (10, (10, 10))
    one = difference(clips([4] + [0] * 39), clips([0] * 40))
    assert one.points == 1
    low, high = one.interval_95
    assert low == 0 < one.upper_95 <= high <= 4


def test_the_bound_is_that_of_the_normal_distribution_where_there_are_many_clips() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = ([int(n) for n in rng.integers(0, 4, 2_000)] for _ in range(2))
    found = difference(clips(ours), clips(theirs))
    extra = 10.0 * (np.array(ours) - np.array(theirs))
    expected = extra.mean() + 1.645 * extra.std() / np.sqrt(extra.size)
    assert found.upper_95 == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        (SAID, False),
        (f"{SAID} {SAID}", True),
        ("it was the best of times " * 12, True),
        ("it was the best of thymes", False),
        ("", False),
    ],
)
def test_a_loop_is_what_the_speaker_did_not_say(text: str, is_loop: bool) -> None:
    assert loops(text, SAID) is is_loop
