"""What each client event asks for, as calls on the session and its conversation.

One method an event. Something that cannot be done raises `ProtocolError`, which the socket answers
with an `error` event; nothing was changed then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from realtime import events
from realtime.audio import SLICE_MS, WIRE_RATE_HZ, WIRE_SAMPLE_BYTES, base64_slices, ms_to_samples
from realtime.conversation import Item
from realtime.errors import ProtocolError
from realtime.ids import new_id
from realtime.outbox import Outbox
from realtime.session import Session

SLICE_BYTES = ms_to_samples(SLICE_MS, WIRE_RATE_HZ) * WIRE_SAMPLE_BYTES
MAX_APPEND_BYTES = 15 * 1024 * 1024


class Requests:
    """The client's side of one session."""

    def __init__(self, session: Session, outbox: Outbox) -> None:
        self._session, self._outbox = session, outbox
        self._handlers: dict[type[events.ClientEvent], Callable[[Any], Awaitable[None]]] = {
            events.SessionUpdate: self._update,
            events.AudioAppend: self._append,
            events.AudioCommit: self._commit,
            events.AudioClear: self._clear,
            events.ItemCreate: self._create_item,
            events.ItemRetrieve: self._retrieve_item,
            events.ItemDelete: self._delete_item,
            events.ItemTruncate: self._truncate_item,
            events.ResponseCreate: self._create_response,
            events.ResponseCancel: self._cancel_response,
            events.OutputAudioClear: self._ignore,
        }

    async def handle(self, event: events.ClientEvent) -> None:
        """Do what one event asks.

        Raises:
            ProtocolError: it cannot be done.
        """
        await self._handlers[type(event)](event)

    async def _update(self, event: events.SessionUpdate) -> None:
        self._session.configure(event.session)

    async def _append(self, event: events.AudioAppend) -> None:
        if len(event.audio) * 3 // 4 > MAX_APPEND_BYTES:
            raise ProtocolError(
                "'audio' holds more than 15 MiB; send it in several appends",
                code="audio_too_large",
                param="audio",
            )
        await self._session.hear(base64_slices(event.audio, SLICE_BYTES))

    async def _commit(self, event: events.AudioCommit) -> None:
        self._session.commit()

    async def _clear(self, event: events.AudioClear) -> None:
        self._session.clear()

    async def _create_item(self, event: events.ItemCreate) -> None:
        body = event.item
        if body.type != "message":
            raise ProtocolError(
                f"items of type '{body.type}' cannot be created here; use 'message'",
                param="item.type",
            )
        if body.role not in ("system", "user", "assistant"):
            raise ProtocolError(
                "'item.role' must be 'system', 'user' or 'assistant'", param="item.role"
            )
        text = " ".join(c.text or c.transcript or "" for c in body.content).strip()
        kind = "output_text" if body.role == "assistant" else "input_text"
        item = Item(body.id or new_id("item"), body.role, kind, text)  # type: ignore[arg-type]
        before = self._session.conversation.add(item, after=event.previous_item_id)
        self._outbox.put(events.ItemAdded(previous_item_id=before, item=item.wire()))
        self._outbox.put(events.ItemDone(previous_item_id=before, item=item.wire()))

    async def _retrieve_item(self, event: events.ItemRetrieve) -> None:
        item = self._session.conversation.get(event.item_id)
        self._outbox.put(events.ItemRetrieved(item=item.wire()))

    async def _delete_item(self, event: events.ItemDelete) -> None:
        self._session.conversation.remove(event.item_id)
        self._outbox.put(events.ItemDeleted(item_id=event.item_id))

    async def _truncate_item(self, event: events.ItemTruncate) -> None:
        heard = ms_to_samples(max(0, event.audio_end_ms), WIRE_RATE_HZ)
        self._session.conversation.cut(event.item_id, heard)
        self._outbox.put(
            events.ItemTruncated(
                item_id=event.item_id,
                content_index=event.content_index,
                audio_end_ms=event.audio_end_ms,
            )
        )

    async def _create_response(self, event: events.ResponseCreate) -> None:
        self._session.respond(event.response or events.ResponseBody())

    async def _cancel_response(self, event: events.ResponseCancel) -> None:
        self._session.cancel(event.response_id)

    async def _ignore(self, event: events.OutputAudioClear) -> None:
        """Meant for WebRTC; a WebSocket client clears its own playback."""
