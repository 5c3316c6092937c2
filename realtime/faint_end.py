"""Where speech has died away, though a detector is not sure of it yet. Pure."""

from __future__ import annotations

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16, ms_to_samples

FAINT_DB = -30.0
"""So far below a turn's loud frames speech has died away, though a detector is not sure of it."""

FAINT_FRAMES_MOST = 20


def faint_end(spoken: Int16) -> int:
    """How many samples at the end of a turn's speech are echo and detector's doubt, no voice."""
    frame = ms_to_samples(10, EAR_RATE_HZ)
    whole = len(spoken) // frame
    if not whole:
        return 0
    frames = spoken[len(spoken) - whole * frame :].astype(np.float32).reshape(whole, frame)
    levels_db = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-3)
    loud = np.flatnonzero(levels_db > np.percentile(levels_db, 95) + FAINT_DB)
    return int(min(FAINT_FRAMES_MOST, whole - 1 - loud[-1])) * frame
