"""PCM: alignment, resampling as a stream, frames, the log."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import audio
from realtime.audio import AudioLog, EarResampler, FrameSlicer, SampleAligner
from realtime.errors import ProtocolError


def tone(seconds: float, rate: int, hz: float = 440) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hz * t) * 12_000).astype(np.int16)


@given(st.lists(st.integers(0, 9), max_size=20))
def test_odd_bytes_are_carried_over(sizes):
    data = bytes(range(200))[: sum(sizes)]
    aligner, found, at = SampleAligner(), [], 0
    for size in sizes:
        found += aligner.push(data[at : at + size]).tolist()
        at += size
    whole = len(data) // 2 * 2
    assert found == np.frombuffer(data[:whole], "<i2").tolist()


@pytest.mark.parametrize("chunk", [240, 480, 999, 2400, 24_000])
def test_the_resampler_keeps_the_time_line_and_flushes_to_the_last_sample(chunk):
    wire = tone(1, 24_000)
    ear = EarResampler()
    heard = [ear.push(wire[n : n + chunk]) for n in range(0, len(wire), chunk)]
    assert 0 <= ear.lag_samples <= 16_000 * 0.03
    heard.append(ear.flush())
    joined = np.concatenate(heard)
    assert len(joined) == 16_000
    error = joined[200:-200] - tone(1, 16_000)[200:-200].astype(np.float64)
    assert np.abs(error).max() < 120


def test_a_flushed_resampler_starts_anew():
    ear = EarResampler()
    ear.push(tone(0.3, 24_000))
    ear.flush()
    assert ear.lag_samples == 0
    assert np.abs(ear.push(np.zeros(4_800, np.int16))).max() <= 1  # soxr dithers


def test_frames_are_of_one_length_and_the_remainder_waits():
    slicer = FrameSlicer(320)
    stream = np.arange(1_000, dtype=np.int16)
    frames = [f for n in range(0, 1_000, 70) for f in slicer.push(stream[n : n + 70])]
    assert [len(f) for f in frames] == [320] * 3
    assert np.concatenate([*frames, slicer.flush()]).tolist() == stream.tolist()


def test_the_log_is_read_by_position_and_forgets_from_the_front():
    log = AudioLog(max_samples=100)
    for n in range(0, 60, 20):
        log.append(np.arange(n, n + 20, dtype=np.int16))
    assert log.read(15, 45).tolist() == list(range(15, 45))
    log.forget(33)
    assert (log.start, log.end, len(log)) == (33, 60, 27)
    assert log.read(0, 40).tolist() == list(range(33, 40))
    assert log.read(70, 80).tolist() == []


def test_a_full_log_drops_the_oldest_and_counts_it():
    log = AudioLog(max_samples=50)
    for n in range(4):
        log.append(np.full(20, n, np.int16))
    assert log.dropped_samples == 30
    assert log.start == 30
    assert log.read(30, 80).tolist() == [1] * 10 + [2] * 20 + [3] * 20


def test_silence_at_the_head_and_the_tail_is_cut():
    sound = np.concatenate([np.zeros(7_200), np.full(100, 0.5), np.zeros(9_000)]).astype(np.float32)
    cut = audio.cut_silence(sound, head=480, tail=2_400)
    assert len(cut) == 480 + 100 + 2_400
    assert len(audio.cut_silence(np.zeros(500, np.float32), head=10, tail=10)) == 0


def test_loud_audio_is_clipped_and_never_wraps():
    assert audio.to_pcm16(np.array([2.0, -2.0, 0.0], np.float32)).tolist() == [32767, -32767, 0]


def test_base64_is_decoded_in_slices():
    data = bytes(range(256)) * 50
    pieces = list(audio.base64_slices(base64.b64encode(data).decode(), 4_800))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 4_800


@pytest.mark.parametrize("text", ["@@@@", "abc", "AAAA====BBBB"])
def test_what_is_not_base64_names_the_field(text):
    with pytest.raises(ProtocolError) as error:
        list(audio.base64_slices(text, 4_800))
    assert error.value.param == "audio"
