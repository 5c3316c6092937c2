"""Speech to the bytes of a sound file as it is made: what was pushed comes out at once.

16-bit mono at 24 kHz goes in. Nothing is written twice: formats whose head holds a length get the
one that means "until the end" (WAV) or none. The encoders are FFmpeg's, through PyAV.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from realtime.audio import VOICE_RATE_HZ, Int16

UNTIL_THE_END = 0xFFFFFFFF
SAMPLE_BYTES = 2


@dataclass(frozen=True)
class SoundFormat:
    """How one format is made and called."""

    content_type: str
    container: str = ""
    """FFmpeg's muxer; none for what is written here."""
    codec: str = ""
    bits_per_s: int | None = None
    options: tuple[tuple[str, str], ...] = ()


FORMATS = {
    "mp3": SoundFormat("audio/mpeg", "mp3", "libmp3lame", 64_000, (("write_xing", "0"),)),
    "opus": SoundFormat("audio/ogg", "ogg", "libopus", 32_000, (("page_duration", "100000"),)),
    "aac": SoundFormat("audio/aac", "adts", "aac", 64_000),
    "flac": SoundFormat("audio/flac", "flac", "flac"),
    "wav": SoundFormat("audio/wav"),
    "pcm": SoundFormat("audio/pcm"),
}
"""By OpenAI's names. `opus` is Ogg Opus; `pcm` is the samples alone, little-endian."""


def wav_head(rate_hz: int = VOICE_RATE_HZ) -> bytes:
    """A WAV header for a sound whose length is not known yet."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", UNTIL_THE_END, b"WAVE", b"fmt ", 16, 1, 1),
        *(rate_hz, SAMPLE_BYTES * rate_hz, SAMPLE_BYTES, 8 * SAMPLE_BYTES, b"data", UNTIL_THE_END),
    )


class _Sink:
    """What FFmpeg writes to; it has no `seek`, so nothing is gone back to."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data


class SoundEncoder:
    """One sound. `push` and `finish` block for a moment, and belong to one thread at a time."""

    def __init__(self, name: str) -> None:
        self._format = FORMATS[name]
        self._head = wav_head() if name == "wav" else b""
        self._samples = 0
        self._container: Any = None
        if self._format.container:
            self._open()

    def _open(self) -> None:
        import av

        self._sink = _Sink()
        self._container = av.open(
            self._sink,
            "w",
            format=self._format.container,
            container_options={"flush_packets": "1"},
            options=dict(self._format.options),
        )
        self._stream = self._container.add_stream(self._format.codec, rate=VOICE_RATE_HZ)
        self._stream.layout = "mono"
        if self._format.bits_per_s:
            self._stream.bit_rate = self._format.bits_per_s

    def push(self, audio: Int16) -> bytes:
        """The bytes that are ready once this sound is in; an encoder may hold some of it back."""
        if self._container is None:
            head, self._head = self._head, b""
            return head + audio.astype("<i2").tobytes()
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None, :]), "s16", "mono")
        frame.sample_rate = VOICE_RATE_HZ
        frame.pts, frame.time_base = self._samples, Fraction(1, VOICE_RATE_HZ)
        self._samples += len(audio)
        self._container.mux(self._stream.encode(frame))
        return self._sink.taken()

    def finish(self) -> bytes:
        """What was held back, and the end of the file. Nothing may follow."""
        if self._container is None:
            head, self._head = self._head, b""
            return head
        self._container.mux(self._stream.encode(None))
        self.close()
        return self._sink.taken()

    def close(self) -> None:
        """Let go of the encoder; for a sound that is given up."""
        if self._container is not None:
            self._container.close()
