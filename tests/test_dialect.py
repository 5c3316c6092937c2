"""Beta beside GA: the same conversation in the older words."""

from __future__ import annotations

import json

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types.beta.realtime import (
    RealtimeServerEvent,
    Session,
    TranscriptionSessionUpdatedEvent,
)
from pydantic import TypeAdapter

from realtime.dialect import Beta, flat, nested, speaks_beta
from realtime.errors import ProtocolError
from realtime.session_config import SessionConfig
from tests.client import Client, clip, quiet

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
HEADERS = {"OpenAI-Beta": "realtime=v1"}
MODEL = "gpt-4o-realtime-preview"
SERVER = TypeAdapter(RealtimeServerEvent)
ITEM = {
    "id": "item_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_audio", "transcript": "hi"}],
}


@pytest.fixture
async def beta(server):
    async with aiohttp.ClientSession() as http:

        async def open_session(query: str = "", **kwargs) -> Client:
            url = server.make_url(f"/v1/realtime{query}")
            return Client(await http.ws_connect(url, **(kwargs or {"headers": HEADERS})))

        yield open_session


@pytest.mark.parametrize(
    ("headers", "beta"),
    [
        ({}, False),
        ({"OpenAI-Beta": "realtime=v1"}, True),
        ({"OpenAI-Beta": "assistants=v2, realtime=v1"}, True),
        ({"OpenAI-Beta": "assistants=v2"}, False),
        ({"Sec-WebSocket-Protocol": "realtime, openai-beta.realtime-v1"}, True),
        ({"Sec-WebSocket-Protocol": "realtime"}, False),
    ],
)
def test_a_connection_says_that_it_speaks_beta(headers, beta):
    assert speaks_beta(headers) is beta


def test_flat_and_nested_say_the_same():
    config = SessionConfig().updated(
        {
            "model": MODEL,
            "voice": "alloy",
            "input_audio_format": "g711_alaw",
            "modalities": ["text"],
        }
    )
    session = config.wire(session_id="sess_1", expires_at=1)
    body = flat(session)
    Session.model_validate(body, strict=True)
    assert (body["voice"], body["input_audio_format"]) == ("alloy", "g711_alaw")
    assert (body["output_audio_format"], body["modalities"]) == ("pcm16", ["text"])
    assert "audio" not in body
    again = SessionConfig().updated(body)
    assert again.wire(session_id="sess_1", expires_at=1) == session


def test_where_both_forms_are_given_gas_counts():
    both = {"voice": "alloy", "audio": {"output": {"voice": "cedar"}, "input": {}}, "speed": 1.2}
    output = nested(both)["audio"]["output"]
    assert output == {"voice": "cedar", "speed": 1.2}


def test_what_is_nested_already_is_left_alone():
    session = {"audio": {"output": {"voice": "cedar"}}, "instructions": "x"}
    assert nested(session) is session


def test_an_unknown_flat_format_is_named():
    with pytest.raises(ProtocolError, match="pcm16") as error:
        nested({"output_audio_format": 5})
    assert error.value.param == "session.output_audio_format"


def test_events_that_beta_does_not_have_are_left_out_and_items_are_renamed():
    beta = Beta("conv_1")
    done = {"type": "conversation.item.done", "event_id": "e", "item": ITEM}
    assert beta.outgoing(done) == []
    added = {"type": "conversation.item.added", "event_id": "e", "item": ITEM}
    [event] = beta.outgoing(added)
    assert event["type"] == "conversation.item.created"
    assert event["item"]["object"] == "realtime.item"
    assert event["item"]["content"] == [{"type": "audio", "transcript": "hi"}]
    assert added["item"] is ITEM  # what others hold is not changed


async def test_44_a_spoken_turn_in_beta(beta):
    client = await beta(f"?model={MODEL}")
    await client.send(
        "session.update",
        session={
            "modalities": ["text", "audio"],
            "voice": "alloy",
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
            "temperature": 0.7,
        },
    )
    session = (await client.until("session.updated"))["session"]
    assert session["voice"] == "alloy"
    assert session["turn_detection"]["silence_duration_ms"] == 300
    assert "audio" not in session
    await client.say(TURN)
    done = await client.until("response.done")
    assert client.types() == [
        "session.created",
        "conversation.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    for event in client.events:
        assert SERVER.validate_python(event).type == event["type"]
    assert client.of("response.audio.delta")
    said = "".join(e["delta"] for e in client.of("response.audio_transcript.delta"))
    response = done["response"]
    assert response["output"][0]["content"] == [{"type": "audio", "transcript": said}]
    assert response["modalities"] == ["text", "audio"]
    assert (response["voice"], response["output_audio_format"]) == ("alloy", "pcm16")
    assert len({e["event_id"] for e in client.events}) == len(client.events)


async def test_44_a_text_turn_with_a_responses_own_flat_settings(beta, runtime):
    client = await beta()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    await client.send("conversation.item.create", item=item)
    await client.send("response.create", response={"modalities": ["text"], "temperature": 0.6})
    done = await client.until("response.done")
    assert "".join(e["delta"] for e in client.of("response.text.delta"))
    assert done["response"]["output"][0]["content"][0]["type"] == "text"
    assert runtime.voice.lines == []


async def test_44_a_message_that_is_no_json_is_answered_as_in_ga(beta):
    client = await beta()
    await client.socket.send_str('{"type": "response.create"')
    assert (await client.until("error"))["error"]["code"] == "invalid_json"


async def test_44_a_wrong_setting_of_a_response_is_named_as_it_was_sent(beta):
    client = await beta()
    wrong = {"output_audio_format": "mp3"}
    await client.send("response.create", event_id="mine", response=wrong)
    error = (await client.until("error"))["error"]
    assert (error["param"], error["event_id"]) == ("response.output_audio_format", "mine")


async def test_44_a_browser_asks_with_a_subprotocol(beta):
    protocols = ("realtime", "openai-insecure-api-key.x", "openai-beta.realtime-v1")
    client = await beta(protocols=protocols)
    assert client.socket.protocol == "realtime"
    await client.until("conversation.created")


async def test_44_binary_audio_is_the_same_in_beta(beta):
    client = await beta("?audio=binary")
    await client.socket.send_bytes(TURN)
    await client.until("response.done")
    assert client.frames
    assert client.of("response.audio.delta") == []
    assert client.of("response.audio.done")


async def test_44_a_transcription_session_in_beta(beta):
    client = await beta("?intent=transcription")
    assert (await client.next())["type"] == "transcription_session.created"
    await client.send(
        "transcription_session.update",
        session={
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": {"type": "server_vad"},
        },
    )
    event = await client.until("transcription_session.updated")
    secret = {"client_secret": {"value": "ek_1", "expires_at": 1}}  # of the REST form alone
    TranscriptionSessionUpdatedEvent.model_validate(
        {**event, "session": {**event["session"], **secret}}
    )
    assert event["session"]["input_audio_transcription"] == {"model": "gpt-4o-transcribe"}
    await client.say(TURN)
    await client.until("conversation.item.input_audio_transcription.completed")


async def test_44_openais_own_beta_client(server):
    url = server.make_url("/v1")
    client = AsyncOpenAI(
        api_key="x", base_url=str(url), websocket_base_url=f"ws://{url.host}:{url.port}/v1"
    )
    async with client.beta.realtime.connect(model=MODEL) as connection:
        await connection.session.update(session={"modalities": ["text"]})
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "hello"}],
            }
        )
        await connection.response.create()
        said = ""
        async for event in connection:
            if event.type == "response.text.delta":
                said += event.delta
            if event.type == "response.done":
                break
    assert event.response.status == "completed"
    assert said.split() == ["All", "is", "well,", "thank", "you.", "And", "with", "you?"]
    await client.close()


async def test_a_ga_connection_hears_nothing_of_beta(connect):
    client = await connect()
    await client.say(TURN)
    await client.until("response.done")
    assert client.of("conversation.created") == client.of("conversation.item.created") == []
    assert "modalities" not in json.dumps(client.events).replace("output_modalities", "")
