"""Audio formats of the wire: PCM16 at several rates and G.711, both ways, as streams. Pure.

A client declares what it sends and what it wants. The ear hears 16 kHz, voices speak 24 kHz;
between these and the wire stand a codec (bytes to samples) and a resampler. G.711 after ITU-T
G.711: 8 kHz, one byte a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from realtime.audio import Int16

Encoding = Literal["pcm", "pcmu", "pcma"]
U_LAW_BIAS = 0x84
U_LAW_CLIP = 32_635


@dataclass(frozen=True)
class Format:
    """How audio lies on the wire."""

    encoding: Encoding = "pcm"
    rate_hz: int = 24_000

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding == "pcm" else 1

    def wire(self) -> dict[str, str | int]:
        """As the protocol writes it."""
        if self.encoding == "pcm":
            return {"type": "audio/pcm", "rate": self.rate_hz}
        return {"type": f"audio/{self.encoding}"}

    def decode(self, data: bytes) -> Int16:
        """Whole samples' bytes to samples."""
        if self.encoding == "pcm":
            return np.frombuffer(data, dtype="<i2")
        return _expanded(self.encoding)[np.frombuffer(data, dtype=np.uint8)]

    def encode(self, audio: Int16) -> bytes:
        """Samples to the wire's bytes."""
        if self.encoding == "pcm":
            return audio.astype("<i2", copy=False).tobytes()
        return _compressed(self.encoding)[audio.astype(np.uint16)].tobytes()


@cache
def _expanded(encoding: Encoding) -> Int16:
    """The 256 samples that a byte can stand for."""
    code = np.arange(256, dtype=np.int32)
    if encoding == "pcmu":
        code = ~code & 0xFF
        value = ((((code & 0x0F) << 3) + U_LAW_BIAS) << ((code >> 4) & 7)) - U_LAW_BIAS
        return np.where(code & 0x80, -value, value).astype(np.int16)
    code = code ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 0x0F
    value = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
    )
    return np.where(code & 0x80, value, -value).astype(np.int16)


@cache
def _compressed(encoding: Encoding) -> NDArray[np.uint8]:
    """The byte for each of the 65,536 samples (index: the sample as an unsigned number)."""
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    if encoding == "pcmu":
        biased = np.minimum(np.abs(sample), U_LAW_CLIP) + U_LAW_BIAS
        exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
        mantissa = (biased >> (exponent + 3)) & 0x0F
        sign = np.where(sample < 0, 0x80, 0)
        code = ~(sign | (exponent << 4) | mantissa) & 0xFF
        return np.asarray(code, np.uint8)
    # one's complement for negative samples, as in the reference code
    size = np.minimum(np.where(sample < 0, ~sample, sample), 32_767) >> 4
    exponent = np.floor(np.log2(np.maximum(size, 1))).astype(np.int32) - 3
    exponent = np.maximum(exponent, 0)
    mantissa = np.where(size < 16, size, size >> np.maximum(exponent - 1, 0)) & 0x0F
    exponent = np.where(size < 16, 0, exponent)
    sign = np.where(sample < 0, 0, 0x80)
    return np.asarray((sign | (exponent << 4) | mantissa) ^ 0x55, np.uint8)


class Resampler:
    """One stream from one rate to another; `flush` gives what is still inside and starts anew.

    soxr keeps the two time lines aligned and only emits late: at quality MQ by 15 ms from 24 to 16
    kHz. It works on floats here: what it rounds itself is dithered, with other noise for every
    stream and every size of piece, and then the same speech may end a turn at another place.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        self._fresh()

    def _fresh(self) -> None:
        self._stream = (
            soxr.ResampleStream(self.from_hz, self.to_hz, 1, dtype="float32", quality="MQ")
            if self.from_hz != self.to_hz
            else None
        )
        self._taken = self._given = 0

    @property
    def lag_samples(self) -> int:
        """Output samples that are still inside."""
        return self._taken * self.to_hz // self.from_hz - self._given

    def push(self, audio: Int16) -> Int16:
        out = self._resampled(audio) if self._stream else audio
        self._taken += len(audio)
        self._given += len(out)
        return out

    def flush(self) -> Int16:
        rest = np.zeros(0, np.int16)
        if self._stream and self._taken:
            rest = self._resampled(rest, last=True)
        self._fresh()
        return rest

    def _resampled(self, audio: Int16, *, last: bool = False) -> Int16:
        assert self._stream is not None
        out = self._stream.resample_chunk(audio.astype(np.float32), last=last)
        return np.asarray(np.clip(np.rint(out), -32_768, 32_767), np.int16)
