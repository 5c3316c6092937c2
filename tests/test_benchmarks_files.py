"""The benchmark of files beside callers: its recordings and its ratios."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.clips import SAMPLE_RATE_HZ, Clip
from benchmarks.files import Block, Sent, figures, recording
from benchmarks.levels import FELT


def block(with_files: bool, *felt_ms: float, sent: list[Sent] | None = None) -> Block:
    said: list[dict[str, Any]] = [
        {"outcome": "answered", "ended_s": 1.0, "stages_ms": {FELT: ms}} for ms in felt_ms
    ]
    said.append({"outcome": "answered", "ended_s": 99.0, "stages_ms": {FELT: 9_999.0}})
    return Block(with_files, {"said": said, "lost": {}}, sent or [])


def test_what_callers_feel_is_compared_over_all_blocks_of_a_kind():
    sent = [Sent(60.0, 3.0, 100), Sent(60.0, 6.0, 100), Sent(600.0, 60.0, 1_000)]
    told = figures(
        [
            block(False, 400, 500),
            block(True, 500, 600, sent=sent[:2]),
            block(False, 600),
            block(True, 700, sent=sent[2:]),
        ],
        seconds=60,
    )
    assert told["alone_ms"] == {"turns": 3, "p50": 500, "p95": 590, "calls_lost": 0}
    assert told["ratio"] == {"p50": 1.2, "p95": 1.17}
    assert told["files"]["60"]["real_time_factor"] == pytest.approx(0.075)
    assert told["files"]["600"]["answered"] == 1
    assert [b["files"] for b in told["blocks"]] == [False, True, False, True]


def test_a_block_without_turns_has_no_ratio():
    told = figures([block(False), block(True, 500)], seconds=60)
    assert told["ratio"] == {"p50": None, "p95": None}


def test_a_recording_has_its_length_and_repeats_the_clips():
    pcm = np.full(SAMPLE_RATE_HZ, 1_000, np.int16)
    audio, rate_hz = soundfile.read(
        io.BytesIO(recording([Clip("a", "speech", "hello", pcm, 0, len(pcm) - 1)], 7.5)),
        dtype="int16",
    )
    assert (len(audio), rate_hz) == (7.5 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    assert 4 < np.count_nonzero(audio) / SAMPLE_RATE_HZ <= 5
