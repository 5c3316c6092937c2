"""Gain for quiet microphones, by the noise between the words. Pure; one stream each.

webrtcvad does not hear speech below some -50 dBFS, however still the room is; whether there is
room below it shows in the floor, the level of the quietest frames of late. The frames that it
judges are raised so that their floor comes to `FLOOR_DBFS`. A loud room's floor is there already:
nothing is raised then, and noise opens the gate no more often than before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from realtime.audio import Int16

FLOOR_DBFS = -50.0
"""Where the floor is raised to."""

MOST_DB = 30.0
"""Digital silence between the words says nothing about the speech."""

RISES_DB = 0.02
"""A frame: the floor follows a quieter frame at once and a louder one at 1 dB a second, so that a
long sentence does not pass for noise."""

NOTHING_DBFS = -85.0
"""Quieter frames are left alone: the last bit of a resampler's silence is no voice."""

OFFSET_SHARE = 0.1
LEAST_OFFSET = 100.0
"""A frame moves the offset of the stream by that share of what it differs; smaller ones than this,
of 32,768, are left: they harm nothing, and are mostly the low tones of a voice."""

FULL_SCALE = 32768.0
SILENCE_DBFS = -96.0


@dataclass
class QuietGain:
    """`raised` takes 20 ms frames in order."""

    floor_dbfs: float | None = None
    _offset: float = 0.0

    @property
    def gain_db(self) -> float:
        """What the next frame is raised by."""
        if self.floor_dbfs is None:
            return 0.0
        return min(MOST_DB, max(0.0, FLOOR_DBFS - self.floor_dbfs))

    def raised(self, frame: Int16) -> Int16:
        """A frame as the gate is to hear it: without its offset, louder in a still room."""
        mean = float(frame.mean())
        centred = frame - np.float32(mean)
        power = float(np.dot(centred, centred)) / len(frame) / FULL_SCALE**2
        level = max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS
        floor = level if self.floor_dbfs is None else self.floor_dbfs + RISES_DB
        self.floor_dbfs = min(level, floor)
        self._offset += OFFSET_SHARE * (mean - self._offset)
        if self.gain_db == 0 or level < NOTHING_DBFS:
            return frame
        louder = centred * np.float32(10 ** (self.gain_db / 20))
        return np.asarray(np.clip(louder, -32768, 32767), np.int16)

    def centred(self, audio: Int16) -> Int16:
        """Audio without the microphone's offset, where it has one."""
        if abs(self._offset) < LEAST_OFFSET:
            return audio
        return np.asarray(np.clip(audio - np.float32(self._offset), -32768, 32767), np.int16)
