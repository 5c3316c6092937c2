"""The watermark on real speech in chunks: it is found, and chunks still join."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from realtime.audio import VOICE_RATE_HZ, Float32
from realtime.engines.chatterbox.watermark import FADE_SAMPLES, Watermark
from tests.chatterbox.sound import clicks

CHUNKS_S = (0.2, 0.8, 1.6, 3.0)
"""As the synthesizer cuts them; the last repeats."""


@pytest.fixture(scope="module")
def speech() -> Float32:
    """Seven seconds of a person, at 24 kHz."""
    sound, rate = soundfile.read("tests/data/lj001_0016.flac", dtype="float32")
    return np.ascontiguousarray(soxr.resample(sound, rate, VOICE_RATE_HZ)[: 7 * VOICE_RATE_HZ])


@pytest.fixture(scope="module")
def watermark() -> Watermark:
    return Watermark(on=True)


def marked(watermark: Watermark, speech: Float32) -> tuple[Float32, list[int]]:
    """In chunks, and where they join."""
    stream, out, joints, at = watermark.open(), [], [], 0
    sizes = iter(CHUNKS_S)
    while at < len(speech):
        end = at + int(next(sizes, CHUNKS_S[-1]) * VOICE_RATE_HZ)
        out.append(stream.push(speech[at:end], end >= len(speech)))
        at = min(end, len(speech))
        joints.append(at)
    return np.concatenate(out), joints[:-1]


def confidence(watermark: Watermark, sound: Float32) -> float:
    marker: Any = watermark._marker
    return float(np.mean(marker.get_watermark(sound, sample_rate=VOICE_RATE_HZ, round=False)))


def test_it_is_found_in_the_whole_line(watermark: Watermark, speech: Float32) -> None:
    """As surely as if the line had been marked at once; not where nothing was marked."""
    whole = watermark.open().push(speech, True)
    streamed, _ = marked(watermark, speech)
    found = [confidence(watermark, sound) for sound in (speech, whole, streamed)]
    print("unmarked, whole, streamed", found)
    assert found[0] < 0.3
    assert found[1] > 0.9
    assert found[2] > 0.9


def test_it_is_found_in_a_part(watermark: Watermark, speech: Float32) -> None:
    streamed, joints = marked(watermark, speech)
    for start, end in zip(joints, [*joints[1:], len(speech)], strict=True):
        if end - start > VOICE_RATE_HZ:
            part = confidence(watermark, streamed[start:end])
            print("part", start / 24_000, end / 24_000, part)
            assert part > 0.5


def test_chunks_join_as_they_would_unmarked(watermark: Watermark, speech: Float32) -> None:
    streamed, joints = marked(watermark, speech)
    assert len(streamed) == len(speech)
    assert streamed.dtype == np.float32
    change = np.abs(streamed - speech)
    assert change.max() > 1e-3
    assert change[: joints[0]].max() == 0.0  # the first chunk is on its way before the marker runs
    for joint in joints:
        assert change[joint - 1 : joint + 1].max() < 1e-5
    print("clicks", clicks(streamed, joints), clicks(speech, joints))
    assert max(clicks(streamed, joints)) < 1.2
    broken = streamed.copy()
    broken[joints[1] :] += 0.08
    assert clicks(broken, joints)[1] > 1.5


def test_a_line_of_one_chunk_is_marked(watermark: Watermark, speech: Float32) -> None:
    stream = watermark.open()
    line = speech[: 2 * VOICE_RATE_HZ].copy()
    out = stream.push(line, True)
    assert confidence(watermark, out) > 0.9
    assert np.array_equal(line, speech[: 2 * VOICE_RATE_HZ])


@pytest.mark.parametrize("count", [0, 1, 2 * FADE_SAMPLES - 1, 960])
def test_however_short(watermark: Watermark, speech: Float32, count: int) -> None:
    assert len(watermark.open().push(speech[:count], True)) == count
    stream = watermark.open()
    stream.push(speech[:9_600], False)
    assert len(stream.push(speech[9_600 : 9_600 + count], True)) == count


def test_off_is_nothing(speech: Float32) -> None:
    streamed, _ = marked(Watermark(on=False), speech)
    assert np.array_equal(streamed, speech)
