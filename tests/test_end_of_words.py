"""Whether words end where they do: the prompt that is asked with, and what the answer is worth."""

from __future__ import annotations

import math

import pytest

from realtime.engines.end_of_words import bare, probability_of_end


def answer(**likely: float) -> dict:
    top = [{"token": token, "logprob": math.log(p)} for token, p in likely.items()]
    return {"completion_probabilities": [{"top_logprobs": top}]}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("We also need a snake.", "We also need a snake"),
        ("We also need a...", "We also need a"),
        ("What? ", "What"),
        ("so, um,", "so, um"),
        ("...", ""),
    ],
)
def test_the_recognisers_own_mark_is_left_out(told, words):
    assert bare(told) == words


def test_marks_and_the_turns_end_count_and_words_and_ellipses_do_not():
    likely = {".": 0.3, '."': 0.05, "?\n": 0.05, "": 0.1, ",": 0.2, " and": 0.1, "...": 0.1}
    assert probability_of_end(answer(**likely)) == pytest.approx(0.5)
    assert probability_of_end(answer(**{" of": 0.9})) == 0.0
