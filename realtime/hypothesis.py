"""What a recogniser says of one window, and whether to believe it. Pure.

The rules are those of faster-whisper's `transcribe` (no speech, log-probability, compression), with
two more for how Whisper fails on short windows: it repeats itself, which shows in more tokens than
anybody could say in the time, and in runs of words that come back.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from realtime.timing import Word

NO_SPEECH_PROBABILITY = 0.6
MIN_LOG_PROBABILITY = -1.0
SHORT_S = 2.0
SHORT_NO_SPEECH = 0.4
SHORT_LOG_PROBABILITY = -0.9
"""On audio this short the rule is stricter. A windscreen wiper that passes for a voice makes turns
of 0.7 to 1.7 s; tiny.en writes "No." to some, at log-probabilities down from -0.91. Of 234 spoken
turns the highest probability of no speech was 0.51, and none fell to this rule."""
MAX_COMPRESSION = 2.4
TOKENS_PER_S = 7
TOKENS_MARGIN = 10
SENTENCE_WORDS = 4
WORDS_PER_S = 4.5
PHANTOMS = frozenset(
    ("you", "thank you", "thanks for watching", "thank you for watching", "bye", "bye bye", "so")
)
PHANTOM_NO_SPEECH = 0.3
PHANTOM_SECONDS = 0.5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hypothesis:
    """What the recogniser says of one window of audio."""

    text: str
    tokens: int
    log_probability: float
    """Mean over the tokens, end of text included, as in faster-whisper."""
    no_speech: float
    seconds: float
    """Length of the audio, without the silence that fills the window."""
    words: tuple[Word, ...] = ()
    """In seconds from the begin of the window; empty where nobody asked for them."""

    @property
    def silent(self) -> bool:
        """No words: probably no speech, and unsure of what it wrote; either may do where short."""
        unlikely = self.no_speech > NO_SPEECH_PROBABILITY
        if self.seconds < SHORT_S:
            unsure = self.log_probability < SHORT_LOG_PROBABILITY
            return unlikely or (self.no_speech > SHORT_NO_SPEECH and unsure)
        return unlikely and self.log_probability < MIN_LOG_PROBABILITY

    @property
    def phantom(self) -> bool:
        """What Whisper says to silence, on audio where that is likely: too short, or unclear."""
        words = _words(self.text)
        return not words or (self._unclear and " ".join(words) in PHANTOMS)

    def recites(self, told: str) -> bool:
        """Nothing but words of the prompt or the hotwords, on such audio: it says these to noise.

        With a sentence as prompt, tiny.en wrote just that, and was sure of it, for 4 of 17
        recordings of noise.
        """
        return self._unclear and set(_words(self.text)) <= set(_words(told))

    @property
    def _unclear(self) -> bool:
        return (
            self.no_speech > PHANTOM_NO_SPEECH
            or self.seconds < PHANTOM_SECONDS
            or self.log_probability < MIN_LOG_PROBABILITY
        )

    @property
    def loops(self) -> bool:
        """The text repeats itself or is longer than anybody could say in the time."""
        return (
            self.tokens >= max_tokens(self.seconds)
            or compression_ratio(self.text) > MAX_COMPRESSION
            or repeats(self.text)
            or self._twice
        )

    @property
    def _twice(self) -> bool:
        """All of it stands there twice, faster than anybody says a sentence again: tiny.en did so
        with one sentence of a telephone's in a window of 8 s."""
        words = _words(self.text)
        half = len(words) // 2
        again = half >= SENTENCE_WORDS and words[:half] == words[half:]
        return again and len(words) > WORDS_PER_S * self.seconds

    @property
    def doubtful(self) -> bool:
        """Worth another attempt: it loops or is improbable, and is not just silence."""
        return not self.silent and (self.loops or self.log_probability < MIN_LOG_PROBABILITY)


def max_tokens(seconds: float) -> int:
    """More tokens than this cannot have been said in the time."""
    return int(TOKENS_PER_S * seconds) + TOKENS_MARGIN


def compression_ratio(text: str) -> float:
    """Length over compressed length; repeated text compresses well."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def repeats(text: str, *, words: int = 4, times: int = 3) -> bool:
    """True if some run of `words` words stands in the text `times` times or more."""
    found = _words(text)
    runs = [tuple(found[n : n + words]) for n in range(len(found) - words + 1)]
    return any(runs.count(run) >= times for run in set(runs))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
