"""Which voice speaks, how, and in which language: what clients set, and what the voice is told."""

from __future__ import annotations

import asyncio

import pytest

from realtime.engines import Line
from realtime.errors import ProtocolError
from realtime.voice_choice import OPENAI_VOICES, check_voice, chosen_voice
from tests.client import Client, clip, quiet

VOICES = ("default", "anna", "bo")


async def update(client: Client, **output: object) -> dict:
    await client.send("session.update", session={"audio": {"output": output}})
    return await client.until("session.updated", "error")


async def reply(client: Client, **output: object) -> dict:
    """Ask for a response with settings of its own; its end."""
    await client.send("response.create", response={"audio": {"output": output}} if output else {})
    return await client.until("response.done", "error")


async def test_the_session_picks_a_voice_and_how_it_speaks(connect, runtime):
    runtime.voice.voices = VOICES
    client = await connect()
    told = await update(client, voice="anna", speed=1.2, exaggeration=0.8, temperature=0.5)
    output = told["session"]["audio"]["output"]
    assert (output["voice"], output["exaggeration"]) == ("anna", 0.8)
    done = await reply(client)
    assert done["response"]["audio"]["output"]["voice"] == "anna"
    assert runtime.voice.lines == [
        Line(text, "anna", 1.2, None, 0.8, 0.5)
        for text in ("All is well,", "thank you.", "And with you?")
    ]


async def test_what_a_response_asks_for_is_its_own(connect, runtime):
    runtime.voice.voices = VOICES
    client = await connect()
    await update(client, voice="anna", temperature=0.5)
    own = {"voice": {"id": "bo"}, "exaggeration": 1.0, "temperature": None}
    done = await reply(client, **own, format={"type": "audio/pcmu"})
    assert done["response"]["audio"]["output"]["voice"] == "bo"
    assert done["response"]["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert runtime.voice.lines[-1] == Line("And with you?", "bo", exaggeration=1.0)
    await reply(client)
    assert runtime.voice.lines[-1] == Line("And with you?", "anna", temperature=0.5)


@pytest.mark.parametrize("voice", sorted(OPENAI_VOICES))
async def test_a_client_made_for_openai_gets_the_models_own_voice(connect, runtime, voice):
    client = await connect()
    told = await update(client, voice=voice)
    assert told["session"]["audio"]["output"]["voice"] == voice
    await reply(client)
    assert {line.voice for line in runtime.voice.lines} == {"default"}


async def test_a_voice_that_there_is_not_is_refused_with_those_that_there_are(connect, runtime):
    runtime.voice.voices = VOICES
    client = await connect()
    error = (await update(client, voice="carl", speed=1.5))["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "session.audio.output.voice")
    assert "'carl'; there are default, anna, bo" in error["message"]
    error = (await reply(client, voice="carl"))["error"]
    assert error["param"] == "response.audio.output.voice"
    assert (await reply(client, temperature=9))["error"]["param"] == (
        "response.audio.output.temperature"
    )
    done = await reply(client)
    assert done["response"]["status"] == "completed"
    assert {(line.voice, line.speed) for line in runtime.voice.lines} == {("default", 1.0)}


async def test_with_one_voice_every_name_means_it(connect, runtime):
    client = await connect()
    told = await update(client, voice="aura-asteria-en")
    assert told["session"]["audio"]["output"]["voice"] == "aura-asteria-en"
    await reply(client)
    assert {line.voice for line in runtime.voice.lines} == {"default"}


async def test_a_reply_keeps_its_voice_when_the_session_gets_another(connect, runtime):
    runtime.voice.voices = VOICES
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await client.send("response.create")
    await client.until("response.content_part.added")
    assert (await update(client, voice="anna"))["type"] == "session.updated"
    runtime.voice.gate.set()
    await client.until("response.done")
    assert {line.voice for line in runtime.voice.lines} == {"default"}
    await reply(client)
    assert runtime.voice.lines[-1].voice == "anna"


async def test_a_voice_that_was_removed_is_replaced_by_the_models_own(connect, runtime):
    runtime.voice.voices = VOICES
    client = await connect()
    await update(client, voice="anna")
    runtime.voice.voices = ("default",)
    assert (await update(client, speed=1.1))["type"] == "session.updated"
    done = await reply(client)
    assert done["response"]["status"] == "completed"
    assert {line.voice for line in runtime.voice.lines} == {"default"}


async def test_the_reply_is_spoken_in_the_language_that_was_heard(connect, runtime):
    runtime.transcriber.language = "fr"
    client = await connect()
    await reply(client)
    assert {line.language for line in runtime.voice.lines} == {None}
    runtime.voice.lines.clear()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.done")
    assert {line.language for line in runtime.voice.lines} == {"fr"}


async def test_the_language_that_the_session_is_set_to_counts_more(connect, runtime):
    runtime.transcriber.language = "fr"
    client = await connect()
    await client.send(
        "session.update",
        session={"audio": {"input": {"transcription": {"language": "de-AT"}}}},
    )
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.done")
    assert {line.language for line in runtime.voice.lines} == {"de"}


async def test_a_short_beginning_waits_for_a_voice_that_wants_it(connect, runtime):
    runtime.replier.words = ("Yes. ", "It ", "is ", "warm. ", "Bye.")
    client = await connect()
    await reply(client)
    assert runtime.voice.pieces == ["Yes.", "It is warm.", "Bye."]
    runtime.voice.lines.clear()
    runtime.voice.shortest_chars = 12
    await reply(client)
    assert runtime.voice.pieces == ["Yes. It is warm.", "Bye."]


def test_a_voice_may_have_the_name_of_one_of_openais():
    names = ("default", "echo")
    check_voice("echo", names, root="session")
    assert chosen_voice("echo", names) == "echo"
    assert chosen_voice("alloy", names) == "default"
    with pytest.raises(ProtocolError):
        check_voice("Echo", names, root="session")
