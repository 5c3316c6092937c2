"""Speech to files: each kind decodes to what went in, and comes out while it is made."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soxr

from realtime.audio import EAR_RATE_HZ, VOICE_RATE_HZ
from realtime.engines.sound_encoder import FORMATS, SoundEncoder
from tests.sounds import recording
from tests.test_sound_file import decoded, likeness

BEGINS = {
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3"),
    "opus": (b"OggS",),
    "aac": (b"\xff\xf1", b"\xff\xf9"),
    "flac": (b"fLaC",),
    "wav": (b"RIFF\xff\xff\xff\xffWAVE",),
}


def speech() -> np.ndarray:
    audio, rate_hz = recording("ls_6930_0000")
    return (soxr.resample(audio / 32_768, rate_hz, VOICE_RATE_HZ) * 32_767).astype(np.int16)


def encoded(name: str, parts) -> list[bytes]:
    encoder = SoundEncoder(name)
    return [*(encoder.push(part) for part in parts), encoder.finish()]


@pytest.mark.parametrize("name", BEGINS)
def test_each_kind_decodes_to_what_went_in(name):
    said = speech()
    data = b"".join(encoded(name, np.array_split(said, 7)))
    assert data.startswith(BEGINS[name])
    heard = decoded(data)
    whole = (soxr.resample(said / 32_768, VOICE_RATE_HZ, EAR_RATE_HZ) * 32_767).astype(np.int16)
    assert len(heard) == pytest.approx(len(whole), abs=EAR_RATE_HZ // 8)
    assert likeness(heard, whole) > 0.9


def test_pcm_is_the_samples_alone():
    said = speech()
    assert b"".join(encoded("pcm", np.array_split(said, 3))) == said.astype("<i2").tobytes()


@pytest.mark.parametrize("name", FORMATS)
def test_most_of_a_second_comes_out_before_the_next_goes_in(name):
    parts = encoded(name, np.array_split(speech()[: 3 * VOICE_RATE_HZ], 3))
    assert sum(map(len, parts[:1])) > 0.2 * sum(map(len, parts))


@pytest.mark.parametrize("name", FORMATS)
def test_a_sound_of_one_sample_is_a_file(name):
    data = b"".join(encoded(name, [np.ones(1, np.int16)]))
    assert len(data) >= 2


def test_a_sound_that_is_given_up_lets_go():
    encoder = SoundEncoder("mp3")
    encoder.push(speech()[:1_000])
    encoder.close()
    assert decoded(b"".join(encoded("wav", [speech()]))).size


def test_a_wav_can_be_read_by_others():
    import wave

    data = b"".join(encoded("wav", [speech()]))
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
