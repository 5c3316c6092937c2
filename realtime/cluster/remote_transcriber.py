"""The `Transcriber` seam over the transcription pool."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import aclosing
from typing import Any

import msgspec

from realtime.cluster.pools import Pools
from realtime.cluster.wire import TRANSCRIPTION, Hear, Heard, Hurry, known, plain
from realtime.engines import Reach, Transcript, Utterance
from realtime.errors import TranscriptionError


class RemoteTranscriber:
    """Holds no model: every utterance goes to the replica with the least to do."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    @property
    def alive(self) -> bool:
        return not self._pools.down(TRANSCRIPTION)

    @property
    def waiting_s(self) -> float:
        """Seconds of audio in the whole pool, other front ends' too, by replica: what a turn that
        comes now may have before it."""
        state = self._pools.state(TRANSCRIPTION)
        return state.queued_s / max(1, state.replicas)

    @property
    def reach(self) -> Reach:
        facts = self._pools.state(TRANSCRIPTION).facts
        if not facts:
            return Reach()
        return Reach(frozenset(facts["languages"]), facts["translates"], facts["longest_s"])

    @property
    def spare(self) -> bool:
        return self._pools.state(TRANSCRIPTION).spare

    @property
    def free(self) -> bool:
        return self._pools.state(TRANSCRIPTION).free

    def hurry(self, owner: Hashable) -> None:
        self._pools.hurry(TRANSCRIPTION, owner, Hurry)

    async def transcribe(self, utterance: Utterance, *, owner: Hashable) -> Transcript:
        """
        Raises:
            StageError: the pool cannot be reached, or failed on it twice.
            Saturated: too much audio is waiting.
        """
        audio, how = utterance.audio.tobytes(), plain(utterance, without=("audio",))
        calls = self._pools.ask(
            TRANSCRIPTION, owner, lambda number, name: Hear(number, name, audio, how)
        )
        async with aclosing(calls) as answers:
            async for answer in answers:
                if isinstance(answer, Heard):
                    return _transcript(answer.transcript)
        raise TranscriptionError("the pool gave no answer")

    async def close(self) -> None:
        """The link is closed by who made it."""


def _transcript(told: dict[str, Any]) -> Transcript:
    return msgspec.convert(known(Transcript, told), Transcript)
