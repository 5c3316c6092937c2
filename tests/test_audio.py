"""PCM: alignment, resampling as a stream, frames, the log."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import audio
from realtime.audio import AudioLog, ByteAligner, FrameSlicer
from realtime.errors import ProtocolError


@given(st.lists(st.integers(0, 9), max_size=20), st.sampled_from([1, 2]))
def test_odd_bytes_are_carried_over(sizes, width):
    data = bytes(range(200))[: sum(sizes)]
    aligner, found, at = ByteAligner(width), b"", 0
    for size in sizes:
        piece = aligner.push(data[at : at + size])
        assert len(piece) % width == 0
        found, at = found + piece, at + size
    assert found == data[: len(data) // width * width]


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
