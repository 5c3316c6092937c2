"""What is refused as the reference of a voice, and what the refusal says."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.audio import to_float32
from realtime.engines import HearingState
from realtime.engines.speech_detector import SileroDetector, Windows
from realtime.metrics import Metrics
from realtime.reference_clip import MAX_S, Measured, complaint, measure, used_part
from tests.client import ear_audio

RATE = 16_000
CLEAN = ("jfk", "lj001_0004", "lj001_0016", "ls_61_0000", "ls_mlx", "vctk_p287_004_clean")


@pytest.fixture(scope="module")
def ear():
    silero = SileroDetector(Metrics())
    silero.load()
    return silero


def looked_at(ear, audio: np.ndarray) -> Measured:
    windows = list(audio[: len(audio) // 512 * 512].reshape(-1, 512))
    [probabilities] = ear.run([Windows(HearingState(), windows)])
    return measure(to_float32(audio), RATE, probabilities)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.int16)


def test_eleven_seconds_of_a_speech_are_taken(ear):
    found = looked_at(ear, ear_audio("jfk"))
    assert complaint(found) is None
    assert 6 < found.speech_s < 9 < found.seconds


@pytest.mark.parametrize("name", ["noise_tap_sc", "noise_wind_bl"])
def test_noise_is_no_speech_however_long(ear, name):
    assert "no speech was found in 1" in complaint(looked_at(ear, ear_audio(name)))


def test_nothing_at_all_is_no_speech(ear):
    assert "no speech was found in 10.0 s at -120 dBFS" in complaint(looked_at(ear, silence(10)))
    assert complaint(measure(np.zeros(0, np.float32), RATE, []))


def test_three_seconds_are_too_few_however_much_silence_is_around_them(ear):
    padded = np.concatenate([silence(4), ear_audio("ls_6930_0000"), silence(4)])
    assert "holds 2.8 s of speech in 11.5 s; at least 5 s" in complaint(looked_at(ear, padded))


def test_speech_that_comes_late_is_too_little_where_the_voice_is_read(ear):
    one = ear_audio("lj001_0004")
    assert complaint(looked_at(ear, np.concatenate([one, one]))) is None
    apart = np.concatenate([one, silence(12), one])
    assert "the first 10 s hold 4." in complaint(looked_at(ear, apart))


def test_a_minute_is_enough(ear):
    long = np.tile(ear_audio("jfk"), 6)
    assert f"at most {MAX_S:g} s" in complaint(looked_at(ear, long))


def test_a_whisper_from_across_the_room_is_too_quiet(ear):
    faint = (ear_audio("jfk") * 0.02).astype(np.int16)
    assert "the speech is at -49 dBFS; at least -45 dBFS" in complaint(looked_at(ear, faint))


@pytest.mark.parametrize("name", CLEAN)
def test_speech_that_was_cut_off_is_told_from_speech_that_is_loud(ear, name):
    """However quiet a clipped recording was made afterwards."""
    audio = to_float32(ear_audio(name))
    peak = np.abs(audio).max()
    probabilities = [1.0] * (len(audio) // 512)
    whole = measure(audio / peak, RATE, probabilities)
    cut = measure(np.clip(audio * 4, -peak, peak) * 0.3, RATE, probabilities)
    assert whole.clipped < 0.001 < 0.02 < cut.clipped
    long = {"speech_s": 9.0, "dense_s": 9.0, "end_s": 9.0}
    assert complaint(Measured(**{**vars(whole), **long})) is None
    assert "cut off at the top" in complaint(Measured(**{**vars(cut), **long}))


def test_what_is_used_is_longer_than_the_least():
    """Turbo asserts it; 157 windows are 5.02 s, also where the clip has 5.00."""
    hiss = np.random.default_rng(1).normal(0, 0.1, 5 * RATE).astype(np.float32)
    found = measure(hiss, RATE, [1.0] * 157)
    assert "5.00 s long; more than 5 s" in complaint(found)
    longer = np.concatenate((hiss, hiss[: RATE // 10]))
    assert complaint(measure(longer, RATE, [1.0] * 160)) is None


def test_the_silence_at_both_ends_is_left_out(ear):
    audio = np.concatenate([silence(3), ear_audio("jfk"), silence(5)])
    found = looked_at(ear, audio)
    part = used_part(to_float32(audio), RATE, found)
    assert 3.0 < found.begin_s < 3.5
    assert 10 * RATE < len(part) <= 11 * RATE
    alone = looked_at(ear, ear_audio("jfk"))
    assert abs(found.speech_s - alone.speech_s) < 0.2
