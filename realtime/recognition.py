"""How audio is laid into a recogniser's windows: which window, and where long audio is cut. Pure.

Whisper pays for the window it is given, not for the words in it, and a window shorter than its own
30 s is as accurate down to 15 s as long as silence follows the speech. `benchmarks/wer.py --sweep`
measures that on recorded speech, for any set of windows and tails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16

WHISPER_S = 30.0
"""The window Whisper was trained on: what is doubtful in a shorter one is tried again in this."""

WINDOWS_S = (8.0, 15.0, WHISPER_S)
TAIL_S = 1.0
"""Silence that must follow the speech within the window."""

SHORTEST_WINDOW_S = 5.0

_CUT_SEARCH_S = 8.0
_CUT_FRAME = EAR_RATE_HZ // 50


@dataclass(frozen=True)
class Windows:
    """The windows in use, in seconds, rising; the last is for retries where there is another.

    Raises:
        ValueError: they do not rise, or one of them cannot be a window.
    """

    seconds: tuple[float, ...] = WINDOWS_S
    tail_s: float = TAIL_S

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.seconds, self.seconds[1:], strict=False))
        if not self.seconds or not rising:
            raise ValueError("is not a rising list of windows in seconds, such as 15,30")
        if self.seconds[0] < SHORTEST_WINDOW_S or self.seconds[-1] != WHISPER_S:
            raise ValueError(f"must begin at {SHORTEST_WINDOW_S:g} s or more and end with 30")

    @property
    def longest_s(self) -> float:
        """Audio longer than this goes in several windows.

        Two of 15 s cost less than half of one of 30 s, and others' come between. On seven long
        clips 6.4 % of the words are wrong instead of 6.2 %.
        """
        return self.seconds[-2:][0] - self.tail_s

    def first(self, audio_s: float) -> float:
        """The shortest window that holds so much audio and the silence after it."""
        return next((w for w in self.seconds if audio_s + self.tail_s <= w), self.seconds[-1])


def split_long(audio: Int16, longest_s: float) -> Iterator[Int16]:
    """Cut audio into parts of at most `longest_s`, each cut where it is quietest in the last 8 s.

    Nothing is lost: the parts joined are the audio. For audio that is short enough, that is one
    part. A part is cut when it is asked for, so that an hour is not cut in one go.
    """
    longest = int(longest_s * EAR_RATE_HZ)
    while len(audio) > longest:
        cut = quiet_cut(audio, longest)
        yield audio[:cut]
        audio = audio[cut:]
    yield audio


def quiet_cut(audio: Int16, longest: int) -> int:
    """Where to cut audio of more than `longest` samples: the quietest place in the last 8 s before
    that, or in the second half where that is shorter."""
    search = min(int(_CUT_SEARCH_S * EAR_RATE_HZ), longest // 2)
    zone = audio[longest - search : longest].astype(np.float32)
    energy = (zone[: len(zone) // _CUT_FRAME * _CUT_FRAME].reshape(-1, _CUT_FRAME) ** 2).mean(1)
    smooth = np.convolve(energy, np.ones(5) / 5, mode="same")
    return longest - search + int(smooth.argmin()) * _CUT_FRAME + _CUT_FRAME // 2
