"""What the clients say, and whether it was understood."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from tests.client import clip, quiet, transcripts

FIRST, SECOND = "ls_6930_0000", "vctk_p287_004_clean"
"""Clips of 3.5 and 4.9 seconds."""

RATE_HZ = 24_000
normal = EnglishTextNormalizer()


def spoken(name: str) -> bytes:
    """A clip with the pauses that make a turn of it: PCM16 at 24 kHz."""
    return quiet(0.3) + clip(name) + quiet(1.2)


def slices(audio: bytes, ms: int = 100) -> Iterator[bytes]:
    """The same in pieces of `ms`."""
    step = RATE_HZ * 2 * ms // 1000
    return (audio[n : n + step] for n in range(0, len(audio), step))


def misheard(name: str, text: str) -> float:
    """The word error rate of `text` against what is said in the clip, 0 to 1 and more."""
    return float(wer(normal(transcripts()[name]), normal(text)))


def wav(audio: bytes) -> bytes:
    """PCM16 at 24 kHz as a file."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(audio)
    return held.getvalue()
