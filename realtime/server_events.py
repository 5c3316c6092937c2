"""What the server says: OpenAI Realtime, GA form. Pure values.

Keys that are not set are left out: several clients drop items with null keys.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from realtime.errors import ProtocolError, StageError


class ServerEvent(Struct, tag_field="type", omit_defaults=True):
    """`event_id` is filled in by the outbox as the event leaves."""

    event_id: str = ""


class ErrorBody(Struct, omit_defaults=True):
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None
    stage: str | None = None
    """Ours: which stage of a turn failed, in a failure that is not the client's."""


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


def failure_event(failure: StageError) -> Error:
    """A failure of ours as the same event. Where an event of the protocol tells of it too, it comes
    right before that."""
    body = ErrorBody(
        type="server_error", code=failure.code, message=str(failure), stage=failure.stage
    )
    return Error(error=body)
