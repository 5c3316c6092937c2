"""Recordings that are read several times."""

from __future__ import annotations

import numpy as np

from benchmarks.readings import Recording
from benchmarks.wer import led


def test_a_recording_comes_whole_after_the_silence_before_it():
    said = Recording("a", "speech", "hello", np.arange(1, 1_601, dtype=np.int16))
    [later] = led([said], 250)
    assert (later.name, later.transcript, later.pcm.dtype) == ("a", "hello", np.int16)
    assert not later.pcm[:4_000].any()
    np.testing.assert_array_equal(later.pcm[4_000:], said.pcm)
