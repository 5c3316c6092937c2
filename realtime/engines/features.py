"""Log-mel features on a thread of their own: neither the event loop nor the model waits for them.

They are computed on the audio and a moment of silence; the rest of a window is copies of the last
frame, which is silence, so that the same features serve a window of any length. That equals what
silence filled in as audio gives, to the last bit or two of a float (2.4e-7): features of silence
alone would not, as Whisper counts them from the loudest frame of all.

A turn is asked for several times as it grows. What its earlier audio gave is kept until its final
was computed, and is used again as far as the audio is the same, which is compared and not assumed:
at the end of a turn only its last frames are left to do.

One thread is enough: an utterance takes 1 to 5 ms, and a tenth of what the model needs for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from realtime.audio import EAR_RATE_HZ, Float32, Int16, to_float32
from realtime.batcher import Batcher
from realtime.batching import PARTIAL, SPECULATION
from realtime.metrics import Metrics

HOP_SAMPLES = 160
HALF_FRAME_SAMPLES = 200
FRAMES_PER_S = EAR_RATE_HZ // HOP_SAMPLES
REFLECTED_FRAMES = 2
"""The first frames reach back before the audio and see its begin mirrored, as Whisper's do."""

LEAST_STUCK_S = 5.0

MAX_KEPT = 64
"""Growing turns whose features are kept, 0.5 MB each at most; beyond that the oldest is forgotten
and computed anew."""


class Extractor(Protocol):
    """What is asked of faster-whisper's: the mel bands, [mels, frequencies]."""

    @property
    def mel_filters(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class _Asked:
    audio: Int16
    owner: Hashable
    grows: bool
    """More of the same turn will be asked for."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """Frames of audio so far that lie wholly in it, [mels, frames], before they are levelled."""

    audio: Int16
    frames: Float32

    def usable(self, audio: Int16) -> int:
        """How many of the frames are those of this audio too."""
        common = min(len(self.audio), len(audio))
        if not np.array_equal(self.audio[:common], audio[:common]):
            return 0
        return min(int(self.frames.shape[1]), _whole_frames(common))


class LogMel:
    """A bounded, fair queue before one thread; a full queue refuses with `Saturated`."""

    def __init__(self, *, max_waiting_s: float, metrics: Metrics) -> None:
        self._metrics = metrics
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._batcher: Batcher[_Asked, Float32] = Batcher(
            "transcription.features",
            lambda batch: [self._answer(asked) for asked in batch],
            max_batch=1,
            max_cost=max_waiting_s,
            cost=lambda asked: len(asked.audio) / EAR_RATE_HZ,
            least_stuck_s=LEAST_STUCK_S,
            metrics=metrics,
        )

    def load(self, extractor: Extractor) -> None:
        self._filters = np.asarray(extractor.mel_filters, np.float32)
        self._window = np.hanning(2 * HALF_FRAME_SAMPLES + 1)[:-1].astype(np.float32)

    def start(self) -> None:
        self._batcher.start()

    async def close(self) -> None:
        await self._batcher.close()

    @property
    def batcher(self) -> Batcher[Any, Any]:
        """Its thread, for whoever sees to it."""
        return self._batcher

    def promote(self, owner: Hashable) -> None:
        """Speculations of this owner that wait are finals from now on."""
        self._batcher.promote(owner)

    async def of(self, audio: Int16, *, owner: Hashable, rank: int) -> Float32:
        """Features of 16 kHz audio, [mels, frames]; the last frame is silence."""
        asked = _Asked(audio, owner, rank in (PARTIAL, SPECULATION))
        return await self._batcher.submit(asked, owner=owner, rank=rank)

    def compute(self, audio: Int16) -> Float32:
        """What `of` gives, on the calling thread."""
        return self._answer(_Asked(audio, None, False))

    def _answer(self, asked: _Asked) -> Float32:
        audio, kept = asked.audio, self._kept.pop(asked.owner, None)
        done = kept.usable(audio) if kept else 0
        frames = self._frames(audio, done)
        if kept and done:
            self._metrics.count("transcription.frames_kept", done)
            frames = np.concatenate((kept.frames[:, :done], frames), axis=1)
        if asked.grows:
            self._kept[asked.owner] = _Kept(audio, frames[:, : _whole_frames(len(audio))])
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        levelled = np.maximum(frames, frames.max() - np.float32(8.0))
        return np.asarray((levelled + np.float32(4.0)) / np.float32(4.0), np.float32)

    def _frames(self, audio: Int16, first: int) -> Float32:
        """Logarithms of the mel bands from a frame on, with a moment of silence at the end."""
        count = -(-(len(audio) + HALF_FRAME_SAMPLES) // HOP_SAMPLES) + 1
        begin = first * HOP_SAMPLES - HALF_FRAME_SAMPLES
        end = (count - 1) * HOP_SAMPLES + HALF_FRAME_SAMPLES
        sound = np.pad(to_float32(audio[max(0, begin) :]), (0, end - len(audio)))
        if begin < 0:
            sound = np.concatenate((sound[-begin:0:-1], sound))
        cut = np.lib.stride_tricks.sliding_window_view(sound, 2 * HALF_FRAME_SAMPLES)
        spectra = np.fft.rfft(cut[::HOP_SAMPLES] * self._window).astype(np.complex64)
        powers = np.abs(spectra.T) ** 2
        return np.asarray(np.log10(np.maximum(self._filters @ powers, 1e-10)), np.float32)


def _whole_frames(samples: int) -> int:
    """Frames that lie wholly in so much audio, and do not change when more comes; 0 where even the
    mirrored begin may change."""
    whole = max(0, (samples - HALF_FRAME_SAMPLES) // HOP_SAMPLES + 1)
    return whole if whole > REFLECTED_FRAMES else 0


def filled(features: Sequence[Float32], window_s: float) -> Float32:
    """Features of several utterances, each followed by silence: [batch, mels, frames of window]."""
    frames = int(window_s * FRAMES_PER_S)
    out = np.empty((len(features), features[0].shape[0], frames), np.float32)
    for row, found in zip(out, features, strict=True):
        known = min(frames, found.shape[1])
        row[:, :known] = found[:, :known]
        row[:, known:] = found[:, -1:]
    return out
