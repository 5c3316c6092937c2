"""Recorded speech to play to a server: a folder with a manifest.tsv in, 24 kHz clips out.

Voiced means one thing everywhere in the benchmarks: a sample is voiced when Silero (threshold 0.5,
its padding set to 0, the clip followed by silence as it is when played) calls its 32 ms window
speech and the 10 ms frame around it is within 30 dB of the clip's loud frames (their 95th
percentile). Silero tells speech from noise; the level trims the tail that Silero needs to decide.
"""

from __future__ import annotations

import csv
import random
from argparse import ArgumentParser
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 24_000
EAR_RATE_HZ = 16_000
DEFAULT_CLIPS = Path(__file__).parent.parent / "tests" / "data"
SILENCE_AFTER = np.zeros(EAR_RATE_HZ // 2, np.float32)
LEVEL_FRAME_SAMPLES = EAR_RATE_HZ // 100
QUIET_DB = -30.0

Pcm = NDArray[np.int16]
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """One recording with the words that are said in it."""

    name: str
    kind: str
    transcript: str
    pcm: Pcm
    """Mono, 24 kHz."""
    first_voiced_sample: int
    last_voiced_sample: int
    """Counted from the start of the clip, at 24 kHz."""

    @property
    def seconds(self) -> float:
        return self.pcm.size / SAMPLE_RATE_HZ


def to_float(pcm: Pcm) -> Samples:
    """PCM16 as floats from -1 to 1."""
    return pcm.astype(np.float32) / np.float32(32768)


def to_pcm(samples: Samples) -> Pcm:
    """Floats as PCM16, clipped."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def to_ear(pcm: Pcm) -> Samples:
    """24 kHz PCM16 as the 16 kHz floats that Silero and Whisper hear."""
    return np.asarray(soxr.resample(to_float(pcm), SAMPLE_RATE_HZ, EAR_RATE_HZ), np.float32)


def frame_levels_db(heard: Samples) -> NDArray[np.float32]:
    """Mean power of each whole 10 ms frame at 16 kHz, in dB of full scale."""
    whole = heard[: heard.size // LEVEL_FRAME_SAMPLES * LEVEL_FRAME_SAMPLES]
    power = np.mean(np.square(whole.reshape(-1, LEVEL_FRAME_SAMPLES)), axis=1)
    return np.asarray(10 * np.log10(power + 1e-10), np.float32)


def voiced_frames(pcm: Pcm) -> NDArray[np.bool_]:
    """For each 10 ms frame of a clip, whether it is voiced in the sense of this module."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # takes a second to import

    heard = to_ear(pcm)
    levels_db = frame_levels_db(heard)
    said = np.zeros(levels_db.size, np.bool_)
    options = VadOptions(threshold=0.5, min_silence_duration_ms=100, speech_pad_ms=0)
    for span in get_speech_timestamps(np.concatenate([heard, SILENCE_AFTER]), options):
        said[span["start"] // LEVEL_FRAME_SAMPLES : span["end"] // LEVEL_FRAME_SAMPLES] = True
    return said & (levels_db > np.percentile(levels_db, 95) + QUIET_DB)


def voiced_span(pcm: Pcm) -> tuple[int, int]:
    """First and last voiced sample at 24 kHz; the whole clip where nobody speaks."""
    frames = np.flatnonzero(voiced_frames(pcm))
    if not frames.size:
        return 0, max(0, pcm.size - 1)
    frame_samples = SAMPLE_RATE_HZ // 100
    last = (int(frames[-1]) + 1) * frame_samples - 1
    return int(frames[0]) * frame_samples, min(last, pcm.size - 1)


def read_pcm(path: Path) -> Pcm:
    """An audio file as mono 24 kHz PCM16."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = np.asarray(samples.mean(axis=1), np.float32)
    return to_pcm(np.asarray(soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ), np.float32))


def load_clips(folder: Path, kind: str = "speech") -> list[Clip]:
    """The clips of one kind that a folder's manifest.tsv names, in its order."""
    with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE))
    clips = [
        clip_of(row["file"], kind, row["transcript"], read_pcm(folder / row["file"]))
        for row in rows
        if row["kind"] == kind
    ]
    if not clips:
        raise ValueError(f"{folder / 'manifest.tsv'} names no clip of kind {kind!r}")
    return clips


def clip_of(name: str, kind: str, transcript: str, pcm: Pcm) -> Clip:
    """A clip with its voiced span found: now, as it takes longer than a call may be held up."""
    return Clip(name, kind, transcript, pcm, *voiced_span(pcm))


def names_voices(clip: Clip, voices: list[str]) -> bool:
    """Whether one of the names given is that of a clip, with or without `noise_` and `.flac`."""
    plain = Path(clip.name).stem
    return any(voice in (clip.name, plain, plain.removeprefix("noise_")) for voice in voices)


def in_seeded_order(clips: list[Clip], count: int, seed: int = 7) -> list[Clip]:
    """`count` clips in an order that a seed fixes, from the start again when they run out."""
    shuffled = random.Random(seed).sample(clips, len(clips))
    return list(islice(cycle(shuffled), count))


def add_clips_option(parser: ArgumentParser) -> None:
    """--clips DIR."""
    parser.add_argument(
        "--clips",
        type=Path,
        default=DEFAULT_CLIPS,
        metavar="DIR",
        help="folder of recordings with a manifest.tsv (default: tests/data)",
    )
