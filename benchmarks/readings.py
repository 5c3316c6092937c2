"""Recorded speech read by a recogniser: the texts, how long it took, and which of them loop.

`plain` is faster-whisper as its documentation shows it, one recording after the other; `shipped` is
the server's transcriber with its batcher, every recording asked for at once or so many at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.clips import EAR_RATE_HZ, Clip, Pcm, load_clips, to_ear, to_float, to_pcm
from benchmarks.recogniser import recogniser
from benchmarks.words import WordErrors, normalise, word_errors

BEAM = 5
KINDS = ("speech", "long")
LOOP_FACTOR = 1.5
"""A text with so many times the words that were said, and five more, can only be a loop."""


@dataclass(frozen=True)
class Recording:
    """What is said in a clip, as 16-bit mono at 16 kHz."""

    name: str
    kind: str
    transcript: str
    pcm: Pcm

    @property
    def seconds(self) -> float:
        return self.pcm.size / EAR_RATE_HZ


@dataclass(frozen=True)
class Reading:
    """All recordings read once."""

    texts: list[str]
    seconds: float
    counts: Mapping[str, int]
    """What the transcriber counted meanwhile, without its stage's name."""

    def __add__(self, other: Reading) -> Reading:
        """Both, one after the other."""
        counts = Counter(self.counts) + Counter(other.counts)
        return Reading(self.texts + other.texts, self.seconds + other.seconds, counts)


def recordings(folder: Path) -> list[Recording]:
    """The clips with speech in them, whole."""

    def recorded(clip: Clip) -> Recording:
        return Recording(clip.name, clip.kind, clip.transcript, to_pcm(to_ear(clip.pcm)))

    return [recorded(clip) for kind in KINDS for clip in load_clips(folder, kind)]


def errors_in(reading: Reading, heard: Sequence[Recording]) -> list[WordErrors]:
    """The word errors of each recording."""
    return [word_errors(r.transcript, t) for r, t in zip(heard, reading.texts, strict=True)]


def loops_in(reading: Reading, heard: Sequence[Recording]) -> list[str]:
    """Names of the recordings whose text repeats itself where the speaker did not."""
    return [r.name for r, t in zip(heard, reading.texts, strict=True) if loops(t, r.transcript)]


def loops(text: str, transcript: str) -> bool:
    """True if a text repeats itself, or is much longer than what was said."""
    from realtime.hypothesis import MAX_COMPRESSION, compression_ratio, repeats

    found, said = normalise(text), normalise(transcript)
    if len(found.split()) > LOOP_FACTOR * len(said.split()) + 5:
        return True
    packed = compression_ratio(found) > max(MAX_COMPRESSION, 1.2 * compression_ratio(said))
    return packed or (repeats(found) and not repeats(said))


def load_plain(path: Path, threads: int) -> Any:
    """faster-whisper's model, warm."""
    import numpy as np
    from faster_whisper import WhisperModel

    model = WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=threads)
    list(model.transcribe(np.zeros(16_000, np.float32), language="en", beam_size=BEAM)[0])
    return model


def plain(model: Any, heard: Sequence[Recording]) -> Reading:
    """Beam 5, 30 s, one after the other."""
    begun_at = time.perf_counter()
    texts = []
    for each in heard:
        segments, _ = model.transcribe(to_float(each.pcm), language="en", beam_size=BEAM)
        texts.append(" ".join(segment.text.strip() for segment in segments))
    return Reading(texts, time.perf_counter() - begun_at, {})


async def shipped(
    transcriber: Any, metrics: Any, heard: Sequence[Recording], *, at_once: int | None = None
) -> Reading:
    """Every recording a caller of its own; `at_once` together, the next when all are answered."""
    from realtime.engines import Utterance

    async def text(n: int, each: Recording) -> str:
        found = await transcriber.transcribe(Utterance(each.pcm, "en"), owner=n)
        return str(found.text)

    before = dict(metrics.counts)
    begun_at = time.perf_counter()
    waiting = iter(enumerate(heard))
    texts: list[str] = []
    while group := list(islice(waiting, at_once)):
        texts += await asyncio.gather(*(text(n, each) for n, each in group))
    took_s = time.perf_counter() - begun_at
    counts = {
        name.removeprefix("transcription."): count - before.get(name, 0)
        for name, count in metrics.counts.items()
        if count > before.get(name, 0)
    }
    return Reading(texts, took_s, counts)


async def shipped_once(
    path: Path, heard: Sequence[Recording], options: Mapping[str, Any]
) -> Reading:
    """All at once through a transcriber of its own, with some of its options."""
    async with recogniser(path, options) as how:
        return await shipped(how.transcriber, how.metrics, heard)
