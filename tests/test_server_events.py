"""What the server says is what OpenAI's own types want."""

from __future__ import annotations

import json

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from realtime import server_events
from realtime.conversation import Conversation
from realtime.formats import Format
from realtime.items import Item
from realtime.outbox import AudioChunk, Outbox
from realtime.response import Response
from realtime.session_config import SessionConfig
from realtime.websocket import encode

SERVER = TypeAdapter(RealtimeServerEvent)

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


EXAMPLES: list[server_events.ServerEvent] = [
    server_events.Error(
        error=server_events.ErrorBody(type="invalid_request_error", message="no", code="x")
    ),
    server_events.SessionCreated(session=SESSION),
    server_events.SessionUpdated(session=SESSION),
    server_events.SpeechStarted(audio_start_ms=0, item_id="item_1"),
    server_events.SpeechStopped(audio_end_ms=0, item_id="item_1"),
    server_events.TimeoutTriggered(audio_start_ms=0, audio_end_ms=5, item_id="item_1"),
    server_events.AudioCommitted(previous_item_id=None, item_id="item_1"),
    server_events.AudioCleared(),
    server_events.ItemAdded(previous_item_id=None, item=ITEM),
    server_events.ItemDone(previous_item_id="item_0", item=ITEM),
    server_events.ItemRetrieved(item=ITEM),
    server_events.ItemDeleted(item_id="item_1"),
    server_events.ItemTruncated(item_id="item_1", content_index=0, audio_end_ms=0),
    server_events.TranscriptionDelta(item_id="item_1", content_index=0, delta="a"),
    server_events.TranscriptionCompleted(
        item_id="item_1",
        content_index=0,
        transcript="",
        usage={"type": "duration", "seconds": 1.5},
    ),
    server_events.TranscriptionFailed(
        item_id="item_1", content_index=0, error={"type": "t", "code": "c", "message": "m"}
    ),
    server_events.ResponseCreated(response=response("in_progress")),
    server_events.ResponseDone(response=response("cancelled")),
    server_events.OutputItemAdded(response_id="resp_1", output_index=0, item=ITEM),
    server_events.OutputItemDone(response_id="resp_1", output_index=0, item=ITEM),
    server_events.ContentPartAdded(**PLACE, part={"type": "audio", "transcript": ""}),
    server_events.ContentPartDone(**PLACE, part={"type": "text", "text": ""}),
    server_events.TranscriptDelta(**PLACE, delta="a"),
    server_events.TranscriptDone(**PLACE, transcript="a"),
    server_events.TextDelta(**PLACE, delta="a"),
    server_events.TextDone(**PLACE, text="a"),
    server_events.AudioDelta(**PLACE, delta="AAAA"),
    server_events.AudioDone(**PLACE),
    server_events.CallArgumentsDelta(**CALL, delta="{"),
    server_events.CallArgumentsDone(**CALL, name="look_up", arguments="{}"),
    server_events.RateLimitsUpdated(rate_limits=[]),
]


def test_every_server_event_has_an_example():
    assert [type(e) for e in EXAMPLES] == list(server_events.SERVER_EVENTS)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_server_events_are_what_openais_types_say(event):
    event.event_id = "event_1"
    parsed = SERVER.validate_json(server_events.encode(event))
    assert parsed.type == event.__struct_config__.tag
    assert parsed.event_id == "event_1"


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda e: type(e).__name__)
def test_items_carry_no_null_but_an_unknown_transcript(event):
    body = json.loads(server_events.encode(event))
    item = body.get("item", {})
    assert None not in item.values()
    for part in item.get("content", []):
        assert all(v is not None or k == "transcript" for k, v in part.items())


def test_audio_is_base64_in_json_or_a_binary_frame():
    data = bytes([1, 0, 0xFE, 0xFF])
    chunk = AudioChunk("resp_1", 7, "item_2", 4_800, samples=2, seconds=0.1, data=data)
    text, _ = encode(chunk, binary=False)
    delta = SERVER.validate_json(text)
    assert (delta.type, delta.delta) == ("response.output_audio.delta", "AQD+/w==")
    raw, _ = encode(chunk, binary=True)
    assert raw == bytes([1, 0, 0, 0, 7, 0, 0, 0, 0xC0, 0x12, 0, 0, 1, 0, 0xFE, 0xFF])
