"""What each client event asks for, as calls on the session and its conversation.

One method an event. Something that cannot be done raises `ProtocolError`, which the socket answers
with with an `error` event. Nothing was changed then, but for an append that turns out broken
half-way: its whole part was heard.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from realtime import client_events, server_events
from realtime.audio import base64_slices, byte_slices
from realtime.client_items import new_item
from realtime.errors import ProtocolError
from realtime.outbox import Outbox
from realtime.session import Session

MAX_APPEND_BYTES = 15 * 1024 * 1024
MIN_COMMIT_MS = 100


class Requests:
    """The client's side of one session."""

    def __init__(self, session: Session, outbox: Outbox) -> None:
        self._session, self._outbox = session, outbox
        self._handlers: dict[type[client_events.ClientEvent], Callable[[Any], Awaitable[None]]] = {
            client_events.SessionUpdate: self._update,
            client_events.TranscriptionSessionUpdate: self._update_transcription,
            client_events.AudioAppend: self._append,
            client_events.AudioCommit: self._commit,
            client_events.AudioClear: self._clear,
            client_events.ItemCreate: self._create_item,
            client_events.ItemRetrieve: self._retrieve_item,
            client_events.ItemDelete: self._delete_item,
            client_events.ItemTruncate: self._truncate_item,
            client_events.ResponseCreate: self._create_response,
            client_events.ResponseCancel: self._cancel_response,
            client_events.OutputAudioClear: self._ignore,
        }

    async def handle(self, event: client_events.ClientEvent) -> None:
        """Do what one event asks.

        Raises:
            ProtocolError: it cannot be done.
        """
        await self._handlers[type(event)](event)

    async def hear(self, data: bytes) -> None:
        """A binary message: raw audio in the session's input format.

        Raises:
            ProtocolError: it is too large.
        """
        _bounded(len(data))
        await self._session.listening.hear(byte_slices(data, self._session.listening.slice_bytes))

    async def _update(self, event: client_events.SessionUpdate) -> None:
        self._session.configure(event.session)

    async def _update_transcription(self, event: client_events.TranscriptionSessionUpdate) -> None:
        self._session.configure({**event.session, "type": "transcription"})

    async def _append(self, event: client_events.AudioAppend) -> None:
        _bounded(len(event.audio) * 3 // 4)
        await self._session.listening.hear(
            base64_slices(event.audio, self._session.listening.slice_bytes)
        )

    async def _commit(self, event: client_events.AudioCommit) -> None:
        buffered_ms = self._session.listening.ear.buffered_ms
        if buffered_ms < MIN_COMMIT_MS:
            raise ProtocolError(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._session.commit()

    async def _clear(self, event: client_events.AudioClear) -> None:
        self._session.clear()

    async def _create_item(self, event: client_events.ItemCreate) -> None:
        item = new_item(event.item)
        before = self._session.conversation.add(item, after=event.previous_item_id)
        self._session.move_on()
        self._outbox.put(server_events.ItemAdded(previous_item_id=before, item=item.wire()))
        self._outbox.put(server_events.ItemDone(previous_item_id=before, item=item.wire()))

    async def _retrieve_item(self, event: client_events.ItemRetrieve) -> None:
        item = self._session.conversation.get(event.item_id)
        self._outbox.put(server_events.ItemRetrieved(item=item.wire()))

    async def _delete_item(self, event: client_events.ItemDelete) -> None:
        self._session.conversation.remove(event.item_id)
        self._session.move_on()
        self._outbox.put(server_events.ItemDeleted(item_id=event.item_id))

    async def _truncate_item(self, event: client_events.ItemTruncate) -> None:
        heard_ms = max(0, int(event.audio_end_ms))
        self._session.truncate(event.item_id, heard_ms)
        self._outbox.put(
            server_events.ItemTruncated(
                item_id=event.item_id,
                content_index=event.content_index,
                audio_end_ms=heard_ms,
            )
        )

    async def _create_response(self, event: client_events.ResponseCreate) -> None:
        if self._session.config.type != "realtime":
            raise ProtocolError(
                "a session of type 'transcription' makes no responses; open one without "
                "`intent=transcription`, or send session.update with type 'realtime'",
                code="response_not_supported",
                param="type",
            )
        if active := self._session.active:
            raise ProtocolError(
                f"Conversation already has an active response in progress: {active.id}",
                code="conversation_already_has_active_response",
            )
        self._session.respond(event.response or client_events.ResponseBody())

    async def _cancel_response(self, event: client_events.ResponseCancel) -> None:
        """Clients that cancel what has ended know the code, and go on."""
        if not self._session.cancel(event.response_id):
            raise ProtocolError(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )

    async def _ignore(self, event: client_events.OutputAudioClear) -> None:
        """Meant for WebRTC; a WebSocket client clears its own playback."""


def _bounded(size: int) -> None:
    if size > MAX_APPEND_BYTES:
        raise ProtocolError(
            "'audio' holds more than 15 MiB; send it in several appends",
            code="audio_too_large",
            param="audio",
        )
