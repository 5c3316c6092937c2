"""Every message: errors name the field, and events are what OpenAI's own types want."""

from __future__ import annotations

import json

import pytest
from openai.types.beta.realtime import TranscriptionSessionUpdate
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import TypeAdapter

from realtime import events
from realtime.conversation import Conversation
from realtime.errors import ProtocolError
from realtime.formats import Format
from realtime.items import Item
from realtime.outbox import AudioChunk, Outbox
from realtime.response import Response
from realtime.session_config import SessionConfig
from realtime.websocket import encode

SERVER = TypeAdapter(RealtimeServerEvent)
CLIENT = TypeAdapter(RealtimeClientEvent)
BETA = TypeAdapter(TranscriptionSessionUpdate)

ITEM = Item("item_1", "user", "input_audio").wire()
PLACE = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
CALL = {"response_id": "resp_1", "item_id": "item_3", "output_index": 1, "call_id": "call_1"}
SESSION = SessionConfig().wire(session_id="sess_1", expires_at=1)


def response(status: str) -> dict:
    outbox, talk = Outbox(), Conversation("conv_1")
    made = Response(
        1,
        outbox=outbox,
        conversation=talk,
        spoken=True,
        voice="default",
        max_output_tokens="inf",
        metadata={"a": "b"},
        wire=Format(),
        binary=False,
        answers=True,
        in_history=True,
    )
    return made._wire(status, {"reason": "turn_detected"} if status == "cancelled" else None)


EXAMPLES: list[events.ServerEvent] = [
    events.Error(error=events.ErrorBody(type="invalid_request_error", message="no", code="x")),
    events.SessionCreated(session=SESSION),
    events.SessionUpdated(session=SESSION),
    events.SpeechStarted(audio_start_ms=0, item_id="item_1"),
    events.SpeechStopped(audio_end_ms=0, item_id="item_1"),
    events.TimeoutTriggered(audio_start_ms=0, audio_end_ms=5, item_id="item_1"),
    events.AudioCommitted(previous_item_id=None, item_id="item_1"),
    events.AudioCleared(),
    events.ItemAdded(previous_item_id=None, item=ITEM),
    events.ItemDone(previous_item_id="item_0", item=ITEM),
    events.ItemRetrieved(item=ITEM),
    events.ItemDeleted(item_id="item_1"),
    events.ItemTruncated(item_id="item_1", content_index=0, audio_end_ms=0),
    events.TranscriptionDelta(item_id="item_1", content_index=0, delta="a"),
    events.TranscriptionCompleted(
        item_id="item_1",
        content_index=0,
        transcript="",
        usage={"type": "duration", "seconds": 1.5},
    ),
    events.TranscriptionFailed(
        item_id="item_1", content_index=0, error={"type": "t", "code": "c", "message": "m"}
    ),
    events.ResponseCreated(response=response("in_progress")),
    events.ResponseDone(response=response("cancelled")),
    events.OutputItemAdded(response_id="resp_1", output_index=0, item=ITEM),
    events.OutputItemDone(response_id="resp_1", output_index=0, item=ITEM),
    events.ContentPartAdded(**PLACE, part={"type": "audio", "transcript": ""}),
    events.ContentPartDone(**PLACE, part={"type": "text", "text": ""}),
    events.TranscriptDelta(**PLACE, delta="a"),
    events.TranscriptDone(**PLACE, transcript="a"),
    events.TextDelta(**PLACE, delta="a"),
    events.TextDone(**PLACE, text="a"),
    events.AudioDelta(**PLACE, delta="AAAA"),
    events.AudioDone(**PLACE),
    events.CallArgumentsDelta(**CALL, delta="{"),
    events.CallArgumentsDone(**CALL, name="look_up", arguments="{}"),
    events.RateLimitsUpdated(rate_limits=[]),
]


def test_every_server_event_has_an_example():
    assert [type(e) for e in EXAMPLES] == list(events.SERVER_EVENTS)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_server_events_are_what_openais_types_say(event):
    event.event_id = "event_1"
    parsed = SERVER.validate_json(events.encode(event))
    assert parsed.type == event.__struct_config__.tag
    assert parsed.event_id == "event_1"


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_items_carry_no_null_but_an_unknown_transcript(event):
    body = json.loads(events.encode(event))
    item = body.get("item", {})
    assert None not in item.values()
    for part in item.get("content", []):
        assert all(v is not None or k == "transcript" for k, v in part.items())


CLIENT_EXAMPLES = {
    "session.update": {"session": {"type": "realtime", "instructions": "a"}},
    "transcription_session.update": {"session": {"input_audio_format": "pcm16"}},
    "input_audio_buffer.append": {"audio": "AAAA"},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "conversation.item.create": {
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
        }
    },
    "conversation.item.retrieve": {"item_id": "item_1"},
    "conversation.item.delete": {"item_id": "item_1"},
    "conversation.item.truncate": {"item_id": "i", "content_index": 0, "audio_end_ms": 5},
    "response.create": {"response": {"instructions": None}},
    "response.cancel": {"response_id": "resp_1"},
    "output_audio_buffer.clear": {},
}


def test_every_client_event_has_an_example():
    assert set(CLIENT_EXAMPLES) == set(events.CLIENT_EVENTS)


@pytest.mark.parametrize("name", CLIENT_EXAMPLES)
def test_client_events_are_decoded(name):
    message = {"type": name, "event_id": "mine", **CLIENT_EXAMPLES[name]}
    (BETA if name == "transcription_session.update" else CLIENT).validate_python(message)
    event = events.decode(json.dumps({**message, "unknown": 1}))
    assert type(event) is events.CLIENT_EVENTS[name]
    assert event.event_id == "mine"


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("nonsense", "invalid_json", None),
        ("[]", "invalid_value", None),
        ('{"type":7}', "invalid_value", "type"),
        ("{}", "missing_required_parameter", "type"),
        ('{"type":"session.destroy"}', "unknown_event_type", "type"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type":"input_audio_buffer.append","audio":5}', "invalid_value", "audio"),
        (
            '{"type":"conversation.item.create","item":{"type":"message","content":[{"type":5}]}}',
            "invalid_value",
            "item.content[0].type",
        ),
    ],
)
def test_a_message_that_cannot_be_followed_names_the_field(message, code, param):
    with pytest.raises(ProtocolError) as error:
        events.decode(message)
    assert (error.value.code, error.value.param) == (code, param)


def test_an_error_carries_the_clients_own_id():
    with pytest.raises(ProtocolError) as error:
        events.decode('{"type":"conversation.item.retrieve","event_id":"rci_1"}')
    assert events.error_event(error.value).error.event_id == "rci_1"


def test_audio_is_base64_in_json_or_a_binary_frame():
    data = bytes([1, 0, 0xFE, 0xFF])
    chunk = AudioChunk("resp_1", 7, "item_2", 4_800, samples=2, seconds=0.1, data=data)
    text, _ = encode(chunk, binary=False)
    delta = SERVER.validate_json(text)
    assert (delta.type, delta.delta) == ("response.output_audio.delta", "AQD+/w==")
    raw, _ = encode(chunk, binary=True)
    assert raw == bytes([1, 0, 0, 0, 7, 0, 0, 0, 0xC0, 0x12, 0, 0, 1, 0, 0xFE, 0xFF])
