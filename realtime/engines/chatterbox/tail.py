"""Where a line is over although the model does not say so. Pure.

Two looks at it: at the speech tokens while they come, for silence that goes on and on, and at the
sound of the last chunk, for noise after the words. What cannot be told without a recogniser is a
tail that sounds like speech; only `pieces.token_limit` ends that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from realtime.audio import Float32

PAUSE_TOKENS = 20
"""0.8 s: no pause after the last word is longer."""

LONG_PAUSE_TOKENS = 50
"""2 s: no pause within a line is."""

FRAME_MS = 20
NOISE_DB = 32.0
"""So far below the loudest speech of a line, nothing of it is a word."""

CLICK_MS = 100
GAP_MS = 300
"""What sounds for less than `CLICK_MS` after a pause of `GAP_MS` is no word either."""


def is_over(tokens: Sequence[int], fewest: int) -> bool:
    """True if the line's last token was its last word's: the decoder may stop.

    `fewest` is what the text needs at least (`pieces.fewest_tokens`); before that a pause is one.
    """
    run = silent_run(tokens)
    said = len(tokens) - run
    return run >= (PAUSE_TOKENS if said >= fewest else LONG_PAUSE_TOKENS)


def silent_run(tokens: Sequence[int]) -> int:
    """How often the last token stands at the end: silence, or a sound that no speech holds so long.

    Counts to `LONG_PAUSE_TOKENS`. Where silence is made of several tokens in turn, it is missed.
    """
    latest = tokens[-LONG_PAUSE_TOKENS:]
    return next((n for n, t in enumerate(reversed(latest)) if t != latest[-1]), len(latest))


def speech_level(sound: Float32, rate_hz: int) -> float:
    """RMS of the loud frames of some speech: the 95th percentile."""
    frames = _rms(sound, rate_hz)
    return float(np.percentile(frames, 95)) if len(frames) else 0.0


def speech_end(sound: Float32, rate_hz: int, level: float) -> int:
    """The sample after the last word in the end of a line, whose speech has this level.

    Zero where there is no word in it. Hiss and breath are below `NOISE_DB`; a click stands alone.
    """
    frame = rate_hz * FRAME_MS // 1_000
    loud = _rms(sound, rate_hz) > level * 10 ** (-NOISE_DB / 20)
    steps = np.diff(np.concatenate(([0], loud.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    before = np.concatenate(([0], ends[:-1]))
    clicks = (ends - starts < CLICK_MS // FRAME_MS) & (starts - before >= GAP_MS // FRAME_MS)
    words = ends[~clicks]
    return min(len(sound), int(words[-1]) * frame) if len(words) else 0


def _rms(sound: Float32, rate_hz: int) -> Float32:
    """One value for each frame; the last may be short."""
    frame = rate_hz * FRAME_MS // 1_000
    padded = np.pad(sound, (0, -len(sound) % frame)).reshape(-1, frame)
    levels: Float32 = np.sqrt((padded**2).mean(1))
    return levels
