"""A recording in blocks: windows that lose nothing and are cut where it is quiet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.audio import EAR_RATE_HZ
from realtime.recognition import split_long
from realtime.windowing import WindowCutter


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-5_000, 5_000, int(seconds * EAR_RATE_HZ)).astype(np.int16)


def cut(blocks, longest_s: float = 6.0) -> list[np.ndarray]:
    cutter = WindowCutter(longest_s)
    return [window for block in blocks for window in cutter.push(block)] + cutter.flush()


@given(st.lists(st.floats(0.01, 15), max_size=6))
def test_windows_joined_are_the_recording_and_none_is_too_long(lengths):
    blocks = [noise(seconds, n) for n, seconds in enumerate(lengths)]
    windows = cut(blocks)
    whole = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
    joined = np.concatenate(windows) if windows else np.zeros(0, np.int16)
    assert np.array_equal(joined, whole)
    assert all(0 < len(window) <= 6 * EAR_RATE_HZ for window in windows)


def test_a_window_ends_in_the_pause():
    pause = np.zeros(EAR_RATE_HZ // 2, np.int16)
    first, _ = cut([np.concatenate([noise(4), pause, noise(3, 1)])])
    assert 4.0 <= len(first) / EAR_RATE_HZ <= 4.5


def test_how_a_recording_comes_does_not_matter():
    whole = noise(40)
    at_once = [len(part) for part in split_long(whole, 6.0)]
    assert [len(part) for part in cut([whole])] == at_once
    assert [len(part) for part in cut(np.array_split(whole, 97))] == at_once


def test_no_recording_has_no_windows():
    assert cut([]) == []
    assert [len(w) for w in cut([noise(0.5)])] == [pytest.approx(EAR_RATE_HZ / 2)]
