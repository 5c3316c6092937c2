"""Another attempt: when, how, and which one is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.batching import FILE, FINAL, PARTIAL, SPECULATION
from realtime.fallback import Attempt, Tried, best, next_attempt
from realtime.hypothesis import MAX_COMPRESSION, Hypothesis, compression_ratio

GOOD = Hypothesis("we go to the sea", 6, -0.3, 0.1, 3.0)
LOOP = Hypothesis("so it is " * 30, 100, -0.2, 0.1, 3.0)
UNSURE = Hypothesis("we go to the sun", 6, -1.4, 0.1, 3.0)
SILENCE = Hypothesis("you", 1, -1.4, 0.9, 3.0)


def ladder(heard: list[Hypothesis], *, rank: int = FINAL, window_s: float = 15.0) -> list[Tried]:
    """Every attempt that is made when the recogniser says these in turn, the last for ever."""
    tried: list[Tried] = []
    attempt: Attempt | None = Attempt(window_s)
    while attempt:
        tried.append((attempt, heard[min(len(tried), len(heard) - 1)]))
        attempt = next_attempt(tried, rank)
    return tried


def test_a_good_one_is_not_tried_again():
    assert [a for a, _ in ladder([GOOD])] == [Attempt(15.0)]


def test_silence_is_not_tried_again():
    assert [a for a, _ in ladder([SILENCE])] == [Attempt(15.0)]


def test_a_loop_is_tried_in_the_window_of_30_s_and_that_is_believed():
    tried = ladder([LOOP, GOOD])
    assert [a for a, _ in tried] == [Attempt(15.0), Attempt(30.0)]
    assert best(tried) is GOOD


@pytest.mark.parametrize(
    ("rank", "temperatures"),
    [
        (FINAL, [0, 0, 0.2, 0.4]),
        (SPECULATION, [0, 0, 0.2, 0.4]),
        (FILE, [0, 0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (PARTIAL, [0]),
    ],
)
def test_how_often_depends_on_who_waits(rank, temperatures):
    assert [a.temperature for a, _ in ladder([LOOP], rank=rank)] == temperatures


def test_of_nothing_good_the_likeliest_that_does_not_loop():
    tried = ladder([LOOP, UNSURE, LOOP, LOOP])
    assert best(tried) is UNSURE
    assert best(ladder([LOOP])) is LOOP


spoken = st.builds(
    Hypothesis,
    st.sampled_from(["we go to the sea", "a b c d e f g h i j k", "ab " * 60, "x " * 40]),
    st.just(5),
    st.floats(-2.5, -0.01),
    st.floats(0, 1),
    st.just(30.0),
)


@given(st.lists(spoken, min_size=6, max_size=6))
def test_in_windows_of_30_s_a_file_is_heard_as_by_faster_whisper(heard):
    """The model is `generate_with_fallback`, for texts that its own rules can judge."""
    found, tried = None, []
    for hypothesis in heard:
        tried.append(hypothesis)
        too_repetitive = compression_ratio(hypothesis.text) > MAX_COMPRESSION
        needs_fallback = too_repetitive or hypothesis.log_probability < -1.0
        if hypothesis.no_speech > 0.6 and hypothesis.log_probability < -1.0:
            needs_fallback = False
        if not needs_fallback:
            found = hypothesis
            break
    if found is None:
        below = [h for h in tried if compression_ratio(h.text) <= MAX_COMPRESSION]
        found = max(below or tried, key=lambda h: h.log_probability)
    ours = ladder(heard, rank=FILE, window_s=30.0)
    assert len(ours) == len(tried)
    assert best(ours) == found
