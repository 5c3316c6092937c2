"""What clients send: OpenAI Realtime, GA form. Pure values.

Each message is checked against these types, and an error names the field. `requests.py` says what
is done about each.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from realtime.errors import ProtocolError
from realtime.session_config import field_error


class ClientEvent(Struct, tag_field="type"):
    event_id: str | None = None


class SessionUpdate(ClientEvent, tag="session.update", kw_only=True):
    session: dict[str, Any]


class TranscriptionSessionUpdate(ClientEvent, tag="transcription_session.update", kw_only=True):
    """Beta's name for an update that makes the session one for transcription."""

    session: dict[str, Any]


class AudioAppend(ClientEvent, tag="input_audio_buffer.append", kw_only=True):
    audio: str


class AudioCommit(ClientEvent, tag="input_audio_buffer.commit"):
    pass


class AudioClear(ClientEvent, tag="input_audio_buffer.clear"):
    pass


class ItemContent(Struct):
    type: str
    text: str | None = None
    transcript: str | None = None
    audio: Any = None


class ItemBody(Struct):
    """As clients write it; `client_items.py` says what is made of it."""

    type: str = "message"
    id: str | None = None
    role: str | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: Any = None
    output: Any = None
    content: list[ItemContent] | str | None = None


class ItemCreate(ClientEvent, tag="conversation.item.create", kw_only=True):
    item: ItemBody
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent, tag="conversation.item.retrieve", kw_only=True):
    item_id: str


class ItemDelete(ClientEvent, tag="conversation.item.delete", kw_only=True):
    item_id: str


class ItemTruncate(ClientEvent, tag="conversation.item.truncate", kw_only=True):
    item_id: str
    content_index: int = 0
    audio_end_ms: float = 0


class ResponseBody(Struct):
    """A response's own settings; null means unset."""

    instructions: str | None = None
    output_modalities: list[str] | None = None
    max_output_tokens: int | str | None = None
    metadata: dict[str, Any] | None = None
    conversation: str | None = None
    input: list[ItemBody] | None = None
    audio: dict[str, Any] | None = None
    """Of it only `output` can be a response's own."""
    tools: list[Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    modalities: list[str] | None = None
    """This and the next three are beta's names."""
    voice: Any = None
    output_audio_format: str | None = None
    max_response_output_tokens: int | str | None = None


class ResponseCreate(ClientEvent, tag="response.create", kw_only=True):
    response: ResponseBody | None = None


class ResponseCancel(ClientEvent, tag="response.cancel", kw_only=True):
    response_id: str | None = None


class OutputAudioClear(ClientEvent, tag="output_audio_buffer.clear"):
    pass


CLIENT_EVENTS: dict[str, type[ClientEvent]] = {
    str(cls.__struct_config__.tag): cls
    for cls in (
        SessionUpdate,
        TranscriptionSessionUpdate,
        AudioAppend,
        AudioCommit,
        AudioClear,
        ItemCreate,
        ItemRetrieve,
        ItemDelete,
        ItemTruncate,
        ResponseCreate,
        ResponseCancel,
        OutputAudioClear,
    )
}
MAX_TEXT_BYTES = 256 * 1024
"""Bounds what a client can have stored and sent back; no frame of ours may pass 1 MiB."""

_DECODERS = {name: msgspec.json.Decoder(cls) for name, cls in CLIENT_EVENTS.items()}


class _Head(Struct):
    type: str
    event_id: str | None = None


_HEAD = msgspec.json.Decoder(_Head)


def decode(message: str) -> ClientEvent:
    """One text message to its event.

    Raises:
        ProtocolError: not JSON, an unknown type, or a field that is missing or of the wrong type.
        Its
            `event_id` attribute carries the client's id of the message, where one could be read.
    """
    client_id: str | None = None
    if _too_long(message) and "input_audio_buffer.append" not in message[:300]:
        raise ProtocolError(
            f"the message is longer than {MAX_TEXT_BYTES} bytes; only audio may be",
            code="message_too_large",
        )
    try:
        head = _HEAD.decode(message)
        client_id = head.event_id
        if head.type not in _DECODERS:
            raise ProtocolError(
                f"unknown event type '{head.type}'; known are: {', '.join(_DECODERS)}",
                code="unknown_event_type",
                param="type",
            )
        return _DECODERS[head.type].decode(message)
    except msgspec.ValidationError as error:
        problem = field_error(error, "")
    except msgspec.DecodeError as error:
        problem = ProtocolError(f"the message is not valid JSON: {error}", code="invalid_json")
    except ProtocolError as error:
        problem = error
    problem.event_id = client_id
    raise problem


def _too_long(message: str) -> bool:
    """Whether a text is over the bound in UTF-8: a character has four bytes at most."""
    if len(message) * 4 <= MAX_TEXT_BYTES:
        return False
    return len(message) > MAX_TEXT_BYTES or len(message.encode()) > MAX_TEXT_BYTES
