"""Wire formats: G.711 against its definition, rates as streams."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.formats import Format, Resampler

ULAW, ALAW = Format("pcmu", 8_000), Format("pcma", 8_000)


@pytest.mark.parametrize(
    ("law", "sample", "byte"),
    [
        (ULAW, 0, 0xFF),
        (ULAW, 32_767, 0x80),
        (ULAW, -32_768, 0x00),
        (ULAW, 1_000, 0xCE),
        (ALAW, 0, 0xD5),
        (ALAW, -1, 0x55),
        (ALAW, 32_767, 0xAA),
        (ALAW, -32_768, 0x2A),
        (ALAW, 1_000, 0xFA),
    ],
)
def test_known_codes(law, sample, byte):
    assert law.encode(np.array([sample], np.int16)) == bytes([byte])


@pytest.mark.parametrize("law", [ULAW, ALAW])
def test_every_code_survives_the_way_there_and_back(law):
    codes = bytes(range(256))
    samples = law.decode(codes)
    again = law.decode(law.encode(samples))
    assert np.array_equal(samples, again)
    assert len(np.unique(samples)) in (255, 256)  # u-law has two zeros


@pytest.mark.parametrize("law", [ULAW, ALAW])
def test_the_error_is_within_a_step_of_the_law(law):
    samples = np.arange(-32_768, 32_768, 7).astype(np.int16)
    back = law.decode(law.encode(samples)).astype(int)
    step = np.maximum(16, np.abs(samples.astype(int)) // 16)
    assert (np.abs(back - samples) <= step).all()
    assert (np.diff(back) >= 0).all()


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("chunk", [80, 441, 2_400])
def test_a_stream_in_pieces_keeps_its_time_line_and_its_length(rate, chunk):
    t = np.arange(rate) / rate
    tone = (np.sin(2 * np.pi * 440 * t) * 12_000).astype(np.int16)
    resampler = Resampler(rate, 16_000)
    parts = [resampler.push(tone[n : n + chunk]) for n in range(0, rate, chunk)]
    joined = np.concatenate([*parts, resampler.flush()])
    assert len(joined) == 16_000
    ideal = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000) * 12_000
    assert np.abs(joined[400:-400] - ideal[400:-400]).max() < 150
    assert resampler.lag_samples == 0


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_the_same_sound_is_the_same_samples_in_every_stream_and_in_any_pieces(rate):
    sound = np.random.default_rng(0).normal(0, 300, rate).astype(np.int16)

    def heard(chunk: int) -> np.ndarray:
        resampler = Resampler(rate, 16_000)
        parts = [resampler.push(sound[n : n + chunk]) for n in range(0, rate, chunk)]
        return np.concatenate([*parts, resampler.flush()])

    first = heard(480)
    for chunk in (480, 97, 2_400):
        np.testing.assert_array_equal(heard(chunk), first)


def test_silence_stays_silence():
    assert not Resampler(24_000, 16_000).push(np.zeros(48_000, np.int16)).any()
