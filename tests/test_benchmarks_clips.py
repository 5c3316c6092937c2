"""Clips: what is read, and where speech begins and ends in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hibari import Hibari

from benchmarks.clips import (
    SAMPLE_RATE_HZ,
    Clip,
    Pcm,
    in_seeded_order,
    load_clips,
    read_pcm,
    to_pcm,
    voiced_span,
)

HEADER = "file\tseconds\tkind\ttranscript\tsource\tlicence\n"
FRAME_SAMPLES = SAMPLE_RATE_HZ // 100
SILERO_WINDOW_SAMPLES = SAMPLE_RATE_HZ * 32 // 1000


@pytest.fixture(scope="module")
def sentence() -> Pcm:
    """A sentence from its first to its last sample over -40 dBFS."""
    pcm = to_pcm(
        np.concatenate(list(Hibari(threads=1).stream("We count from one to ten.", seed=0)))
    )
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 328)
    return pcm[loud[0] : loud[-1] + 1]


def second(seconds: float) -> Pcm:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


@pytest.mark.parametrize(("head_s", "tail_s"), [(0.5, 0.7), (0.0, 0.0), (1.0, 0.1)])
def test_speech_is_found_between_silences(sentence: Pcm, head_s: float, tail_s: float) -> None:
    first, last = voiced_span(np.concatenate([second(head_s), sentence, second(tail_s)]))
    begun, ended = round(head_s * SAMPLE_RATE_HZ), round(head_s * SAMPLE_RATE_HZ) + sentence.size
    assert begun - FRAME_SAMPLES <= first <= begun + 3 * SILERO_WINDOW_SAMPLES
    assert ended - 3 * SILERO_WINDOW_SAMPLES <= last < ended + FRAME_SAMPLES


def test_quiet_noise_after_speech_is_not_voiced(sentence: Pcm) -> None:
    noise = np.random.default_rng(0).normal(0, 60, SAMPLE_RATE_HZ).astype(np.int16)
    _, last = voiced_span(np.concatenate([sentence, noise]))
    assert abs(last - sentence.size) <= 4 * SILERO_WINDOW_SAMPLES


def test_where_nobody_speaks_all_of_it_counts() -> None:
    assert voiced_span(second(1.0)) == (0, SAMPLE_RATE_HZ - 1)


def test_files_become_24_khz_mono(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(tmp_path / "tone.flac", np.stack([tone, tone], axis=1), 16_000)
    pcm = read_pcm(tmp_path / "tone.flac")
    assert (pcm.size, pcm.dtype) == (24_000, np.int16)
    assert np.abs(pcm).max() == pytest.approx(16_384, rel=0.02)


def test_the_manifest_says_what_there_is(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(1600), 16_000)
    row = 'a.wav\t0.1\tspeech\tShe said "one".\there\tMIT\nb.wav\t0.1\tnoise\t\there\tMIT\n'
    (tmp_path / "manifest.tsv").write_text(HEADER + row)
    (clip,) = load_clips(tmp_path)
    assert (clip.name, clip.transcript, clip.seconds) == ("a.wav", 'She said "one".', 0.1)
    with pytest.raises(ValueError, match="no clip of kind 'voice'"):
        load_clips(tmp_path, "voice")


def test_the_order_is_fixed_by_its_seed_and_goes_round() -> None:
    clips = [Clip(name, "speech", "", second(0), 0, 0) for name in "abc"]
    names = [clip.name for clip in in_seeded_order(clips, 7, seed=1)]
    assert names == [clip.name for clip in in_seeded_order(clips, 7, seed=1)]
    assert sorted(names[:3]) == ["a", "b", "c"]
    assert names[3:6] == names[:3]
