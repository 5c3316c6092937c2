"""What is remembered of a reply is what can have been heard of it; live audio is paced."""

from __future__ import annotations

import asyncio

import pytest

from realtime.playout import Pacing
from realtime.speaker import Manners
from tests.client import clip, quiet

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)


@pytest.fixture
def manners():
    return Manners(pacing=Pacing())


async def test_audio_is_sent_at_most_half_a_second_ahead_of_playback(connect, runtime):
    runtime.voice.seconds = 0.4
    client = await connect()
    loop = asyncio.get_running_loop()
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    begun, sent_s, ahead = loop.time(), 0.1, []
    while (event := await client.next())["type"] != "response.done":
        if event["type"] == "response.output_audio.delta":
            sent_s += 0.1
            ahead.append(sent_s - (loop.time() - begun))
    assert sent_s == pytest.approx(1.2)
    assert max(ahead) <= 0.55
    assert loop.time() - begun >= 0.6


async def test_an_interrupted_reply_is_remembered_as_far_as_it_was_heard(connect, runtime):
    runtime.voice.seconds = 1.0
    client = await connect()
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    begun = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - begun < 1.4:
        await client.next()
    await client.say(TURN)
    done = await client.until("response.done")
    item = done["response"]["output"][0]
    assert done["response"]["status"] == "cancelled"
    assert item["content"][0]["transcript"] in ("All is well,", "All is well, thank")
    await client.until("response.created")
    await client.until("response.output_audio.delta")
    assert runtime.replier.prompts[1][2].text == item["content"][0]["transcript"]


async def test_speech_while_a_whole_reply_still_plays_cuts_it_too(connect, runtime):
    runtime.replier.words = ("One two three four five six.",)
    runtime.voice.seconds = 0.5
    client = await connect()
    await client.say(TURN)
    first = await client.until("response.done")
    assert first["response"]["status"] == "completed"
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    remembered = [m.text for m in runtime.replier.prompts[1] if m.role == "assistant"]
    assert remembered != ["One two three four five six."]
    assert all("One two three four five six.".startswith(text) for text in remembered)


async def test_the_clients_own_report_is_better_than_the_model(connect, runtime):
    runtime.replier.words = ("One two three four five six.",)
    runtime.voice.seconds = 0.5
    client = await connect()
    await client.say(TURN)
    first = await client.until("response.done")
    item = first["response"]["output"][0]["id"]
    await client.send(
        "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=5_000
    )
    await client.until("conversation.item.truncated")
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    assert runtime.replier.prompts[1][2].text == "One two three four five six."


async def test_a_response_outside_the_conversation_is_not_paced_and_leaves_no_trace(
    connect, runtime
):
    runtime.voice.seconds = 3.0
    client = await connect()
    begun = asyncio.get_running_loop().time()
    await client.send("response.create", response={"conversation": "none"})
    done = await client.until("response.done")
    assert asyncio.get_running_loop().time() - begun < 3.0
    assert len(client.audio()) == 3 * 3 * 24_000 * 2
    assert done["response"]["conversation_id"] is None
    assert not client.of("conversation.item.added")
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    assert [m.role for m in runtime.replier.prompts[1]] == ["system", "user"]


async def test_no_stale_audio_follows_an_interruption(connect, runtime):
    runtime.voice.seconds = 3.0
    client = await connect()
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    await client.say(TURN)
    started = await client.until("input_audio_buffer.speech_started")
    done = await client.until("response.done")
    between = client.events[client.events.index(started) : client.events.index(done)]
    assert not [e for e in between if e["type"] == "response.output_audio.delta"]
    again = await client.until("response.output_audio.delta")
    assert again["response_id"] != done["response"]["id"]
