"""Every message of the protocol: what clients send and what the server says.

OpenAI Realtime, GA form. Client messages are checked against these types, and an error names the
field. Server events leave out keys that are not set: several clients drop items with null keys.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from realtime.errors import ProtocolError
from realtime.session_config import field_error

# --- from the client ----------------------------------------------------------------------------


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


# --- from the server ----------------------------------------------------------------------------


class ServerEvent(Struct, tag_field="type", omit_defaults=True):
    """`event_id` is filled in by the outbox as the event leaves."""

    event_id: str = ""


class ErrorBody(Struct, omit_defaults=True):
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class Error(ServerEvent, tag="error", kw_only=True):
    error: ErrorBody


class SessionCreated(ServerEvent, tag="session.created", kw_only=True):
    session: dict[str, Any]


class SessionUpdated(ServerEvent, tag="session.updated", kw_only=True):
    session: dict[str, Any]


class SpeechStarted(ServerEvent, tag="input_audio_buffer.speech_started", kw_only=True):
    audio_start_ms: int
    item_id: str


class SpeechStopped(ServerEvent, tag="input_audio_buffer.speech_stopped", kw_only=True):
    audio_end_ms: int
    item_id: str


class TimeoutTriggered(ServerEvent, tag="input_audio_buffer.timeout_triggered", kw_only=True):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class AudioCommitted(ServerEvent, tag="input_audio_buffer.committed", kw_only=True):
    previous_item_id: str | None
    item_id: str


class AudioCleared(ServerEvent, tag="input_audio_buffer.cleared"):
    pass


class ItemAdded(ServerEvent, tag="conversation.item.added", kw_only=True):
    previous_item_id: str | None
    item: dict[str, Any]


class ItemDone(ServerEvent, tag="conversation.item.done", kw_only=True):
    previous_item_id: str | None
    item: dict[str, Any]


class ItemRetrieved(ServerEvent, tag="conversation.item.retrieved", kw_only=True):
    item: dict[str, Any]


class ItemDeleted(ServerEvent, tag="conversation.item.deleted", kw_only=True):
    item_id: str


class ItemTruncated(ServerEvent, tag="conversation.item.truncated", kw_only=True):
    item_id: str
    content_index: int
    audio_end_ms: int


_HEARD = "conversation.item.input_audio_transcription"


class TranscriptionDelta(ServerEvent, tag=f"{_HEARD}.delta", kw_only=True):
    """The next words of a transcript. What was sent is never taken back."""

    item_id: str
    content_index: int
    delta: str


class TranscriptionCompleted(ServerEvent, tag=f"{_HEARD}.completed", kw_only=True):
    item_id: str
    content_index: int
    transcript: str
    usage: dict[str, Any]


class TranscriptionFailed(ServerEvent, tag=f"{_HEARD}.failed", kw_only=True):
    item_id: str
    content_index: int
    error: dict[str, str]


class ResponseCreated(ServerEvent, tag="response.created", kw_only=True):
    response: dict[str, Any]
    response_number: int | UnsetType = UNSET
    """Sent only to clients that take binary audio: the number in the frames' header."""


class ResponseDone(ServerEvent, tag="response.done", kw_only=True):
    response: dict[str, Any]


class OutputItemAdded(ServerEvent, tag="response.output_item.added", kw_only=True):
    response_id: str
    output_index: int
    item: dict[str, Any]


class OutputItemDone(ServerEvent, tag="response.output_item.done", kw_only=True):
    response_id: str
    output_index: int
    item: dict[str, Any]


class _OfContent(ServerEvent, kw_only=True):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ContentPartAdded(_OfContent, tag="response.content_part.added", kw_only=True):
    part: dict[str, str]


class ContentPartDone(_OfContent, tag="response.content_part.done", kw_only=True):
    part: dict[str, str]


class TranscriptDelta(_OfContent, tag="response.output_audio_transcript.delta", kw_only=True):
    delta: str


class TranscriptDone(_OfContent, tag="response.output_audio_transcript.done", kw_only=True):
    transcript: str


class TextDelta(_OfContent, tag="response.output_text.delta", kw_only=True):
    delta: str


class TextDone(_OfContent, tag="response.output_text.done", kw_only=True):
    text: str


class AudioDelta(_OfContent, tag="response.output_audio.delta", kw_only=True):
    delta: str


class AudioDone(_OfContent, tag="response.output_audio.done"):
    pass


class _OfCall(ServerEvent, kw_only=True):
    response_id: str
    item_id: str
    output_index: int
    call_id: str


class CallArgumentsDelta(_OfCall, tag="response.function_call_arguments.delta", kw_only=True):
    delta: str


class CallArgumentsDone(_OfCall, tag="response.function_call_arguments.done", kw_only=True):
    name: str
    arguments: str


class RateLimitsUpdated(ServerEvent, tag="rate_limits.updated", kw_only=True):
    rate_limits: list[dict[str, Any]]


SERVER_EVENTS: tuple[type[ServerEvent], ...] = (
    Error,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TimeoutTriggered,
    AudioCommitted,
    AudioCleared,
    ItemAdded,
    ItemDone,
    ItemRetrieved,
    ItemDeleted,
    ItemTruncated,
    TranscriptionDelta,
    TranscriptionCompleted,
    TranscriptionFailed,
    ResponseCreated,
    ResponseDone,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    TranscriptDelta,
    TranscriptDone,
    TextDelta,
    TextDone,
    AudioDelta,
    AudioDone,
    CallArgumentsDelta,
    CallArgumentsDone,
    RateLimitsUpdated,
)

_encoder = msgspec.json.Encoder()


def encode(event: ServerEvent) -> bytes:
    """One event as JSON text."""
    return _encoder.encode(event)


def error_event(problem: ProtocolError, client_id: str | None = None) -> Error:
    """A client's mistake as the `error` event."""
    return Error(
        error=ErrorBody(
            type="invalid_request_error",
            message=str(problem),
            code=problem.code,
            param=problem.param,
            event_id=client_id or problem.event_id,
        )
    )
