"""Windows: which one, and where long audio is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.recognition import Windows, split_long

WINDOW_OF = [(1, 8), (7, 8), (7.1, 15), (14, 15), (14.1, 30), (29, 30), (99, 30)]


@pytest.mark.parametrize(("seconds", "window"), WINDOW_OF)
def test_the_window_holds_the_audio_and_a_second_of_silence(seconds, window):
    assert Windows().first(seconds) == window


def test_always_30_s_is_a_list_of_one():
    always = Windows((30.0,))
    assert always.first(0.5) == 30
    assert always.longest_s == 29
    assert Windows().longest_s == 14
    assert Windows((10.0, 15.0, 30.0)).longest_s == 14


@pytest.mark.parametrize("seconds", [(), (30.0, 15.0), (15.0,), (2.0, 30.0), (15.0, 31.0)])
def test_windows_that_cannot_be_are_refused(seconds):
    with pytest.raises(ValueError, match=r"window|begin"):
        Windows(seconds)


def test_long_audio_is_cut_where_it_is_quiet():
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 3_000, 70 * 16_000).astype(np.int16)
    audio[10 * 16_000 : 10 * 16_000 + 8_000] = 0
    first, *_ = split_long(audio, 14)
    assert 10 <= len(first) / 16_000 <= 10.5


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.floats(0, 95),
    windows=st.sampled_from([(15.0, 30.0), (30.0,), (8.0, 15.0, 30.0), (5.0, 30.0)]),
    seed=st.integers(0, 9),
)
def test_nothing_is_lost_and_every_part_fits_its_window(seconds, windows, seed):
    audio = np.random.default_rng(seed).integers(-9, 9, int(seconds * 16_000), np.int16)
    chosen = Windows(windows)
    parts = list(split_long(audio, chosen.longest_s))
    assert np.array_equal(np.concatenate(parts), audio)
    for part in parts:
        length_s = len(part) / 16_000
        assert length_s + chosen.tail_s <= chosen.first(length_s)
