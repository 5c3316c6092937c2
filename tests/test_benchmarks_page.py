"""What the benchmarks of the page make of what they measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.browser import room
from benchmarks.clips import SAMPLE_RATE_HZ, Clip
from benchmarks.page_latency import clip_of, minus, since_decision, told_in
from benchmarks.page_soak import growth, script


def clip(name: str, transcript: str, seconds: float = 1.0) -> Clip:
    pcm = np.full(int(seconds * SAMPLE_RATE_HZ), 8_192, np.int16)
    return Clip(name, "speech", transcript, pcm, 0, pcm.size - 1)


def test_a_room_has_the_clips_where_they_begin_and_is_still_elsewhere() -> None:
    heard = room([(0.5, clip("a", "hello"))], 2.0)
    assert heard.size == 2 * SAMPLE_RATE_HZ
    assert np.abs(heard[: SAMPLE_RATE_HZ // 2]).max() < 0.01
    assert heard[SAMPLE_RATE_HZ : SAMPLE_RATE_HZ + 10] == pytest.approx(0.25, abs=0.01)
    assert np.abs(heard[int(1.6 * SAMPLE_RATE_HZ) :]).max() < 0.01


def test_clips_follow_one_another_to_the_end_and_no_further() -> None:
    said = script([clip("a", "one"), clip("b", "two")], minutes=0.25, gap_s=3.0)
    assert [at for at, _ in said] == [2.0, 6.0, 10.0, 14.0]


def test_growth_is_that_of_the_second_half() -> None:
    samples = [{"s": 20.0 * n, "heap_mb": mb} for n, mb in enumerate((1.0, 9.0, 9.0, 9.5, 10.0))]
    assert growth(samples, "heap_mb") == 1.5


def test_words_are_found_in_the_clip_that_has_most_of_them() -> None:
    clips = [clip("moon", "How far is the moon?"), clip("snake", "a small plastic snake")]
    assert clip_of("the small snake", clips) == "snake"
    assert clip_of("the moon", clips) == "moon"


def test_differences_are_of_what_both_have() -> None:
    told = told_in({"decision_ms": 260.0, "transcript_ms": 300.0, "text_ms": None, "audio_ms": 350})
    saw = {"decision": 250.0, "transcript": 310.0, "text": 320.0, "audio": None}
    assert minus(told, saw) == {
        "decision": 10.0,
        "transcript": -10.0,
        "text": None,
        "audio": None,
    }
    assert since_decision(saw)["transcript"] == 60.0
