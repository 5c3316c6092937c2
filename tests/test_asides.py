"""Responses with `conversation: "none"`: they neither stop nor are stopped by what is spoken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime.errors import ReplyError
from realtime.playout import Pacing
from realtime.speaker import Manners
from tests.client import Client, clip, quiet
from tests.test_checklist_turns import TURN, WEATHER, said_to, settled, typed, until_done

ASIDE = {
    "conversation": "none",
    "output_modalities": ["text"],
    "input": [typed("own", "Is this a question?")],
}
FALLBACK = "Sorry, not now."
SPEECH = quiet(0.3) + clip("ls_6930_0000")


async def ask_aside(client: Client, **settings: Any) -> None:
    await client.send("response.create", response={**ASIDE, **settings})


@pytest.fixture
def manners():
    """Audio is sent far ahead of its playback; what cannot be begun is replaced."""
    return Manners(pacing=Pacing(at_once_s=60, ahead_s=60), fallback=FALLBACK)


async def test_speech_does_not_stop_an_aside_and_is_answered_after_it(connect, runtime):
    client = await connect()
    goes_on = asyncio.Event()
    usual = runtime.replier.reply

    async def reply(prompt: Any, **_: Any) -> Any:
        async for delta in usual(prompt, max_tokens=1, owner=None):
            yield delta
            await goes_on.wait()

    runtime.replier.reply = reply
    await ask_aside(client)
    await client.until("response.output_text.delta")
    await client.say(TURN)
    await client.until("conversation.item.input_audio_transcription.completed")
    await settled(client)
    assert not client.of("response.done")
    goes_on.set()
    assert [(await until_done(client))["status"] for _ in range(2)] == ["completed"] * 2
    assert said_to(runtime) == ["hello there"]


async def test_an_aside_does_not_hide_what_is_playing_from_an_interruption(connect, runtime):
    runtime.voice.seconds = 20
    client = await connect()
    await client.say(TURN)
    await until_done(client)
    await ask_aside(client)
    await until_done(client)
    await client.say(TURN)
    await until_done(client)
    first, *heard, second = said_to(runtime)
    assert (first, second) == ("hello there", "hello there")
    assert len("".join(heard)) < 30


async def test_a_running_aside_does_not_hide_it_either(connect, runtime):
    runtime.voice.seconds = 20
    client = await connect()
    await client.say(TURN)
    item = (await until_done(client))["output"][0]["id"]
    runtime.replier.stall_after = 2
    await ask_aside(client)
    await client.until("response.output_text.delta")
    await client.say(SPEECH)
    await client.until("input_audio_buffer.speech_started")
    await client.send("conversation.item.retrieve", item_id=item)
    retrieved = await client.until("conversation.item.retrieved")
    assert len(retrieved["item"]["content"][0]["transcript"]) < 30
    assert len(client.of("response.done")) == 1


async def test_the_end_of_an_aside_leaves_alone_what_is_playing(connect, runtime):
    runtime.voice.seconds = 20
    client = await connect()
    await client.say(TURN)
    item = (await until_done(client))["output"][0]["id"]
    runtime.replier.stall_after = 2
    await ask_aside(client)
    await client.until("response.output_text.delta")
    await client.send("response.cancel")
    assert (await until_done(client))["status"] == "cancelled"
    await client.send("conversation.item.retrieve", item_id=item)
    retrieved = await client.until("conversation.item.retrieved")
    assert len(retrieved["item"]["content"][0]["transcript"]) > 30


async def test_an_aside_that_fails_is_not_replaced_by_a_sentence(connect, runtime):
    runtime.replier.words, runtime.replier.error = (), ReplyError("no")
    client = await connect()
    await ask_aside(client)
    response = await until_done(client)
    assert (response["status"], response["output"]) == ("failed", [])
    await client.send("response.create")
    response = await until_done(client)
    assert response["output"][0]["content"][0]["transcript"] == FALLBACK


async def test_nor_is_a_reply_that_had_to_be_a_call(connect, runtime):
    runtime.replier.words, runtime.replier.error = (), ReplyError("no")
    client = await connect()
    must = {"tools": [WEATHER], "tool_choice": "required"}
    await client.send("response.create", response=must)
    assert (await until_done(client))["status"] == "failed"
