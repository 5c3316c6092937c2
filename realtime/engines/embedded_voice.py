"""The embedded voice: hibari, one English voice at 24 kHz that runs far faster than real time.

One thread owns the model. A job is one piece of a reply (a sentence or less, some 40 ms of work);
the fair queue takes turns between callers, so a long reply of one does not hold up another's first
words. Each piece's audio has its silent head cut: hibari begins with 0.3 s of it, and that is
latency a person hears.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.audio import VOICE_RATE_HZ, Int16, cut_silence, ms_to_samples, to_pcm16
from realtime.batcher import STUCK_S, Batcher
from realtime.engines import DEFAULT_VOICE, Line
from realtime.engines.renewable import Renewable
from realtime.errors import StageError, VoiceError
from realtime.fault import code_of
from realtime.metrics import Metrics

HEAD_SAMPLES = ms_to_samples(20, VOICE_RATE_HZ)
"""Kept before the first audible sample, so that soft consonants are whole."""

TAIL_SAMPLES = ms_to_samples(180, VOICE_RATE_HZ)
"""Kept after the last audible sample: the pause before the next piece."""

MAX_WAITING_CHARS = 20_000
CHARS_PER_S = 15.0
"""About so many characters are spoken in a second."""

LEAST_STUCK_S = STUCK_S
"""A piece takes 20 to 300 ms of a core, and the longest that a client may send some seconds: on a
busy machine that must not look stuck, or one caller could have the voice begun anew at will."""

MOST_S = 90.0
"""Of sound in one piece, beyond which no more of it is made: 3 s of a core. A sentence of 256
characters at the slowest pace lasts 57 s; what lasts longer is made to cost time, such as a hundred
digits in words."""

MOST_PHONEMES = 400
"""Given to the model at once. It cuts sentences at commas alone, and takes 18 s of a core for one
of 3,000 without any."""

LONGEST_WORD = 60
"""Characters. Its dictionary takes time with the cube of a word's length: a minute and more for a
thousand letters and digits."""

_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD}}}(?=\S)")
_LONG_NUMBER = re.compile(r"\d(?:,?\d){15,}")
"""It knows no word for numbers of more than 36 digits, and nobody understands those for 16."""


@dataclass(frozen=True)
class _Piece:
    text: str
    speed: float


class EmbeddedVoice(Renewable):
    """`load` and `warm` block; `speak` is for the event loop."""

    shortest_chars = 0
    phrase_words = 5

    def __init__(self, *, metrics: Metrics) -> None:
        self._batcher: Batcher[_Piece, Int16] = Batcher(
            "voice",
            self.run,
            max_batch=1,
            max_cost=MAX_WAITING_CHARS,
            cost=lambda job: len(job.text),
            least_stuck_s=LEAST_STUCK_S,
            metrics=metrics,
        )

    def load(self) -> None:
        from hibari import Hibari

        self._model: Any = Hibari(threads=1)

    def warm(self) -> None:
        self.run([_Piece("Hello, this is a test of the voice.", 1.0)])

    @property
    def waiting_s(self) -> float:
        """Seconds of replies, about, that wait to be spoken."""
        return self._batcher.live_cost / CHARS_PER_S

    def _batchers(self) -> tuple[Batcher[Any, Any], ...]:
        return (self._batcher,)

    def names(self) -> Sequence[str]:
        return (DEFAULT_VOICE,)

    def hurry(self, owner: Hashable) -> None:
        """This owner's speculative lines are live ones from now on."""
        self._batcher.promote(owner)

    def hush(self, owner: Hashable) -> None:
        """Nothing: its lines wait for nobody's ears."""

    async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
        """Audio of one piece, in one chunk: it is made faster than it could be sent in several.

        Raises:
            VoiceError: the voice failed.
            Saturated: too much text is waiting.
        """
        try:
            audio = await self._batcher.submit(
                _Piece(line.text, line.speed), owner=owner, rank=line.rank
            )
        except StageError:
            raise
        except Exception as error:
            raise VoiceError("the voice failed on this piece", code=code_of(error)) from error
        if len(audio):
            yield audio

    def run(self, batch: Sequence[_Piece]) -> Sequence[Int16 | VoiceError]:
        return [self._synthesize(piece) for piece in batch]

    def _synthesize(self, piece: _Piece) -> Int16 | VoiceError:
        sentences, made_s, rng = [], 0.0, np.random.default_rng(0)
        for phonemes in self._phonemes(legible(piece.text)):
            if made_s > MOST_S:
                return VoiceError(f"it takes more than {MOST_S:g} s to say this", code="too_long")
            audio = self._model.from_ids(self._model.ids(phonemes), piece.speed, rng)
            made_s += len(audio) / VOICE_RATE_HZ
            sentences.append(cut_silence(np.asarray(audio), head=HEAD_SAMPLES, tail=TAIL_SAMPLES))
        return to_pcm16(np.concatenate(sentences)) if sentences else np.zeros(0, np.int16)

    def _phonemes(self, text: str) -> Iterator[str]:
        """What the model is given of a text, part by part."""
        for sentence in self._model.phonemize(text):
            yield from parts_of(sentence)


def legible(text: str) -> str:
    """The text without what the dictionary fails on: long numbers digit by digit, and what no word
    is as long as in parts."""
    text = _LONG_NUMBER.sub(lambda found: f" {' '.join(found[0].replace(',', ''))} ", text)
    return _LONG_WORD.sub(r"\g<0> ", text)


def parts_of(phonemes: str) -> Iterator[str]:
    """Parts of at most `MOST_PHONEMES`, cut between words where there are any."""
    while len(phonemes) > MOST_PHONEMES:
        at = phonemes.rfind(" ", 1, MOST_PHONEMES + 1)
        at = at if at > 0 else MOST_PHONEMES
        yield phonemes[:at]
        phonemes = phonemes[at:].lstrip()
    if phonemes:
        yield phonemes
