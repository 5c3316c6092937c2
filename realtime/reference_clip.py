"""Whether a recording can be the reference of a voice, and which part of it is. Pure.

What a voice is cloned from decides how it sounds ever after, and the models take anything: silence,
a cough, a shout that the microphone has cut off. So a clip is measured first, and a refusal says
what was measured and what is needed. Where there is speech is for a speech detector to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realtime.audio import EAR_RATE_HZ, Float32

WINDOW_S = 512 / EAR_RATE_HZ
"""Of the speech detector; one probability each."""

LIKELY = 0.5
MIN_SPEECH_S = 5.0
MAX_S = 60.0
MARGIN_S = 0.1
"""Kept before the first and after the last speech."""

DENSE_S = 10.0
"""The reference is read from its begin: this much of it has to hold `MIN_SPEECH_S` of speech."""

QUIETEST_DBFS = -45.0
TOP = 0.99
MAX_CLIPPED = 0.005
"""Of the samples of speech, how many may be as loud as the loudest but for one hundredth. They are
fewer than 0.0001 in nine recordings, and 0.004 to 0.14 where these were cut off at half."""


@dataclass(frozen=True)
class Measured:
    """What was found in a clip. Levels in dB of full scale."""

    seconds: float
    speech_s: float
    begin_s: float
    """Where the part that is used begins; the end likewise."""
    end_s: float
    dense_s: float
    """Of speech in the first `DENSE_S` of that."""
    level_dbfs: float
    """Root mean square of the windows with speech."""
    clipped: float
    """Share of their samples that are at the very top."""


def measure(audio: Float32, rate_hz: int, probabilities: Sequence[float]) -> Measured:
    """Measure a mono clip. `probabilities` are those of speech in windows of `WINDOW_S`."""
    seconds = len(audio) / rate_hz
    is_speech = np.asarray(probabilities, np.float32) >= LIKELY
    speech = np.flatnonzero(is_speech)
    if not len(speech):
        return Measured(seconds, 0.0, 0.0, seconds, 0.0, _dbfs(audio), 0.0)
    begin_s = max(0.0, float(speech[0]) * WINDOW_S - MARGIN_S)
    end_s = min(seconds, float(speech[-1] + 1) * WINDOW_S + MARGIN_S)
    dense = speech < begin_s / WINDOW_S + DENSE_S / WINDOW_S
    heard = np.repeat(is_speech, round(WINDOW_S * rate_hz))[: len(audio)]
    spoken = audio[: len(heard)][heard]
    loud = np.abs(spoken)
    return Measured(
        seconds=seconds,
        speech_s=len(speech) * WINDOW_S,
        begin_s=begin_s,
        end_s=end_s,
        dense_s=int(dense.sum()) * WINDOW_S,
        level_dbfs=_dbfs(spoken),
        clipped=float((loud >= TOP * loud.max()).mean()) if loud.max() > 0 else 0.0,
    )


def _dbfs(audio: Float32) -> float:
    power = float(np.mean(np.square(audio, dtype=np.float64))) if len(audio) else 0.0
    return 10 * float(np.log10(power)) if power > 0 else -120.0


def complaint(found: Measured) -> str | None:
    """Why a clip cannot be used, with what was measured and what is needed; None where it can."""
    if found.seconds > MAX_S:
        return f"the clip is {found.seconds:.1f} s long; at most {MAX_S:g} s are taken"
    if found.speech_s == 0:
        return (
            f"no speech was found in {found.seconds:.1f} s at {found.level_dbfs:.0f} dBFS; "
            f"at least {MIN_SPEECH_S:g} s of one person speaking are needed"
        )
    if found.speech_s < MIN_SPEECH_S:
        return (
            f"the clip holds {found.speech_s:.1f} s of speech in {found.seconds:.1f} s; "
            f"at least {MIN_SPEECH_S:g} s are needed, 10 to 15 s are better"
        )
    if found.end_s - found.begin_s <= MIN_SPEECH_S:  # Turbo asserts it
        return (
            f"the part with speech is {found.end_s - found.begin_s:.2f} s long; "
            f"more than {MIN_SPEECH_S:g} s are needed, 10 to 15 s are better"
        )
    if found.dense_s < MIN_SPEECH_S:
        return (
            f"the first {DENSE_S:g} s hold {found.dense_s:.1f} s of speech; at least "
            f"{MIN_SPEECH_S:g} s are needed there: cut the pauses out"
        )
    if found.level_dbfs < QUIETEST_DBFS:
        return (
            f"the speech is at {found.level_dbfs:.0f} dBFS; at least {QUIETEST_DBFS:g} dBFS are "
            "needed: record it louder, or closer"
        )
    if found.clipped > MAX_CLIPPED:
        return (
            f"{found.clipped:.1%} of the speech is cut off at the top; at most {MAX_CLIPPED:.1%} "
            "are taken: record it with less gain"
        )
    return None


def used_part(audio: Float32, rate_hz: int, found: Measured) -> Float32:
    """The clip without the silence at its ends: what a voice is made from is read from the begin,
    and silence there would be taken for the way the speaker sounds."""
    return audio[int(found.begin_s * rate_hz) : int(np.ceil(found.end_s * rate_hz))]
