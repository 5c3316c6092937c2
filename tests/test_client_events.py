"""What clients send: all of it is known, and an error names the field."""

from __future__ import annotations

import json

import pytest
from openai.types.beta.realtime import TranscriptionSessionUpdate
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter

from realtime import client_events, server_events
from realtime.errors import ProtocolError

CLIENT = TypeAdapter(RealtimeClientEvent)
BETA = TypeAdapter(TranscriptionSessionUpdate)

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
    assert set(CLIENT_EXAMPLES) == set(client_events.CLIENT_EVENTS)


@pytest.mark.parametrize("name", CLIENT_EXAMPLES)
def test_client_events_are_decoded(name):
    message = {"type": name, "event_id": "mine", **CLIENT_EXAMPLES[name]}
    (BETA if name == "transcription_session.update" else CLIENT).validate_python(message)
    event = client_events.decode(json.dumps({**message, "unknown": 1}))
    assert type(event) is client_events.CLIENT_EVENTS[name]
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
        client_events.decode(message)
    assert (error.value.code, error.value.param) == (code, param)


def test_an_error_carries_the_clients_own_id():
    with pytest.raises(ProtocolError) as error:
        client_events.decode('{"type":"conversation.item.retrieve","event_id":"rci_1"}')
    assert server_events.error_event(error.value).error.event_id == "rci_1"
