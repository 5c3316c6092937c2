"""A well-behaved caller, who looks at every answer as a whole: order, words, and each sample.

`beside_neighbours` is the one test of many troubles: two such callers talk while it is made, and in
the end the process holds what it held before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.client import Client
from tests.invariants import check_events
from tests.leaks import at_rest, settled
from tests.street import Street
from tests.weights import CONCORD, FROG, PATIENCE_S, Saying, reply_to, sound_of

Trouble = Callable[[Street], Awaitable[None]]
"""Makes one trouble and looks at what the troubled caller is told of it."""

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
"""The events of a turn in order; deltas, which come between, are looked at for what they hold."""


@dataclass
class Neighbour:
    """A well-behaved caller, who says the same again and again and looks at every answer."""

    client: Client
    saying: Saying
    turns: int = 0

    async def talk(self, until: asyncio.Event) -> None:
        """Turn after turn, and one more when it is time to stop."""
        while True:
            last = until.is_set()
            await self.turn()
            if last:
                return

    async def turn(self) -> None:
        """Say it, and be answered in full."""
        before = len(self.client.events)
        await self.client.say(self.saying.audio)
        async with asyncio.timeout(PATIENCE_S):
            await self.client.until("rate_limits.updated")
        self._check(self.client.events[before:])
        check_events(self.client.events)
        self.turns += 1

    def _check(self, events: list[dict[str, Any]]) -> None:
        assert [e["type"] for e in events if not e["type"].endswith(".delta")] == TURN
        told = {e["type"].removeprefix("response."): e for e in events}
        assert told["conversation.item.input_audio_transcription.completed"]["transcript"] == (
            self.saying.words
        )
        pieces = [p.strip() for p in reply_to(self.saying.words)]
        assert told["output_audio_transcript.done"]["transcript"] == " ".join(pieces), told
        sound = np.concatenate([sound_of(piece) for piece in pieces])
        response = told["done"]["response"]
        assert response["status"] == "completed"
        assert self.client.audio(response["id"]) == sound.tobytes()


async def beside_neighbours(street: Street, trouble: Trouble) -> None:
    """Two neighbours talk while the trouble is made, and are answered as ever."""
    neighbours = [Neighbour(await street.knock(), saying) for saying in (CONCORD, FROG)]
    try:
        for neighbour in neighbours:
            await neighbour.turn()
        before = await at_rest()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as talks, asyncio.timeout(PATIENCE_S):
            for neighbour in neighbours:
                talks.create_task(neighbour.talk(over))
            await trouble(street)
            over.set()
        assert await settled(before) == before
        assert street.waiting == (0, 0, 0)
        assert all(neighbour.turns >= 3 for neighbour in neighbours)
    finally:
        await street.empty()


async def told(client: Client, *types: str) -> dict[str, Any]:
    """The event that comes within the time that anybody waits."""
    async with asyncio.timeout(PATIENCE_S):
        return await client.until(*types)
