"""PCM in and out: formats, resampling, slicing and a log of what was heard. No clock, no socket.

The ear works on 16-bit mono at 16 kHz, which is what webrtcvad, Silero and Whisper want; voices
speak 16-bit mono at 24 kHz; `formats.py` has what lies on the wire. Times are counts of samples.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.errors import ProtocolError

VOICE_RATE_HZ = 24_000
EAR_RATE_HZ = 16_000
SLICE_MS = 100
"""Large appends are consumed in slices of this length, with a yield to the event loop between."""

AUDIBLE_LEVEL = 0.01
"""A sample above this (of 1.0) can be heard: about -40 dBFS."""

Int16 = NDArray[np.int16]
Float32 = NDArray[np.float32]


def ms_to_samples(ms: float, rate_hz: int) -> int:
    """Milliseconds to whole samples at `rate_hz`."""
    return int(ms * rate_hz // 1000)


def samples_to_ms(samples: int, rate_hz: int) -> int:
    """Samples at `rate_hz` to whole milliseconds, rounded down."""
    return samples * 1000 // rate_hz


def to_pcm16(audio: Float32) -> Int16:
    """Float audio in [-1, 1] to 16-bit samples; what is louder is clipped, never wrapped."""
    return (np.clip(audio, -1.0, 1.0) * 32767.0).round().astype(np.int16)


def to_float32(audio: Int16) -> Float32:
    """16-bit samples to float audio in [-1, 1)."""
    return audio.astype(np.float32) / np.float32(32768.0)


def base64_slices(text: str, slice_bytes: int) -> Iterator[bytes]:
    """Decode base64 piece by piece, so that a 14 MiB append never holds up the loop in one call.

    Raises:
        ProtocolError: the text is not base64; names the field `audio`.
    """
    step = max(4, slice_bytes // 3 * 4)
    for start in range(0, len(text), step):
        try:
            yield base64.b64decode(text[start : start + step], validate=True)
        except (binascii.Error, ValueError) as error:
            raise ProtocolError(
                f"'audio' is not valid base64: {error}", code="invalid_base64", param="audio"
            ) from None


def byte_slices(data: bytes, slice_bytes: int) -> Iterator[bytes]:
    """Cut raw audio into pieces of at most `slice_bytes`."""
    view = memoryview(data)
    for start in range(0, len(view), slice_bytes):
        yield bytes(view[start : start + slice_bytes])


class ByteAligner:
    """Bytes to whole samples of `sample_bytes`; a byte left over is carried to the next call."""

    def __init__(self, sample_bytes: int) -> None:
        self._sample_bytes = sample_bytes
        self._carry = b""

    def push(self, data: bytes) -> bytes:
        data = self._carry + data
        whole = len(data) - len(data) % self._sample_bytes
        self._carry = data[whole:]
        return data[:whole]


class FrameSlicer:
    """A stream of samples to frames of one length; the remainder waits for the next call."""

    def __init__(self, frame_samples: int) -> None:
        self.frame_samples = frame_samples
        self._rest: Int16 = np.zeros(0, np.int16)

    def push(self, audio: Int16) -> list[Int16]:
        joined = np.concatenate((self._rest, audio)) if len(self._rest) else audio
        count = len(joined) // self.frame_samples
        cut = count * self.frame_samples
        self._rest = joined[cut:]
        return list(joined[:cut].reshape(count, self.frame_samples))

    def flush(self) -> Int16:
        """The remainder, shorter than a frame; the slicer is empty afterwards."""
        rest, self._rest = self._rest, np.zeros(0, np.int16)
        return rest


BLOCK_SAMPLES = 1_600
"""What an `AudioLog` puts together: an array takes 100 bytes besides its samples, and a client may
send these one by one."""


class AudioLog:
    """Samples kept by their position in the stream, forgotten from the front.

    Bounded by `max_samples`: when full, the oldest are dropped and counted in `dropped_samples`.
    """

    def __init__(self, max_samples: int) -> None:
        self.max_samples = max_samples
        self.dropped_samples = 0
        self._blocks: deque[Int16] = deque()
        self.start = 0
        self.end = 0

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, audio: Int16) -> None:
        if not len(audio):
            return
        if self._blocks and len(self._blocks[-1]) + len(audio) <= BLOCK_SAMPLES:
            self._blocks[-1] = np.concatenate((self._blocks[-1], audio))
        else:
            self._blocks.append(audio)
        self.end += len(audio)
        excess = len(self) - self.max_samples
        if excess > 0:
            self.dropped_samples += excess
            self.forget(self.start + excess)

    def forget(self, before: int) -> None:
        """Drop all samples at positions below `before`."""
        while self._blocks and self.start + len(self._blocks[0]) <= before:
            self.start += len(self._blocks.popleft())
        if self._blocks and self.start < before:
            self._blocks[0] = self._blocks[0][before - self.start :]
            self.start = before

    def read(self, start: int, end: int) -> Int16:
        """Samples at positions [start, end), as far as they are still kept."""
        start, end = max(start, self.start), min(end, self.end)
        if end <= start:
            return np.zeros(0, np.int16)
        parts, at = [], self.start
        for block in self._blocks:
            if at < end and at + len(block) > start:
                parts.append(block[max(0, start - at) : end - at])
            at += len(block)
        return np.concatenate(parts)


def cut_silence(audio: Float32, *, head: int, tail: int, level: float = AUDIBLE_LEVEL) -> Float32:
    """Keep at most `head` samples before the first audible one and `tail` after the last.

    A voice that begins with 0.3 s of silence makes every reply 0.3 s later. Audio with nothing
    audible in it comes back empty.
    """
    loud = np.flatnonzero(np.abs(audio) > level)
    if not len(loud):
        return audio[:0]
    return audio[max(0, loud[0] - head) : loud[-1] + 1 + tail]
