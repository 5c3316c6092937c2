"""Log-mel features: computed once, on the audio alone, and the same as over the whole window."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from realtime.audio import to_float32
from realtime.engines.features import LogMel, filled
from realtime.metrics import Metrics
from tests.client import ear_audio

AUDIO = {
    "speech": lambda: ear_audio("jfk"),
    "no whole frame": lambda: ear_audio("ls_6930_0000")[:20_001],
    "hardly audible": lambda: np.ones(1_600, np.int16),
    "silence": lambda: np.zeros(16_000, np.int16),
    "the loudest": lambda: np.full(1_601, 32_767, np.int16),
}


@pytest.mark.parametrize("name", AUDIO)
@pytest.mark.parametrize("window_s", [15.0, 30.0])
def test_silence_after_the_audio_need_not_be_computed(name, window_s):
    extractor = FeatureExtractor()
    mel = LogMel(max_waiting_s=1, metrics=Metrics())
    mel.load(extractor)
    audio = AUDIO[name]()
    padded = int(window_s * 16_000) - len(audio)
    whole = extractor(to_float32(audio), padding=padded)[:, : int(window_s * 100)]
    [ours] = filled([mel.compute(audio)], window_s)
    assert ours.dtype == whole.dtype == np.float32
    np.testing.assert_allclose(ours, whole, rtol=0, atol=5e-7)
