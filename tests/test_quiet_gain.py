"""Gain before the gate: quiet speech in a still room is raised, a loud room is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import webrtcvad
from hypothesis import given
from hypothesis import strategies as st

from realtime.audio import Int16
from realtime.quiet_gain import FLOOR_DBFS, MOST_DB, QuietGain
from tests.client import ear_audio

FRAME = 320


def noise(dbfs: float, seconds: float, seed: int = 0) -> Int16:
    scale = 32768 * 10 ** (dbfs / 20)
    return np.random.default_rng(seed).normal(0, scale, int(16_000 * seconds)).astype(np.int16)


def raised(gain: QuietGain, sound: Int16) -> Int16:
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    return np.concatenate([gain.raised(frame) for frame in frames])


def voiced(sound: Int16) -> float:
    """The share of frames that the gate calls voiced."""
    vad = webrtcvad.Vad(2)
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    return float(np.mean([vad.is_speech(frame.tobytes(), 16_000) for frame in frames]))


def test_whispered_speech_in_a_still_room_passes_the_gate():
    speech = (ear_audio("jfk") * 0.004).astype(np.int16)
    sound = np.concatenate((noise(-75, 1), speech + noise(-75, len(speech) / 16_000)))
    assert voiced(sound[16_000:]) < 0.3
    assert voiced(raised(QuietGain(), sound)[16_000:]) > 0.5


def test_a_still_room_alone_does_not_open_the_gate():
    assert voiced(raised(QuietGain(), noise(-75, 10))) < 0.05


@pytest.mark.parametrize("dbfs", [-45, -30])
def test_in_a_loud_room_nothing_is_changed(dbfs):
    sound = noise(dbfs, 2)
    np.testing.assert_array_equal(raised(QuietGain(), sound), sound)


def test_a_long_sentence_does_not_pass_for_noise():
    gain = QuietGain()
    raised(gain, noise(-75, 1))
    before = gain.gain_db
    raised(gain, noise(-30, 10))
    assert before - 11 < gain.gain_db < before


def test_silence_without_any_noise_is_raised_by_the_most_and_stays_silence():
    gain = QuietGain()
    assert not raised(gain, np.zeros(3_200, np.int16)).any()
    assert gain.gain_db == MOST_DB


def test_an_offset_is_not_raised_and_is_no_noise():
    gain = QuietGain()
    out = raised(gain, noise(-70, 1) + np.int16(3_000))
    assert gain.floor_dbfs == pytest.approx(-70, abs=3)
    assert abs(float(out[FRAME:].mean())) < 30


@given(st.lists(st.integers(-32768, 32767), min_size=FRAME, max_size=FRAME))
def test_any_frame_stays_a_frame_of_samples(samples):
    gain = QuietGain(FLOOR_DBFS - MOST_DB)
    out = gain.raised(np.array(samples, np.int16))
    assert out.shape == (FRAME,)
    assert out.dtype == np.int16


def test_an_offset_is_taken_off_and_a_small_one_is_left():
    gain = QuietGain()
    sound = noise(-50, 2)
    raised(gain, sound)
    np.testing.assert_array_equal(gain.centred(sound), sound)
    raised(gain, sound + np.int16(3_000))
    assert abs(float(gain.centred(sound + np.int16(3_000)).mean())) < 60


def test_the_last_bit_of_a_resampler_is_no_voice():
    bits = np.random.default_rng(0).integers(-1, 2, 32_000).astype(np.int16)
    bits[np.random.default_rng(1).random(32_000) < 0.9] = 0
    np.testing.assert_array_equal(raised(QuietGain(), bits), bits)
