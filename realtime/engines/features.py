"""Log-mel features on a thread of their own: neither the event loop nor the model waits for them.

They are computed on the audio and a moment of silence; the rest of a window is copies of the last
frame, which is silence, so that the same features serve a window of any length. That equals what
silence filled in as audio gives, to the last bit or two of a float (2.4e-7): features of silence
alone would not, as Whisper counts them from the loudest frame of all.

One thread is enough: an utterance takes 1 to 5 ms, and a tenth of what the model needs for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from realtime.audio import EAR_RATE_HZ, Float32, Int16, to_float32
from realtime.batcher import Batcher
from realtime.metrics import Metrics

HOP_SAMPLES = 160
HALF_FRAME_SAMPLES = 200
FRAMES_PER_S = EAR_RATE_HZ // HOP_SAMPLES

Extractor = Callable[..., Float32]
"""faster-whisper's: float audio and `padding` samples of silence -> [mels, frames]."""


class LogMel:
    """A bounded, fair queue before one thread; a full queue refuses with `Saturated`."""

    def __init__(self, *, max_waiting_s: float, metrics: Metrics) -> None:
        self._batcher: Batcher[Int16, Float32] = Batcher(
            "transcription.features",
            lambda batch: [self.compute(audio) for audio in batch],
            max_batch=1,
            max_cost=max_waiting_s,
            cost=lambda audio: len(audio) / EAR_RATE_HZ,
            metrics=metrics,
        )

    def load(self, extractor: Extractor) -> None:
        self._extractor = extractor

    def start(self) -> None:
        self._batcher.start()

    @property
    def alive(self) -> bool:
        return self._batcher.alive

    async def close(self) -> None:
        await self._batcher.close()

    async def of(self, audio: Int16, *, owner: Hashable, rank: int) -> Float32:
        """Features of 16 kHz audio, [mels, frames]; the last frame is silence."""
        return await self._batcher.submit(audio, owner=owner, rank=rank)

    def compute(self, audio: Int16) -> Float32:
        """What `of` gives, on the calling thread."""
        frames = -(-(len(audio) + HALF_FRAME_SAMPLES) // HOP_SAMPLES) + 1
        return self._extractor(to_float32(audio), padding=frames * HOP_SAMPLES - len(audio))


def filled(features: Sequence[Float32], window_s: float) -> Float32:
    """Features of several utterances, each followed by silence: [batch, mels, frames of window]."""
    frames = int(window_s * FRAMES_PER_S)
    out = np.empty((len(features), features[0].shape[0], frames), np.float32)
    for row, found in zip(out, features, strict=True):
        known = min(frames, found.shape[1])
        row[:, :known] = found[:, :known]
        row[:, known:] = found[:, -1:]
    return out
