"""What waits to be sent to one client, in order: events, and audio stamped with its response.

Bounds, and what happens at them: audio is limited to `MAX_AUDIO_S`, and a reply that would pass it
pauses until the client has read some. Events are limited to `MAX_EVENTS`; a client that lets that
many pile up reads nothing, and its session ends. Long before, at `MAX_UNREAD`, nothing more is read
of what it asks for: an answer may be half a megabyte, to a question of fifty bytes. Audio of a
response that was interrupted is dropped before it is sent, and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from realtime.ids import new_id
from realtime.server_events import ServerEvent

MAX_AUDIO_S = 20
MAX_EVENTS = 5_000
MAX_UNREAD = 64


class OutboxFull(Exception):
    """The client has not read for too long."""


@dataclass(frozen=True)
class AudioChunk:
    """Reply audio in the client's format; `offset` is its first sample's place in the item."""

    response_id: str
    response_number: int
    item_id: str
    offset: int
    samples: int
    seconds: float
    data: bytes
    output_index: int = 0


Outgoing = ServerEvent | AudioChunk


class Outbox:
    """Written by one session, read by one writer task."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self._audio_s, self._events = 0.0, 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self.dropped_samples = 0
        self.dropped_s = 0.0

    def put(self, event: ServerEvent) -> None:
        """Queue an event and give it its id.

        Raises:
            OutboxFull: the client does not read.
        """
        if len(self._waiting) >= MAX_EVENTS:
            raise OutboxFull(f"{MAX_EVENTS} events wait for a client that does not read them")
        event.event_id = new_id("event")
        self._events += not self._closed
        self._push(event)

    @property
    def empty(self) -> bool:
        """Everything was taken to be sent."""
        return not self._waiting

    async def room(self) -> None:
        """Wait while too much audio is waiting already."""
        while self._audio_s >= MAX_AUDIO_S and not self._closed:
            self._room.clear()
            await self._room.wait()

    async def caught_up(self) -> None:
        """Wait while the client has many events still to take."""
        while self._events > MAX_UNREAD and not self._closed:
            self._room.clear()
            await self._room.wait()

    def put_audio(self, chunk: AudioChunk) -> None:
        """Queue audio; ask for `room` first."""
        self._audio_s += chunk.seconds
        self._push(chunk)

    def drop_audio(self, response_id: str) -> int:
        """Forget the audio of one response that was not sent yet; returns its samples."""
        kept: deque[Outgoing] = deque()
        dropped, dropped_s = 0, 0.0
        for item in self._waiting:
            if isinstance(item, AudioChunk) and item.response_id == response_id:
                dropped += item.samples
                dropped_s += item.seconds
            else:
                kept.append(item)
        self._waiting = kept
        self._audio_s -= dropped_s
        self.dropped_samples += dropped
        self.dropped_s += dropped_s
        self._room.set()
        return dropped

    async def get(self) -> Outgoing | None:
        """The next thing to send; None once the outbox is closed and empty."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        item = self._waiting.popleft()
        if isinstance(item, AudioChunk):
            self._audio_s -= item.seconds
        else:
            self._events -= 1
        self._room.set()
        return item

    def close(self) -> None:
        """Nothing more will be put; what waits is still sent."""
        self._closed = True
        self._room.set()
        self._changed.set()

    def _push(self, item: Outgoing) -> None:
        if not self._closed:
            self._waiting.append(item)
            self._changed.set()
