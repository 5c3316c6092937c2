"""What happens to an item while it is being made: cut, deleted, broken off, interleaved."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from realtime.engines import CallPart, Delta
from realtime.engines.openai_chat import OpenAIReplier
from realtime.playout import Pacing
from realtime.speaker import Manners
from tests.client import Client, clip, quiet
from tests.invariants import check_events
from tests.llm_endpoint import Endpoint, finish, stream, words
from tests.test_checklist_turns import (
    COMPLETED,
    OSLO,
    TURN,
    WEATHER,
    as_openai_reads,
    calling,
    create_item,
    said_to,
    settled,
    typed,
    until_done,
)


@pytest.fixture
async def endpoint(runtime):
    async with Endpoint().serve() as served:
        replier = OpenAIReplier(base_url=served.url, api_key="key", model="m")
        replier.load()
        runtime.replier = replier
        yield served
        await replier.close()


def two_halves(runtime: Any) -> asyncio.Event:
    """The replier says a sentence, and another one when the event is set."""
    goes_on, usual = asyncio.Event(), runtime.replier.reply

    async def reply(prompt: Any, **_: Any) -> Any:
        runtime.replier.prompts.append(list(prompt))
        yield Delta("All is well, thank you. ")
        yield Delta("And ")
        await goes_on.wait()
        runtime.replier.reply = usual
        yield Delta("with you? Fine.")

    runtime.replier.reply = reply
    return goes_on


async def item_of(client: Client, id_: str) -> dict[str, Any]:
    await client.send("conversation.item.retrieve", item_id=id_)
    item: dict[str, Any] = (await client.until("conversation.item.retrieved"))["item"]
    return item


# --- truncated and deleted ----------------------------------------------------------------------


async def test_34_what_was_cut_stays_cut_while_the_response_goes_on(connect, runtime):
    goes_on = two_halves(runtime)
    client = await connect()
    await client.send("response.create")
    place = await client.until("response.output_audio.delta")
    cut = {"item_id": place["item_id"], "content_index": 0, "audio_end_ms": 0}
    await client.send("conversation.item.truncate", **cut)
    await client.until("conversation.item.truncated")
    goes_on.set()
    response = await until_done(client)
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": ""}]
    [done] = client.of("response.output_audio_transcript.done")
    assert done["transcript"] == ""
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == []


class TestPaced:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=Pacing(at_once_s=60, ahead_s=60))

    async def test_34_an_interruption_brings_nothing_back(self, connect, runtime):
        goes_on = two_halves(runtime)
        runtime.voice.seconds = 5.0
        client = await connect()
        await client.send("response.create")
        place = await client.until("response.output_audio.delta")
        cut = {"item_id": place["item_id"], "content_index": 0, "audio_end_ms": 0}
        await client.send("conversation.item.truncate", **cut)
        await client.until("conversation.item.truncated")
        goes_on.set()
        await until_done(client)
        await client.say(TURN)
        await until_done(client)
        assert said_to(runtime) == ["hello there"]


async def test_36_an_item_deleted_while_it_is_made_stays_deleted(connect, runtime):
    goes_on = two_halves(runtime)
    client = await connect()
    await create_item(client, **typed("one", "x"))
    await client.send("response.create")
    place = await client.until("response.output_audio.delta")
    await client.send("conversation.item.delete", item_id=place["item_id"])
    await client.until("conversation.item.deleted")
    begin = len(client.events)
    goes_on.set()
    assert (await until_done(client))["output"][0]["id"] == place["item_id"]
    kinds = client.types()
    assert "conversation.item.done" not in [e["type"] for e in client.events[begin:]]
    assert "response.output_item.done" in kinds
    assert (await create_item(client, **typed("two", "y")))["previous_item_id"] == "one"
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == ["x", "y"]


async def test_36_a_finished_item_names_the_one_that_is_before_it_now(connect, runtime):
    goes_on = two_halves(runtime)
    client = await connect()
    for id_ in ("one", "two"):
        await create_item(client, **typed(id_, "x"))
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await client.send("conversation.item.delete", item_id="two")
    goes_on.set()
    done = await client.until("conversation.item.done")
    assert done["previous_item_id"] == "one"


async def test_37_clear_ends_the_speech_that_it_forgets_once(connect):
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000"))
    started = await client.until("input_audio_buffer.speech_started")
    for _ in range(2):
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
    [stopped] = client.of("input_audio_buffer.speech_stopped")
    assert stopped["item_id"] == started["item_id"]
    kinds = client.types()
    assert kinds.index(stopped["type"]) < kinds.index("input_audio_buffer.cleared")
    await client.say(TURN)
    await until_done(client)
    check_events(client.events)


# --- calls --------------------------------------------------------------------------------------


async def test_31_a_question_whose_call_was_broken_off_is_still_open(connect, runtime):
    """A cough while the call is written: the function never ran, so nothing was answered."""
    runtime.transcriber.texts = ["what is the weather", ""]
    usual = runtime.replier.reply

    async def reply(prompt: Any, **_: Any) -> Any:
        yield Delta(call=CallPart(0, "call_1", "weather", '{"ci'))
        await asyncio.Event().wait()

    runtime.replier.reply = reply
    client = await connect()
    await client.send("session.update", session={"tools": [WEATHER]})
    await client.say(TURN)
    await client.until("response.function_call_arguments.delta")
    runtime.replier.reply = usual
    await client.say(TURN)
    assert (await until_done(client))["status"] == "cancelled"
    assert (await until_done(client))["status"] == "completed"
    assert said_to(runtime) == ["what is the weather"]
    assert [e["transcript"] for e in client.of(COMPLETED)] == ["what is the weather", ""]


async def test_31_a_call_that_was_made_is_an_answer(connect, runtime):
    runtime.transcriber.texts = ["what is the weather", ""]

    async def reply(prompt: Any, **_: Any) -> Any:
        yield Delta(call=CallPart(0, "call_1", "weather", "{}"))
        yield Delta(call=CallPart(1, "call_2", "weather", '{"ci'))
        await asyncio.Event().wait()

    runtime.replier.reply = reply
    client = await connect()
    await client.send("session.update", session={"tools": [WEATHER]})
    await client.say(TURN)
    await client.until("response.function_call_arguments.done")
    await client.say(TURN)
    assert (await until_done(client))["status"] == "cancelled"
    while (await client.until(COMPLETED))["transcript"]:
        pass
    await settled(client)
    assert len(client.of("response.created")) == 1


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("between", ["\n", "One moment. "])
async def test_27_words_in_the_middle_of_a_call_do_not_break_it(
    connect, endpoint, modality, between
):
    head, first, rest = calling("call_1", "weather", *OSLO)
    endpoint.script = [stream(head, first, words(between), rest, finish("tool_calls"))]
    client = await connect()
    own = {"tools": [WEATHER], "output_modalities": [modality]}
    await client.send("response.create", response=own)
    response = await until_done(client)
    assert response["status"] == "completed"
    call, *messages = response["output"]
    assert (call["call_id"], call["arguments"]) == ("call_1", '{"city":"Oslo"}')
    assert {i["status"] for i in response["output"]} == {"completed"}
    assert len(client.of("response.function_call_arguments.done")) == 1
    said = [part.get("text") or part.get("transcript") for m in messages for part in m["content"]]
    assert [text.strip() for text in said] == ([between.strip()] if between.strip() else [])
    as_openai_reads(client.events)


async def test_27_a_call_that_is_whole_ends_before_the_words_after_it(connect, endpoint):
    endpoint.script = [
        stream(
            *calling("call_1", "weather", *OSLO),
            words("One moment. "),
            *calling("call_2", "weather", "{}", index=1),
            finish("tool_calls"),
        )
    ]
    client = await connect()
    await client.send("response.create", response={"tools": [WEATHER]})
    response = await until_done(client)
    assert [i["type"] for i in response["output"]] == ["function_call", "message", "function_call"]
    kinds = client.types()
    done = kinds.index("response.function_call_arguments.done")
    assert done < kinds.index("response.content_part.added")
    as_openai_reads(client.events)


async def test_25_instructions_of_one_response_do_not_shorten_the_next_prompt(connect, runtime):
    runtime.replier.prompt_tokens = 2_000
    client = await connect()
    for n in range(5):
        await create_item(client, **typed(f"u{n}", f"fact {n} " * 80))
    await client.send("response.create", response={"instructions": "x" * 5_000})
    await until_done(client)
    assert len(said_to(runtime)) < 5
    await client.send("response.create")
    await until_done(client)
    assert len(said_to(runtime)) == 6


async def test_27_functions_of_any_size_leave_room_for_the_question(connect, endpoint, server):
    endpoint.script = [stream(words("ok."), finish())]
    client = await connect()
    tools = [{**WEATHER, "name": f"t{n}", "description": "d" * 1_000} for n in range(40)]
    for id_, text in (("one", "It rains."), ("two", "And tomorrow?")):
        await create_item(client, **typed(id_, text))
    await client.send("response.create", response={"tools": tools})
    await until_done(client)
    read = [m["content"] for m in endpoint.requests[-1]["messages"]]
    assert read[1:] == ["It rains.", "And tomorrow?"]
    async with aiohttp.ClientSession() as http, http.get(server.make_url("/status")) as answer:
        assert "replies.tools_too_large" in await answer.text()
