"""Everything a server sent during a call: its events with their times, its replies as audio.

Both encodings end in the same record: an audio delta is kept as an event that tells its response,
offset and size, and its samples go to the reply.
"""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.news import News
from benchmarks.playout import Reply

AUDIO_DELTA = "response.output_audio.delta"
FRAME_HEADER = struct.Struct("<BBHII")
"""version, flags, zero, response number, offset of the first sample"""

Event = dict[str, Any]


@dataclass(frozen=True)
class Stamped:
    """An event and when it arrived (perf_counter, seconds)."""

    at: float
    event: Event

    @property
    def type(self) -> str:
        return str(self.event["type"])


class Record:
    """Grows by one event at a time; others wait for what they need to see in it."""

    def __init__(self) -> None:
        self.news = News()
        self.events: list[Stamped] = []
        self.replies: dict[str, Reply] = {}
        self._responses: dict[int, str] = {}

    def add(self, event: Event, at: float | None = None) -> Stamped:
        """Keep an event, its audio apart."""
        arrived_at = time.perf_counter() if at is None else at
        if event["type"] == AUDIO_DELTA and "delta" in event:
            event = self._add_audio(
                str(event["response_id"]), base64.b64decode(event["delta"]), None, arrived_at
            )
        elif event["type"] == "response.created" and "response_number" in event:
            self._responses[event["response_number"]] = event["response"]["id"]
        elif event["type"] == "response.output_item.added":
            self.reply(event["response_id"]).item_id = event["item"]["id"]
        return self._keep(event, arrived_at)

    def add_frame(self, frame: bytes, at: float | None = None) -> Stamped:
        """Keep the audio of a binary frame, as the event that it stands for."""
        arrived_at = time.perf_counter() if at is None else at
        version, _flags, zero, number, first_sample = FRAME_HEADER.unpack_from(frame)
        if (version, zero) != (1, 0):
            raise ValueError(f"a frame of version {version}, not 1")
        response_id = self._responses.get(number, f"response number {number}")
        audio = frame[FRAME_HEADER.size :]
        return self._keep(self._add_audio(response_id, audio, first_sample, arrived_at), arrived_at)

    def reply(self, response_id: str) -> Reply:
        """The audio of a response, empty where none has come."""
        return self.replies.setdefault(response_id, Reply(response_id))

    def since(self, index: int, *types: str) -> Iterator[Stamped]:
        """The events from an index on, of some types if any are named."""
        return (e for e in self.events[index:] if not types or e.type in types)

    def forget(self) -> None:
        """Keep nothing of what came so far; between two turns of a call that lasts for hours."""
        self.events.clear()
        self.replies.clear()
        self._responses.clear()

    async def first(
        self, kind: str, after: int = 0, timeout_s: float = 30.0, **fields: Any
    ) -> Stamped | None:
        """The first event of a type from an index on, with these fields; None if none comes."""

        def look() -> Stamped | None:
            events = self.since(after, kind)
            return next((e for e in events if fields.items() <= _flat(e.event)), None)

        return await self.news.until(look, timeout_s)

    def _add_audio(
        self, response_id: str, audio: bytes, first_sample: int | None, at: float
    ) -> Event:
        reply = self.reply(response_id)
        piece = reply.add(at, np.frombuffer(audio, "<i2"), first_sample)
        return {
            "type": AUDIO_DELTA,
            "response_id": response_id,
            "item_id": reply.item_id,
            "first_sample": piece.first_sample,
            "samples": piece.pcm.size,
        }

    def _keep(self, event: Event, at: float) -> Stamped:
        stamped = Stamped(at, event)
        self.events.append(stamped)
        self.news.tell()
        return stamped


def _flat(event: Event) -> Any:
    """The plain fields of an event, as items that can be compared."""
    return {key: value for key, value in event.items() if isinstance(value, str | int)}.items()
