"""A recording that comes in blocks -> windows for a recogniser, each cut at a pause. Pure.

At most one window and one block of it are held, so that a recording may be of any length. Nothing
is lost: the windows joined are the recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.recognition import quiet_cut


@dataclass
class WindowCutter:
    """Cuts 16 kHz audio into windows of at most `longest_s`. `push` each block, then `flush`."""

    longest_s: float
    _blocks: list[Int16] = field(default_factory=list)
    _samples: int = 0

    def push(self, block: Int16) -> list[Int16]:
        """Take the next block; get the windows that are now certain."""
        self._blocks.append(block)
        self._samples += len(block)
        longest = int(self.longest_s * EAR_RATE_HZ)
        if self._samples <= longest:
            return []
        audio, windows = np.concatenate(self._blocks), []
        while len(audio) > longest:
            cut = quiet_cut(audio, longest)
            windows.append(audio[:cut])
            audio = audio[cut:]
        self._blocks, self._samples = [audio], len(audio)
        return windows

    def flush(self) -> list[Int16]:
        """The last window, if anything is left."""
        blocks, self._blocks, self._samples = self._blocks, [], 0
        rest = np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
        return [rest] if len(rest) else []
