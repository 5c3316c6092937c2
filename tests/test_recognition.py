"""Rules around the recogniser."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.recognition import Hypothesis, max_tokens, repeats, split_long, window_for


def heard(text: str, *, tokens: int = 5, log=-0.3, no_speech=0.1, seconds=3.0) -> Hypothesis:
    return Hypothesis(text, tokens, log, no_speech, seconds)


@pytest.mark.parametrize(
    ("seconds", "window"), [(1, 15), (13.9, 15), (14.1, 30), (29, 30), (99, 30)]
)
def test_the_window_holds_the_audio_and_a_second_of_silence(seconds, window):
    assert window_for(seconds) == window


def test_silence_needs_both_signs():
    assert heard("you", no_speech=0.95, log=-1.5).silent
    assert not heard("you", no_speech=0.95, log=-0.3).silent
    assert not heard("you", no_speech=0.1, log=-1.5).silent


def test_what_whisper_says_to_silence_is_believed_only_in_plain_speech():
    assert heard("Thank you.", no_speech=0.5).phantom
    assert heard("you", seconds=0.3).phantom
    assert not heard("Thank you.", no_speech=0.05).phantom
    assert not heard("Thank you for the fish.", no_speech=0.5).phantom


def test_loops_are_seen():
    assert heard("so it is " * 30).loops
    assert heard("fine", tokens=max_tokens(3.0)).loops
    assert heard("we will go to the sea and we will go to the sun and we will go to the moon").loops
    assert not heard("we will go meet her Wednesday at the train station").loops
    assert not repeats("ha ha ha")


def test_long_audio_is_cut_where_it_is_quiet_and_nothing_is_lost():
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 3_000, 70 * 16_000).astype(np.int16)
    audio[10 * 16_000 : 10 * 16_000 + 8_000] = 0
    parts = split_long(audio)
    assert np.array_equal(np.concatenate(parts), audio)
    assert all(len(p) <= 14 * 16_000 for p in parts)
    assert 10 <= len(parts[0]) / 16_000 <= 10.5
    assert len(split_long(audio[: 13 * 16_000])) == 1
