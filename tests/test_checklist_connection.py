"""Connections and sessions, point by point of the conformance list, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from openai.types.realtime import SessionCreatedEvent, SessionUpdatedEvent

from realtime.certificate import own_certificate
from realtime.formats import Format
from realtime.metrics import Metrics
from realtime.model_names import ALIASES
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.tls import server_context
from tests.client import Client, clip, quiet
from tests.test_wire_formats import FORMATS, spoken

KEY = "a-key-of-sixteen-and-more"
TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
MIB = 1024 * 1024
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def keyed(runtime, manners) -> AsyncIterator[TestServer]:
    """A server that asks for a key."""
    app = make_app(runtime, Metrics(), SessionConfig(), manners, keys=(KEY,))
    async with TestServer(app) as server:
        yield server


async def greeted(http: aiohttp.ClientSession, url: object, **kwargs: object) -> Client:
    client = Client(await http.ws_connect(url, **kwargs))
    assert (await client.next())["type"] == "session.created"
    return client


async def updated(client: Client, **session: object) -> dict:
    await client.send("session.update", session=session)
    return (await client.until("session.updated", "error"))["session"]


@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime"])
@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"api-key": KEY}},
        {"protocols": ("realtime", f"openai-insecure-api-key.{KEY}")},
    ],
    ids=["bearer", "azure", "browser"],
)
async def test_01_a_key_is_taken_in_all_three_forms(keyed, http, path, shown):
    client = await greeted(http, keyed.make_url(path), **shown)
    assert client.socket.protocol == ("realtime" if "protocols" in shown else None)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"api-key": "x"}])
async def test_01_a_wrong_key_is_refused_before_the_upgrade_in_openais_form(keyed, http, headers):
    url = keyed.make_url("/v1/realtime")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(url, headers=headers)
    assert refused.value.status == 401
    async with http.get(url, headers=headers) as answer:
        assert answer.status == 401
        assert answer.content_type == "application/json"
        error = (await answer.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"] == ("invalid_api_key" if headers else "missing_api_key")


async def test_01_without_keys_any_is_fine(server, http):
    await greeted(http, server.make_url("/v1/realtime"))
    await greeted(http, server.make_url("/v1/realtime"), headers={"Authorization": "Bearer x"})


async def test_01_a_request_without_an_upgrade_is_told_so_in_openais_form(server, http):
    async with http.get(server.make_url("/v1/realtime")) as answer:
        assert answer.status == 400
        assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("offered", "echoed"),
    [
        ((), None),
        (("realtime",), "realtime"),
        (("other", "realtime", "openai-insecure-api-key.x"), "realtime"),
        (("openai-agents-sdk.1",), None),
    ],
)
async def test_02_the_protocol_realtime_is_echoed_exactly_when_it_is_offered(
    server, http, offered, echoed
):
    client = await greeted(http, server.make_url("/v1/realtime"), protocols=offered)
    assert client.socket.protocol == echoed


@pytest.mark.parametrize("model", ["", "gpt-realtime-2.1", "nobody/has-heard-of:this", *ALIASES])
async def test_03_every_model_name_works_and_is_echoed(server, http, model):
    url = server.make_url("/v1/realtime").with_query({"model": model} if model else {})
    client = await greeted(http, url)
    assert client.events[0]["session"]["model"] == (model or "banter")


async def test_03_a_model_that_a_client_names_later_is_echoed_too(connect):
    client = await connect("?model=gpt-realtime")
    assert (await updated(client, type="realtime", model="my-model"))["model"] == "my-model"
    assert (await updated(client, model=None))["model"] == "my-model"


async def test_03_a_name_of_unreasonable_length_is_refused_before_the_upgrade(server, http):
    async with http.get(server.make_url(f"/v1/realtime?model={'m' * 300}")) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == "model"


async def test_04_both_paths_over_tls_and_without(runtime, manners, server, http, tmp_path: Path):
    certificate, key = own_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificate))
    app = make_app(runtime, Metrics(), SessionConfig(), manners)
    secure = TestServer(app, scheme="https", host="localhost")
    await secure.start_server(ssl=server_context(certificate, key))
    try:
        for path in ("/v1/realtime", "/realtime"):
            await greeted(http, server.make_url(path))
            client = await greeted(http, secure.make_url(path), ssl=trusting)
            await client.socket.close()
    finally:
        await secure.close()


SESSION_KEYS = {
    *("type", "object", "id", "model", "output_modalities", "instructions", "tools", "tool_choice"),
    *("max_output_tokens", "tracing", "truncation", "prompt", "expires_at", "include", "audio"),
}


async def test_05_the_first_frame_is_the_whole_session_with_turn_detection_on(server, http):
    client = await greeted(http, server.make_url("/v1/realtime"))
    SessionCreatedEvent.model_validate(client.events[0], strict=True)
    session = client.events[0]["session"]
    assert set(session) == SESSION_KEYS
    pcm = {"type": "audio/pcm", "rate": 24_000}
    assert session["audio"]["input"] == {
        "format": pcm,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert session["audio"]["output"] == {"format": pcm, "voice": "default", "speed": 1.0}
    assert session["max_output_tokens"] == "inf"
    assert session["tools"] == []


async def test_06_an_append_of_20_megabytes_does_not_close_the_socket(connect):
    client = await connect()
    await updated(client, audio={"input": {"turn_detection": None}})
    audio = base64.b64encode(bytes(15_000_000)).decode()
    assert len(audio) == 20_000_000
    await client.send("input_audio_buffer.append", audio=audio)
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    assert client.of("error") == []


async def test_07_no_frame_is_a_mebibyte_and_all_are_text(connect, runtime):
    runtime.voice.seconds = 40
    client = await connect()
    frames: list[aiohttp.WSMessage] = []
    receive = client.socket.receive

    async def kept(*args: object) -> aiohttp.WSMessage:
        frames.append(await receive(*args))
        return frames[-1]

    client.socket.receive = kept
    for name in ("instructions", "tracing", "prompt", "truncation"):
        update = {"type": "session.update", "session": {name: "\U0001f600" * 50_000}}
        await client.socket.send_str(json.dumps(update, ensure_ascii=False))
        await client.until("session.updated", "error")
    await client.send("session.update", session={"instructions": "be kind"})
    await client.say(TURN)
    await client.until("response.done")
    assert {frame.type for frame in frames} == {aiohttp.WSMsgType.TEXT}
    assert max(len(frame.data.encode()) for frame in frames) < MIB
    errors = [e["error"]["code"] for e in client.of("error")]
    assert set(errors) == {"session_too_large"}


async def test_08_an_update_merges_clears_ignores_and_echoes_the_whole(connect):
    client = await connect()
    before = client.events[-1]["session"]
    quick = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}
    session = await updated(client, type="realtime", audio={"input": quick}, magic={"a": 1})
    SessionUpdatedEvent.model_validate(client.events[-1], strict=True)
    assert "magic" not in session
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
    assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
    assert session["instructions"] == before["instructions"] == "be kind"
    assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    assert session["audio"]["output"] == before["audio"]["output"]
    nothing = {"turn_detection": None, "transcription": None, "noise_reduction": None}
    session = await updated(client, audio={"input": nothing})
    assert set(session) == SESSION_KEYS
    assert {key: session["audio"]["input"][key] for key in nothing} == nothing


async def test_08_what_is_only_kept_is_echoed_as_it_was_sent(connect):
    client = await connect()
    sent = {
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        "tracing": {"workflow_name": "w"},
        "prompt": {"id": "pmpt_1", "version": "2"},
        "include": ["item.input_audio_transcription.logprobs"],
    }
    assert (await updated(client, **sent)).items() >= sent.items()
    cleared = await updated(client, tracing=None, prompt=None, include=None)
    assert [cleared[key] for key in ("tracing", "prompt", "include")] == [None] * 3
    assert cleared["truncation"] == sent["truncation"]


async def test_08_of_transcription_only_the_protocols_three_are_echoed(connect):
    client = await connect()
    asked = {"model": "gpt-4o-mini-transcribe", "language": "en", "prompt": "names", "delay": "low"}
    heard = (await updated(client, audio={"input": {"transcription": asked}}))["audio"]["input"]
    assert heard["transcription"] == {k: asked[k] for k in ("model", "language", "prompt")}
    unset = {"transcription": {"language": None, "prompt": None}, "noise_reduction": {}}
    heard = (await updated(client, audio={"input": unset}))["audio"]["input"]
    assert heard["transcription"] == {"model": "gpt-4o-mini-transcribe"}
    assert heard["noise_reduction"] is None
    near = {"noise_reduction": {"type": "near_field", "strength": 1}}
    heard = (await updated(client, audio={"input": near}))["audio"]["input"]
    assert heard["noise_reduction"] == {"type": "near_field"}


@pytest.mark.parametrize("depth", [2_000, 20_000])
async def test_08_what_is_nested_too_deeply_is_refused_and_the_session_lives(connect, depth):
    client = await connect()
    session = '{"a":' * depth + "1" + "}" * depth
    await client.socket.send_str(f'{{"type":"session.update","session":{session}}}')
    assert (await client.until("session.updated", "error"))["type"] == "error"
    assert client.events[-1]["error"]["code"] == "invalid_json"
    assert (await updated(client, instructions="x"))["instructions"] == "x"


async def test_09_semantic_vad_is_taken_echoed_with_its_booleans_and_ends_turns(connect):
    client = await connect()
    detection = {"type": "semantic_vad", "eagerness": "high"}
    session = await updated(client, audio={"input": {"turn_detection": detection}})
    booleans = {"create_response": True, "interrupt_response": True}
    assert session["audio"]["input"]["turn_detection"] == {**detection, **booleans}
    await client.say(TURN)
    assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize("name", ["pcm 24", "u-law", "a-law"])
async def test_10_formats_in_and_out(connect, name):
    shape, wire = FORMATS[name]
    client = await connect()
    session = await updated(client, audio={"input": {"format": shape}, "output": {"format": shape}})
    assert session["audio"]["input"]["format"] == shape == session["audio"]["output"]["format"]
    await client.say(spoken(wire))
    await client.until("response.done")
    assert len(wire.decode(client.audio())) == pytest.approx(1.5 * wire.rate_hz, abs=2)


async def test_10_pcm_without_a_rate_is_24_khz(connect):
    client = await connect()
    session = await updated(client, audio={"input": {"format": {"type": "audio/pcm"}}})
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}


async def test_11_an_update_in_mid_speech_loses_nothing(connect, runtime):
    client = await connect()
    half = len(TURN) // 4 * 2
    await client.say(TURN[:half])
    await client.until("input_audio_buffer.speech_started")
    await updated(client, instructions="be brief", audio={"input": {"turn_detection": None}})
    await client.say(TURN[half:])
    await client.send("input_audio_buffer.commit")
    await client.until(TRANSCRIBED)
    [heard] = runtime.transcriber.heard
    assert len(heard) / 16_000 > (len(TURN) / 48_000) - 1.0


async def test_11_an_update_during_a_response_lets_it_finish_and_counts_for_the_next(
    connect, runtime
):
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await client.say(TURN)
    await client.until("response.created")
    await updated(client, instructions="be brief")
    runtime.voice.gate.set()
    assert (await client.until("response.done"))["response"]["status"] == "completed"
    assert runtime.replier.prompts[-1][0].text == "be kind"
    await client.say(TURN)
    await client.until("response.done")
    assert runtime.replier.prompts[-1][0].text == "be brief"


async def test_12_the_flat_keys_of_beta_are_understood_everywhere(connect):
    client = await connect()
    session = await updated(
        client,
        modalities=["text"],
        voice="alloy",
        input_audio_format="g711_ulaw",
        output_audio_format="pcm16",
        input_audio_transcription={"model": "whisper-1", "language": "en"},
        input_audio_noise_reduction={"type": "far_field"},
        turn_detection={"type": "server_vad", "threshold": 0.6},
        temperature=0.8,
        max_response_output_tokens=200,
        instructions="be flat",
    )
    assert set(session) == SESSION_KEYS
    assert session["output_modalities"] == ["text"]
    assert session["max_output_tokens"] == 200
    heard, made = session["audio"]["input"], session["audio"]["output"]
    assert made == {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "alloy", "speed": 1.0}
    assert heard["format"] == {"type": "audio/pcmu"}
    assert heard["transcription"] == {"model": "whisper-1", "language": "en"}
    assert heard["noise_reduction"] == {"type": "far_field"}
    assert heard["turn_detection"]["threshold"] == 0.6
    session = await updated(client, turn_detection=None, input_audio_transcription=None)
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["transcription"] is None
    await client.send("session.update", session={"input_audio_format": "mp3"})
    error = (await client.until("error"))["error"]
    assert error["param"] == "session.input_audio_format"
    assert "g711_alaw" in error["message"]


async def test_13_tools_are_replaced_and_an_empty_list_clears_them(connect):
    client = await connect()
    first, second = (
        {"type": "function", "name": name, "description": "d", "parameters": {"type": "object"}}
        for name in ("one", "two")
    )
    assert (await updated(client, tools=[first]))["tools"] == [first]
    assert (await updated(client, tools=[second], tool_choice="auto"))["tools"] == [second]
    assert (await updated(client, instructions="x"))["tools"] == [second]
    assert (await updated(client, tools=[]))["tools"] == []


async def test_22_a_commit_of_too_little_says_how_much_there_is(connect):
    client = await connect()
    await updated(client, audio={"input": {"turn_detection": None}})
    await client.say(bytes(Format("pcm", 24_000).rate_hz // 20 * 2))
    await client.send("input_audio_buffer.commit", event_id="mine")
    error = (await client.until("error"))["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "mine"
    assert "Expected at least 100ms of audio, but buffer only has 50.00ms" in error["message"]


async def test_23_without_transcription_no_event_tells_the_words(connect, runtime):
    client = await connect(transcription=False)
    await client.say(TURN)
    await client.until("response.done")
    assert len(runtime.transcriber.heard) == 1
    assert not [e for e in client.events if "transcription" in e["type"]]
    assert runtime.replier.prompts[-1][-1].text == "hello there"
