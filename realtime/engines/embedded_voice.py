"""The embedded voice: hibari, one English voice at 24 kHz that runs far faster than real time.

One thread owns the model. A job is one piece of a reply (a sentence or less, some 40 ms of work);
the fair queue takes turns between callers, so a long reply of one does not hold up another's first
words. Each piece's audio has its silent head cut: hibari begins with 0.3 s of it, and that is
latency a person hears.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.audio import VOICE_RATE_HZ, Int16, cut_silence, ms_to_samples, to_pcm16
from realtime.batcher import Batcher
from realtime.engines import DEFAULT_VOICE, Line
from realtime.errors import StageError, VoiceError
from realtime.metrics import Metrics

HEAD_SAMPLES = ms_to_samples(20, VOICE_RATE_HZ)
"""Kept before the first audible sample, so that soft consonants are whole."""

TAIL_SAMPLES = ms_to_samples(180, VOICE_RATE_HZ)
"""Kept after the last audible sample: the pause before the next piece."""

MAX_WAITING_CHARS = 20_000


@dataclass(frozen=True)
class _Piece:
    text: str
    speed: float


class EmbeddedVoice:
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
            metrics=metrics,
        )

    def load(self) -> None:
        from hibari import Hibari

        self._model: Any = Hibari(threads=1)

    def warm(self) -> None:
        self.run([_Piece("Hello, this is a test of the voice.", 1.0)])

    def start(self) -> None:
        self._batcher.start()

    @property
    def alive(self) -> bool:
        return self._batcher.alive

    async def close(self) -> None:
        await self._batcher.close()

    def names(self) -> Sequence[str]:
        return (DEFAULT_VOICE,)

    def hurry(self, owner: Hashable) -> None:
        """This owner's speculative lines are live ones from now on."""
        self._batcher.promote(owner)

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
            raise VoiceError("the voice failed on this piece") from error
        if len(audio):
            yield audio

    def run(self, batch: Sequence[_Piece]) -> list[Int16]:
        return [self._synthesize(piece) for piece in batch]

    def _synthesize(self, piece: _Piece) -> Int16:
        sentences = [
            cut_silence(np.asarray(audio), head=HEAD_SAMPLES, tail=TAIL_SAMPLES)
            for audio in self._model.stream(piece.text, piece.speed, seed=0)
        ]
        return to_pcm16(np.concatenate(sentences)) if sentences else np.zeros(0, np.int16)
