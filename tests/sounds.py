"""Sound files for tests, written by FFmpeg as programs of all kinds would."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from realtime.audio import Int16

DATA = Path(__file__).parent / "data"

SENTENCE = (
    "The quick brown fox jumps over the lazy dog. "
    "It was a bright cold day in April, and the rain fell on the old town."
)

CONTAINERS = {
    "wav": ("wav", "pcm_s16le"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "ogg": ("ogg", "flac"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "mpeg": ("mpeg", "mp2"),
    "aiff": ("aiff", "pcm_s16be"),
    "au": ("au", "pcm_mulaw"),
}


def recording(name: str) -> tuple[Int16, int]:
    """A clip of tests/data and its rate."""
    return soundfile.read(DATA / f"{name}.flac", dtype="int16")


def written(audio: Int16, rate_hz: int, kind: str, *, channels: int = 1) -> bytes:
    """A file of one of `CONTAINERS`."""
    container, codec = CONTAINERS[kind]
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as out:
        stream = out.add_stream(
            codec, rate=48_000 if "opus" in codec or kind == "mpeg" else rate_hz
        )
        stream.layout = "mono" if channels == 1 else "stereo"
        layout = stream.layout.name
        both = np.repeat(audio, channels)[None, :]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(both), "s16", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return sink.getvalue()
