"""Rules around a recogniser that need no model: windows, long audio, and what to believe. Pure.

Whisper pays for the window it is given, not for the words in it; a window shorter than 30 s is
faster and as accurate down to 15 s, as long as a second of silence follows the speech (measured by
`benchmarks/wer.py` on real clips). When it fails, it fails by repeating itself, which these rules
see.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16

WINDOWS_S = (15.0, 30.0)
TAIL_S = 1.0
"""Silence that must follow the speech within the window."""

LONGEST_S = WINDOWS_S[0] - TAIL_S
"""Longer audio goes in several windows: two of 15 s cost a third of one of 30 s, and others' come
between. On seven long clips 6.4 % of the words are wrong instead of 6.2 %. The large window is for
a retry."""

NO_SPEECH_PROBABILITY = 0.6
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION = 2.4
TOKENS_PER_S = 7
TOKENS_MARGIN = 10
PHANTOMS = frozenset(
    ("you", "thank you", "thanks for watching", "thank you for watching", "bye", "bye bye", "so")
)
PHANTOM_NO_SPEECH = 0.3
PHANTOM_SECONDS = 0.5
_CUT_SEARCH_S = 8.0
_CUT_FRAME = EAR_RATE_HZ // 50
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Hypothesis:
    """What the recogniser says of one window of audio."""

    text: str
    tokens: int
    log_probability: float
    """Mean over the tokens, end of text included, as in faster-whisper."""
    no_speech: float
    seconds: float

    @property
    def silent(self) -> bool:
        """No words: the rule of Whisper's own `transcribe`, both conditions at once."""
        return self.no_speech > NO_SPEECH_PROBABILITY and self.log_probability < MIN_LOG_PROBABILITY

    @property
    def phantom(self) -> bool:
        """What Whisper says to silence, on audio where that is likely: too short, or doubtful."""
        doubtful = self.no_speech > PHANTOM_NO_SPEECH or self.seconds < PHANTOM_SECONDS
        return doubtful and " ".join(_WORDS.findall(self.text.lower())) in PHANTOMS

    @property
    def loops(self) -> bool:
        """The text repeats itself or is longer than anybody could say in the time."""
        return (
            self.tokens >= max_tokens(self.seconds)
            or compression_ratio(self.text) > MAX_COMPRESSION
            or repeats(self.text)
        )


def window_for(seconds: float) -> float:
    """The shortest window, in seconds, that holds this much audio and the silence after it."""
    return next((w for w in WINDOWS_S if seconds + TAIL_S <= w), WINDOWS_S[-1])


def max_tokens(seconds: float) -> int:
    """More tokens than this cannot have been said in the time."""
    return int(TOKENS_PER_S * seconds) + TOKENS_MARGIN


def compression_ratio(text: str) -> float:
    """Length over compressed length; repeated text compresses well."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def repeats(text: str, *, words: int = 4, times: int = 3) -> bool:
    """True if some run of `words` words stands in the text `times` times or more."""
    found = [w.lower() for w in _WORDS.findall(text)]
    runs = [tuple(found[n : n + words]) for n in range(len(found) - words + 1)]
    return any(runs.count(run) >= times for run in set(runs))


def split_long(audio: Int16, longest_s: float = LONGEST_S) -> list[Int16]:
    """Cut audio into parts of at most `longest_s`, each cut where it is quietest in the last 8 s.

    Nothing is lost: the parts joined are the audio. For audio that is short enough, that is one
    part.
    """
    longest, search = int(longest_s * EAR_RATE_HZ), int(_CUT_SEARCH_S * EAR_RATE_HZ)
    parts = []
    while len(audio) > longest:
        zone = audio[longest - search : longest].astype(np.float32)
        energy = (zone[: len(zone) // _CUT_FRAME * _CUT_FRAME].reshape(-1, _CUT_FRAME) ** 2).mean(1)
        smooth = np.convolve(energy, np.ones(5) / 5, mode="same")
        cut = longest - search + int(smooth.argmin()) * _CUT_FRAME + _CUT_FRAME // 2
        parts.append(audio[:cut])
        audio = audio[cut:]
    return [*parts, audio]
