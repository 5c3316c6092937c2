"""A greeting, a fallback, an assistant that speaks when nobody does, and audio nobody commits."""

from __future__ import annotations

import asyncio

import pytest

from realtime import session as session_module
from realtime.errors import ReplyError
from realtime.speaker import Manners
from tests.client import clip, quiet

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)


class TestGreeting:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=None, greeting="Hello, how can I help?")

    async def test_it_is_said_on_connecting_and_remembered(self, connect, runtime):
        client = await connect()
        if not (greeted := client.of("response.done")):
            greeted = [await client.until("response.done")]
        said = greeted[0]["response"]["output"][0]["content"][0]["transcript"]
        assert said == "Hello, how can I help?"
        await client.say(TURN)
        await client.until("response.done")
        assert [m.role for m in runtime.replier.prompts[0]] == ["system", "assistant", "user"]


class TestFallback:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=None, fallback="Sorry, not now.")

    async def test_it_is_said_when_no_reply_can_be_begun(self, connect, runtime):
        runtime.replier.words, runtime.replier.error = (), ReplyError("the endpoint is down")
        client = await connect()
        await client.say(TURN)
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert runtime.voice.pieces == ["Sorry, not now."]
        assert client.audio()

    async def test_a_reply_that_breaks_off_keeps_what_was_said(self, connect, runtime):
        runtime.replier.error = ReplyError("stuck in the middle")
        client = await connect()
        await client.say(TURN)
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "failed"
        assert "Sorry" not in "".join(runtime.voice.pieces)
        runtime.replier.error = None
        await client.say(TURN)
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_when_nobody_speaks_the_assistant_does(connect, runtime, monkeypatch):
    client = await connect()
    await client.send(
        "session.update",
        session={"audio": {"input": {"turn_detection": {"idle_timeout_ms": 5_000}}}},
    )
    await client.until("session.updated")
    sleep = asyncio.sleep

    async def shorter(seconds: float) -> None:
        await sleep(seconds / 50)

    monkeypatch.setattr(session_module.asyncio, "sleep", shorter)
    await client.say(TURN)
    await client.until("response.done")
    triggered = await client.until("input_audio_buffer.timeout_triggered")
    assert triggered["audio_end_ms"] > triggered["audio_start_ms"] >= 0
    committed = await client.until("input_audio_buffer.committed")
    assert committed["item_id"] == triggered["item_id"]
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_audio_that_nobody_commits_is_lost_in_the_end_and_said(connect, monkeypatch):
    monkeypatch.setattr("realtime.ear.MAX_LOG_SAMPLES", 5 * 16_000)
    client = await connect()
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.say(quiet(8))
    error = (await client.until("error"))["error"]
    assert error["code"] == "input_audio_buffer_full"
    await client.send("input_audio_buffer.commit")
    await client.until("input_audio_buffer.committed")


async def test_function_calls_and_their_results_can_be_put_in(connect, runtime):
    client = await connect()
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    ids = []
    for item in (call, result):
        await client.send("conversation.item.create", item=item)
        done = (await client.until("conversation.item.done"))["item"]
        assert {k: done[k] for k in item} == item
        ids.append(done["id"])
    await client.send("conversation.item.truncate", item_id=ids[0], audio_end_ms=5)
    await client.until("conversation.item.truncated")
    await client.send("response.create")
    await client.until("response.done")
    assert "sunny" in runtime.replier.prompts[0][-1].text
    await client.send("conversation.item.create", item={"type": "function_call", "call_id": "c"})
    assert (await client.until("error"))["error"]["param"] == "item.name"
