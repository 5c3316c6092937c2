"""Smart Turn v3.2: is somebody who paused done speaking, or will they go on?

A Whisper-tiny encoder with one output, quantised to int8 for CPUs. It listens to the sound of the
last 8 s, to how it was said rather than to words: log-mel frames of the waveform brought to mean 0
and variance 1, with silence before what is shorter. One thread serves all sessions; pauses that
come while it runs share the next run.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realtime.audio import EAR_RATE_HZ, Float32, Int16, to_float32
from realtime.batcher import Batcher
from realtime.engines.renewable import Renewable
from realtime.errors import EndOfTurnError, StageError
from realtime.fault import code_of
from realtime.metrics import Metrics

log = logging.getLogger("banter.end_of_turn")

HEARD_SAMPLES = 8 * EAR_RATE_HZ
"""What the model hears."""

FRAME_SAMPLES, HOP_SAMPLES, MELS = 400, 160, 80
"""Whisper's."""
WINDOW = np.hanning(FRAME_SAMPLES + 1)[:-1]

VARIANCE_FLOOR = 1e-7
"""Of transformers' feature extractor, with which the model was trained: silence stays silence."""

MAX_BATCH = 8
MAX_BATCH_S = 0.1
"""A core takes as long for each pause of a batch as for one alone: nobody waits for many others."""

LEAST_STUCK_S = 5.0
"""A pause takes 10 to 60 ms of a core."""

MAX_WAITING = 64
"""Pauses that wait; one more is refused, and its sound has no say."""


class SmartTurn(Renewable):
    """The shared model. `complete` may be called by any number of sessions."""

    def __init__(self, model: Path, *, metrics: Metrics) -> None:
        self._path = model
        self._batcher: Batcher[Int16, float] = Batcher(
            "end_of_turn",
            self.run,
            max_batch=MAX_BATCH,
            max_cost=MAX_WAITING,
            max_batch_s=MAX_BATCH_S,
            least_stuck_s=LEAST_STUCK_S,
            metrics=metrics,
        )

    def load(self) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor

        self._filters = FeatureExtractor.get_mel_filters(EAR_RATE_HZ, FRAME_SAMPLES, MELS)
        self._session = _session(self._path)

    def warm(self) -> None:
        self.run([np.zeros(EAR_RATE_HZ, np.int16)])

    def _batchers(self) -> tuple[Batcher[Any, Any], ...]:
        return (self._batcher,)

    async def complete(self, audio: Int16, *, owner: Hashable) -> float:
        """The probability, from 0 to 1, that a turn is over whose 16 kHz audio ends in a pause.

        Raises:
            Saturated: too many pauses wait.
            EndOfTurnError: the model failed.
        """
        try:
            return await self._batcher.submit(audio[-HEARD_SAMPLES:], owner=owner)
        except StageError:
            raise
        except Exception as error:
            log.exception("the end-of-turn model failed")
            raise EndOfTurnError("the end-of-turn model failed", code=code_of(error)) from error

    def run(self, batch: Sequence[Int16]) -> list[float]:
        """One probability for each pause."""
        model, inputs = self._session, np.stack([self.features(audio) for audio in batch])
        [found] = model.run(None, {"input_features": inputs})
        return [float(probability) for [probability] in found]

    def features(self, audio: Int16) -> Float32:
        """What the model hears of at most 8 s: [80, 800], silence first where it is shorter.

        In double precision, as the model's own tools do it: int8 makes of a difference in the sixth
        place of a feature one in the second place of the probability.
        """
        heard = np.zeros(HEARD_SAMPLES, np.float32)
        if len(audio):
            heard[-len(audio) :] = to_float32(audio)
        heard = (heard - heard.mean()) / np.sqrt(heard.var() + VARIANCE_FLOOR)
        padded = np.pad(heard.astype(np.float64), FRAME_SAMPLES // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
        spectrum = np.fft.rfft(frames[:-1] * WINDOW)
        power = spectrum.real**2 + spectrum.imag**2  # [800, 201]
        levels = np.log10(np.maximum(self._filters @ power.T, 1e-10))
        features = (np.maximum(levels, levels.max() - 8) + 4) / 4
        return np.asarray(features, np.float32)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
