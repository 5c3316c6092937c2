"""Sessions that only listen: words, and never a response."""

from __future__ import annotations

import asyncio
import base64

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from jiwer import wer
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from whisper_normalizer.english import EnglishTextNormalizer

from realtime.errors import TranscriptionError
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.client import Client, clip, quiet, transcripts

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
HEARD = "conversation.item.input_audio_transcription"
CLIPS = ("ls_6930_0000", "vctk_p287_004_clean")
normal = EnglishTextNormalizer()
SERVER = TypeAdapter(RealtimeServerEvent)


async def open_listening(connect, query: str = "?intent=transcription") -> Client:
    return await connect(query, transcription=False)


async def test_the_address_asks_for_it_and_the_session_is_told_in_its_own_form(connect):
    client = await open_listening(connect)
    session = client.events[0]["session"]
    assert set(session) == {"type", "object", "id", "expires_at", "include", "audio"}
    assert session["type"] == "transcription"
    assert session["object"] == "realtime.transcription_session"
    assert session["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24_000},
            "transcription": {"model": "whisper-1"},
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
            },
        }
    }


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("gpt-4o-transcribe", "gpt-4o-transcribe"),
        ("Systran/small", "Systran/small"),
        ("gpt-realtime", "whisper-1"),
        ("gpt-realtime-2025-08-28", "whisper-1"),
    ],
)
async def test_a_model_in_the_address_is_the_recognisers_unless_it_is_one_that_talks(
    connect, model, shown
):
    client = await open_listening(connect, f"?intent=transcription&model={model}")
    assert client.events[0]["session"]["audio"]["input"]["transcription"]["model"] == shown


async def test_45_a_turn_gives_its_events_in_order_and_no_response(connect, runtime):
    client = await open_listening(connect)
    for _ in range(2):
        await client.say(TURN)
        await client.until(f"{HEARD}.completed")
    one = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{HEARD}.completed",
    ]
    assert client.types() == ["session.created", *one, *one]
    assert runtime.replier.prompts == []
    for event in client.events:
        assert SERVER.validate_python(event, strict=True).type == event["type"]


async def test_the_deltas_say_together_what_completed_says(connect):
    client = await open_listening(connect)
    await client.say(TURN)
    completed = await client.until(f"{HEARD}.completed")
    deltas = client.of(f"{HEARD}.delta")
    assert "".join(d["delta"] for d in deltas) == completed["transcript"] == "hello there"
    assert {(d["item_id"], d["content_index"]) for d in deltas} == {(completed["item_id"], 0)}
    assert completed["usage"]["type"] == "duration"
    assert 3.0 < completed["usage"]["seconds"] < 5.0


async def test_where_nothing_was_said_there_is_no_delta(connect, runtime):
    runtime.transcriber.texts = [""]
    client = await open_listening(connect)
    await client.say(TURN)
    assert (await client.until(f"{HEARD}.completed"))["transcript"] == ""
    assert client.of(f"{HEARD}.delta") == []


async def test_a_response_is_refused_with_the_remedy_and_the_session_lives(connect):
    client = await open_listening(connect)
    await client.send("response.create", event_id="mine")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("response_not_supported", "mine")
    assert "type 'realtime'" in error["message"]
    await client.say(TURN)
    await client.until(f"{HEARD}.completed")


async def test_a_first_update_of_that_type_is_enough(connect, runtime):
    client = await connect(transcription=False)
    await client.send("session.update", session={"type": "transcription"})
    session = (await client.until("session.updated"))["session"]
    assert session["type"] == "transcription"
    assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    await client.say(TURN)
    await client.until(f"{HEARD}.completed")
    assert client.of("response.created") == []
    await client.send("session.update", session={"type": "realtime"})
    assert (await client.until("session.updated"))["session"]["model"] == "banter"
    await client.say(TURN)
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_an_update_of_that_type_stops_what_is_being_said(connect, runtime):
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await client.say(TURN)
    await client.until("response.created")
    await client.send("session.update", session={"type": "transcription"})
    assert (await client.until("response.done"))["response"]["status"] == "cancelled"
    await client.until("session.updated")


async def test_settings_of_the_whole_form_are_taken(connect):
    client = await open_listening(connect)
    given = {
        "format": {"type": "audio/pcmu"},
        "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
        "noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
    }
    include = ["item.input_audio_transcription.logprobs"]
    await client.send(
        "session.update",
        session={"type": "transcription", "audio": {"input": given}, "include": include},
    )
    session = (await client.until("session.updated"))["session"]
    assert session["audio"]["input"] == given
    assert session["include"] == include


async def test_push_to_talk(connect):
    client = await open_listening(connect)
    off = {"audio": {"input": {"turn_detection": None}}}
    await client.send("session.update", session={"type": "transcription", **off})
    await client.until("session.updated")
    await client.say(TURN)
    await client.send("input_audio_buffer.commit")
    await client.until(f"{HEARD}.completed")
    assert not [t for t in client.types() if "speech" in t]


async def test_a_recogniser_that_fails_says_so_and_the_next_turn_is_heard(connect, runtime):
    runtime.transcriber.texts = [TranscriptionError("no"), "again"]
    client = await open_listening(connect)
    await client.say(TURN)
    assert (await client.until(f"{HEARD}.failed"))["error"]["message"] == "no"
    await client.say(TURN)
    assert (await client.until(f"{HEARD}.completed"))["transcript"] == "again"


async def test_nobody_is_greeted_in_a_session_that_only_listens(runtime):
    manners = Manners(pacing=None, greeting="Hello!")
    app = make_app(runtime, Metrics(), SessionConfig(), manners)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = server.make_url("/v1/realtime?intent=transcription")
        client = Client(await http.ws_connect(url))
        await client.say(TURN)
        await client.until(f"{HEARD}.completed")
    assert client.of("response.created") == []


async def test_45_real_words_through_openais_client(echo_url):
    client = AsyncOpenAI(api_key="none", base_url=f"{echo_url}/v1")
    heard = []
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        for name in CLIPS:
            audio = base64.b64encode(quiet(0.3) + clip(name) + quiet(1)).decode()
            await connection.input_audio_buffer.append(audio=audio)
        async with asyncio.timeout(60):
            async for event in connection:
                assert event.type != "error", event
                assert not event.type.startswith("response.")
                if event.type == f"{HEARD}.completed":
                    heard.append(event.transcript)
                if len(heard) == len(CLIPS):
                    break
    await client.close()
    said = transcripts()
    for name, words in zip(CLIPS, heard, strict=True):
        assert wer(normal(said[name]), normal(words)) <= 0.2
