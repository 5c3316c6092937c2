"""A clip -> a voice: checked, and then heard by the package's own encoders.

`prepare_conditionals` writes what it finds onto the object that it is called on. It is called on a
shallow copy here, so that the shared one's `conds` stay what they were; the models themselves are
shared. It runs the speech tokenizer, the speaker encoder and the voice encoder, none of which
synthesis uses, so it may run beside it on another thread.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import soundfile
import soxr
import torch

from realtime.audio import EAR_RATE_HZ, Float32, to_pcm16
from realtime.engines import HearingState
from realtime.engines.chatterbox.conditionals import Conditionals, from_package
from realtime.engines.chatterbox.model import Model
from realtime.engines.speech_detector import WINDOW_SAMPLES, SileroDetector, Windows
from realtime.errors import VoiceRefused
from realtime.metrics import Metrics
from realtime.reference_clip import Measured, complaint, measure, used_part

TOKENS_HZ = 25
"""A clip that is no whole number of tokens makes the package warn, and cut."""


class Enrolment:
    """Blocks, for seconds on a CPU; one call at a time."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ear: SileroDetector | None = None

    def enrol(self, audio: Float32, rate_hz: int) -> tuple[Conditionals, Measured]:
        """Make a voice of a mono clip.

        Raises:
            VoiceRefused: the clip is not fit for it; says what was measured and what is needed.
        """
        found = measure(audio, rate_hz, self._probabilities(audio, rate_hz))
        if problem := complaint(found):
            raise VoiceRefused(problem, code="unsuitable_clip")
        return prepare(self._model, used_part(audio, rate_hz, found), rate_hz), found

    def _probabilities(self, audio: Float32, rate_hz: int) -> list[float]:
        """Of speech in each window, by a detector of our own: the callers' has callers to hear."""
        if self._ear is None:
            self._ear = SileroDetector(Metrics())
            self._ear.load()
        heard = to_pcm16(soxr.resample(audio, rate_hz, EAR_RATE_HZ))
        heard = np.pad(heard, (0, -len(heard) % WINDOW_SAMPLES))
        windows = list(heard.reshape(-1, WINDOW_SAMPLES))
        [probabilities] = self._ear.run([Windows(HearingState(), windows)])
        return probabilities


def prepare(model: Model, audio: Float32, rate_hz: int) -> Conditionals:
    """What the package hears in a clip, without looking at it first.

    Raises:
        VoiceRefused: the device is out of memory.
        BanterError: the clip is shorter than what is read of it.
    """
    package = copy.copy(model.package)
    if hasattr(package, "norm_loudness"):
        package.norm_loudness = _in_float32(package.norm_loudness)
    clip = io.BytesIO()
    audio = np.pad(audio, (0, -len(audio) % max(1, rate_hz // TOKENS_HZ)))
    soundfile.write(clip, audio, rate_hz, format="WAV", subtype="FLOAT")
    clip.seek(0)
    try:
        with torch.no_grad():
            package.prepare_conditionals(clip)
        return from_package(package.conds)
    except torch.OutOfMemoryError:
        raise VoiceRefused(
            "there is no memory left to make a voice in; try again when less is being said",
            code="busy",
        ) from None


def _in_float32(normalize: Any) -> Any:
    """Turbo multiplies by a NumPy scalar of 64 bits, and from NumPy 2 on the samples become that
    too, which its tokenizer then refuses ("expected scalar type Double but found Float")."""

    def normalized(audio: Float32, *rest: Any, **named: Any) -> Float32:
        return np.asarray(normalize(audio, *rest, **named), np.float32)

    return normalized
