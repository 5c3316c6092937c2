"""The `Voice` seam over the voice pool."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from contextlib import aclosing

import numpy as np

from realtime.audio import Int16
from realtime.cluster.pools import Pools
from realtime.cluster.wire import VOICE, Hurry, Say, Sound, plain
from realtime.engines import DEFAULT_VOICE, Line


class RemoteVoice:
    """Holds no model. Voices that have been added lie on the nodes' volumes, and so none is added
    or removed here: it has no `store`."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    @property
    def alive(self) -> bool:
        return not self._pools.down(VOICE)

    @property
    def waiting_s(self) -> float:
        """Seconds of replies in the whole pool, by replica."""
        state = self._pools.state(VOICE)
        return state.queued_s / max(1, state.replicas)

    @property
    def shortest_chars(self) -> int:
        return int(self._pools.state(VOICE).facts.get("shortest_chars", 0))

    @property
    def phrase_words(self) -> int:
        return int(self._pools.state(VOICE).facts.get("phrase_words", 0))

    def names(self) -> Sequence[str]:
        """Those that some replica has, the model's own first."""
        told = self._pools.state(VOICE).facts.get("voices", [])
        return (DEFAULT_VOICE, *(name for name in told if name != DEFAULT_VOICE))

    def hurry(self, owner: Hashable) -> None:
        self._pools.hurry(VOICE, owner, Hurry)

    def hush(self, owner: Hashable) -> None:
        """Nothing: the next line may go to a replica that never knew what was in hand."""

    async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
        """Chunks as a replica makes them.

        Raises:
            StageError: the pool cannot be reached, or the line failed there.
            Saturated: too much text is waiting.
        """
        fields = plain(line)
        calls = self._pools.ask(VOICE, owner, lambda number, name: Say(number, name, fields))
        async with aclosing(calls) as answers:
            async for answer in answers:
                if isinstance(answer, Sound):
                    yield np.frombuffer(answer.pcm, np.int16)

    async def close(self) -> None:
        """The link is closed by who made it."""
