"""The protocol's checklist, points 14 to 37: turns, responses, interruptions and items.

Over a real socket. The ears are real; what hears, writes and speaks is made for the test, but for
the points about functions, whose language model is an endpoint.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from realtime.engines import CallPart, Delta
from realtime.engines.openai_chat import OpenAIReplier
from realtime.errors import ReplyError, TranscriptionError, VoiceError
from realtime.playout import Pacing
from realtime.speaker import Manners
from realtime.usage import Tokens
from tests.client import Client, clip, quiet
from tests.llm_endpoint import DONE, Endpoint, finish, stream, words

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
SERVER = TypeAdapter(RealtimeServerEvent)
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
REST = "And then"
"""What a reply goes on with that is stopped."""


async def until_done(client: Client) -> dict[str, Any]:
    """The response that ends next."""
    response: dict[str, Any] = (await client.until("response.done"))["response"]
    return response


async def settled(client: Client) -> None:
    """Everything that was asked has been answered: events come in order."""
    await client.send("conversation.item.delete", item_id="settled")
    while (await client.until("conversation.item.deleted"))["item_id"] != "settled":
        pass


async def create_item(client: Client, *, after: str | None = None, **item: Any) -> dict[str, Any]:
    """The item as the server added it."""
    extra = {"previous_item_id": after} if after else {}
    await client.send("conversation.item.create", item=item, **extra)
    added = await client.until("conversation.item.added")
    done = await client.until("conversation.item.done")
    assert done["item"] == added["item"]
    assert done["previous_item_id"] == added["previous_item_id"]
    return added


def typed(id_: str, text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"id": id_, "type": "message", "role": role, "content": content}


async def order_of_items(client: Client) -> list[str]:
    """Ids in the order that `previous_item_id` tells."""
    order: list[str] = []
    for event in client.events:
        if event["type"] == "conversation.item.added":
            before = event["previous_item_id"]
            order.insert(order.index(before) + 1 if before else 0, event["item"]["id"])
        elif event["type"] == "conversation.item.deleted" and event["item_id"] in order:
            order.remove(event["item_id"])
    return order


def as_openai_reads(events: list[dict[str, Any]]) -> None:
    """Every event is one that OpenAI's own types know, with an id that no other has."""
    for event in events:
        assert SERVER.validate_python(event).type == event["type"]
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)


def said_to(runtime: Any, n: int = -1) -> list[str]:
    """The prompt of one reply, without the instructions."""
    return [m.text for m in runtime.replier.prompts[n][1:]]


# --- a turn -------------------------------------------------------------------------------------


async def test_14_a_turn_has_the_recorded_order_and_ids_that_agree(connect):
    client = await connect()
    begin = len(client.events)
    await client.say(TURN)
    await until_done(client)
    events = client.events[begin:]
    kinds = [e["type"] for e in events if not e["type"].endswith(".delta")]
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        COMPLETED,
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    as_openai_reads(client.events)
    user, reply = [e["item"]["id"] for e in events if e["type"] == "conversation.item.added"]
    [response] = [e["response"]["id"] for e in events if e["type"] == "response.created"]
    for event in events:
        if event["type"].startswith(("input_audio_buffer.", "conversation.item.input_audio")):
            assert event["item_id"] == user
        elif event["type"].startswith("response.") and "response" not in event:
            assert event["response_id"] == response
            assert event.get("item_id", reply) == reply
    assert isinstance(events[0]["audio_start_ms"], int)
    assert isinstance(events[1]["audio_end_ms"], int)


async def test_15_the_transcript_is_null_until_it_is_completed_and_has_a_usage(connect):
    client = await connect()
    await client.say(TURN)
    completed = await client.until(COMPLETED)
    added = client.of("conversation.item.added")[0]["item"]
    assert added["content"] == [{"type": "input_audio", "transcript": None}]
    assert added["status"] == "completed"
    assert (completed["transcript"], completed["content_index"]) == ("hello there", 0)
    assert completed["usage"]["type"] == "duration"
    assert completed["usage"]["seconds"] > 1


async def test_16_each_item_names_the_one_before_it_wherever_it_was_put(connect, runtime):
    client = await connect()
    for _ in range(3):
        await client.say(TURN)
        await until_done(client)
    chain = client.of("conversation.item.added")
    ids = [e["item"]["id"] for e in chain]
    assert [e["previous_item_id"] for e in chain] == [None, *ids[:-1]]
    commits = client.of("input_audio_buffer.committed")
    assert [e["previous_item_id"] for e in commits] == [None, ids[1], ids[3]]

    first = await create_item(client, after="root", **typed("first", "first words"))
    assert first["previous_item_id"] is None
    middle = await create_item(client, after=ids[1], **typed("middle", "middle words"))
    assert middle["previous_item_id"] == ids[1]
    await client.send("conversation.item.delete", item_id=ids[-1])
    await client.until("conversation.item.deleted")
    last = await create_item(client, **typed("last", "last words"))
    assert last["previous_item_id"] == ids[-2]

    order = ["first", *ids[:2], "middle", *ids[2:-1], "last"]
    assert await order_of_items(client) == order
    await client.send("response.create")
    await until_done(client)
    reply = "All is well, thank you. And with you?"
    hello = "hello there"
    assert said_to(runtime) == [
        *("first words", hello, reply, "middle words", hello, reply, hello, "last words")
    ]


async def test_17_words_and_audio_are_whole(connect):
    client = await connect()
    await client.say(TURN)
    response = await until_done(client)
    told = "".join(e["delta"] for e in client.of("response.output_audio_transcript.delta"))
    [done] = client.of("response.output_audio_transcript.done")
    [part] = client.of("response.content_part.done")
    [item] = client.of("response.output_item.done")
    assert told == "All is well, thank you. And with you?"
    assert told == done["transcript"] == part["part"]["transcript"]
    assert item["item"]["content"] == [{"type": "output_audio", "transcript": told}]
    assert response["output"] == [item["item"]]
    audio = [base64.b64decode(e["delta"]) for e in client.of("response.output_audio.delta")]
    assert all(len(piece) % 2 == 0 for piece in audio)
    assert len(b"".join(audio)) == 3 * 24_000 // 2 * 2


async def test_18_a_turn_without_words_is_completed_and_not_answered(connect, runtime):
    runtime.transcriber.texts = [""]
    client = await connect()
    await client.say(TURN)
    assert (await client.until(COMPLETED))["transcript"] == ""
    await settled(client)
    assert not client.of("response.created")


async def test_19_a_recogniser_that_fails_costs_the_turn_alone(connect, runtime):
    runtime.transcriber.texts = [TranscriptionError("no ears"), "hello"]
    client = await connect()
    await client.say(TURN)
    failed = await client.until(FAILED)
    assert failed["content_index"] == 0
    assert set(failed["error"]) == {"type", "code", "message"}
    [error] = client.of("error")  # which stage it was, as of any turn that fails
    assert error["error"] == {**failed["error"], "stage": "transcription"}
    await client.say(TURN)
    assert (await until_done(client))["status"] == "completed"
    assert len(client.of("error")) == 1


async def test_20_create_response_false_answers_when_it_is_asked_to(connect):
    client = await connect()
    detection = {"type": "server_vad", "create_response": False}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.say(TURN)
    await client.until(COMPLETED)
    await settled(client)
    assert not client.of("response.created")
    await client.send("response.create")
    assert (await until_done(client))["status"] == "completed"


async def test_21_without_turn_detection_the_client_says_when(connect, runtime):
    client = await connect()
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.say(TURN)
    await client.send("input_audio_buffer.commit")
    await client.send("response.create")
    assert (await until_done(client))["status"] == "completed"
    assert said_to(runtime) == ["hello there"]
    assert not [e for e in client.events if "speech_" in e["type"]]


async def test_22_a_commit_of_too_little_is_refused(connect):
    client = await connect()
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.say(quiet(0.05))
    await client.send("input_audio_buffer.commit", event_id="mine")
    error = (await client.until("error"))["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "mine"
    await client.say(TURN)
    await client.send("input_audio_buffer.commit")
    await client.until("input_audio_buffer.committed")


async def test_23_without_transcription_nothing_is_told_and_all_is_heard(connect, runtime):
    client = await connect(transcription=False)
    await client.say(TURN)
    await until_done(client)
    assert said_to(runtime) == ["hello there"]
    assert not [e for e in client.events if "transcription" in e["type"]]


# --- a response ---------------------------------------------------------------------------------


async def test_24_a_response_of_text(connect, runtime):
    client = await connect()
    await create_item(client, **typed("mine", "typed"))
    begin = len(client.events)
    await client.send("response.create", response={"output_modalities": ["text"]})
    response = await until_done(client)
    assert [e["type"] for e in client.events[begin:] if not e["type"].endswith(".delta")] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    text = "".join(e["delta"] for e in client.of("response.output_text.delta"))
    assert response["output"][0]["content"] == [{"type": "output_text", "text": text}]
    assert client.of("response.content_part.added")[0]["part"] == {"type": "text", "text": ""}
    assert client.of("response.output_text.done")[0]["text"] == text
    assert response["output_modalities"] == ["text"]
    assert runtime.voice.lines == []
    as_openai_reads(client.events)


async def test_25_metadata_comes_back_and_null_means_unset(connect, runtime):
    client = await connect()
    nothing = ("instructions", "tools", "tool_choice", "max_output_tokens", "audio", "input")
    own = {"metadata": {"mine": "yes"}, "conversation": None, **dict.fromkeys(nothing)}
    await client.send("response.create", response=own)
    created = (await client.until("response.created"))["response"]
    done = await until_done(client)
    assert created["metadata"] == done["metadata"] == {"mine": "yes"}
    assert runtime.replier.prompts[0][0].text == "be kind"


async def test_25_instructions_and_voice_and_format_are_of_one_response(connect, runtime):
    runtime.voice.voices = ("default", "ann")
    client = await connect()
    output = {"voice": "ann", "format": {"type": "audio/pcmu"}}
    own = {"instructions": "be brief", "audio": {"output": output}}
    await client.send("response.create", response=own)
    first = await until_done(client)
    assert first["audio"]["output"] == output
    assert len(client.audio(first["id"])) == 3 * 8_000 // 2
    await client.send("response.create")
    second = await until_done(client)
    assert second["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert [p[0].text for p in runtime.replier.prompts] == ["be brief", "be kind"]
    assert [line.voice for line in runtime.voice.lines] == ["ann"] * 3 + ["default"] * 3


async def test_25_what_a_response_cannot_be_is_refused_and_starts_none(connect):
    client = await connect()
    for own, param in (
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"conversation": "nonesuch"}, "response.conversation"),
        ({"tools": [{"type": "mcp"}]}, "response.tools[0].type"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "response.tool_choice.name"),
        ({"input": [{"type": "item_reference", "id": "nobody"}]}, "response.input[0].id"),
    ):
        await client.send("response.create", response=own, event_id=param)
        error = (await client.until("error"))["error"]
        assert (error["param"], error["event_id"]) == (param, param)
    assert not client.of("response.created")


async def test_26_a_second_response_is_refused_and_the_first_goes_on(connect, runtime):
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await client.send("response.create")
    first = (await client.until("response.created"))["response"]["id"]
    await client.send("response.create", event_id="again")
    error = (await client.until("error"))["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "again"
    assert first in error["message"]
    runtime.voice.gate.set()
    done = await until_done(client)
    assert (done["id"], done["status"]) == (first, "completed")


# --- functions ----------------------------------------------------------------------------------


@pytest.fixture
async def endpoint(runtime):
    """The language model of this test's server."""
    async with Endpoint().serve() as served:
        replier = OpenAIReplier(base_url=served.url, api_key="key", model="m")
        replier.load()
        runtime.replier = replier
        yield served
        await replier.close()


def calling(id_: str, name: str, *arguments: str, index: int = 0) -> list[dict[str, Any]]:
    """The chunks of one call."""
    call = {"index": index, "id": id_, "type": "function"}
    head = {**call, "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": part}} for part in arguments]
    return [words(tool_calls=[part]) for part in (head, *rest)]


def counted(prompt: int, written: int) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": written}
    return {"id": "c", "choices": [], "usage": usage}


OSLO = ('{"ci', 'ty":"Oslo"}')


async def test_27_a_call_and_its_result(connect, endpoint):
    endpoint.script = [
        stream(*calling("call_1", "weather", *OSLO), finish("tool_calls"), counted(40, 9), DONE),
        stream(words("It rains in Oslo."), finish(), counted(60, 5), DONE),
    ]
    client = await connect()
    await client.send("session.update", session={"tools": [WEATHER], "tool_choice": "required"})
    begin = len(client.events)
    await client.say(TURN)
    await client.until("response.function_call_arguments.done")
    result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    await client.send("conversation.item.create", item=result)  # before response.done is read
    response = await until_done(client)
    kinds = [e["type"] for e in client.events[begin:] if e["type"].startswith("response.")]
    item = "conversation.item"
    assert [e["type"] for e in client.events[begin:] if e["type"].startswith(("response.", item))][
        -9:
    ] == [
        "response.created",
        "response.output_item.added",
        f"{item}.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        f"{item}.done",
        "response.output_item.done",
        "response.done",
    ]
    assert kinds[0] == "response.created"

    [begun] = client.of("response.output_item.added")
    call = {
        "id": begun["item"]["id"],
        "type": "function_call",
        "status": "in_progress",
        "name": "weather",
        "call_id": "call_1",
        "arguments": "",
    }
    assert begun["item"] == call
    assert client.of("conversation.item.added")[1]["item"] == call
    [whole] = client.of("response.function_call_arguments.done")
    assert (whole["name"], whole["call_id"]) == ("weather", "call_1")
    assert whole["arguments"] == '{"city":"Oslo"}'
    told = "".join(e["delta"] for e in client.of("response.function_call_arguments.delta"))
    assert told == whole["arguments"]
    assert response["output"] == [{**call, "status": "completed", "arguments": '{"city":"Oslo"}'}]
    assert response["status"] == "completed"
    assert response["usage"]["output_token_details"] == {"text_tokens": 9, "audio_tokens": 0}

    await client.send("response.create")
    assert (await until_done(client))["usage"]["input_tokens"] == 60
    assert client.of("response.output_audio_transcript.done")[0]["transcript"] == (
        "It rains in Oslo."
    )
    first, second = endpoint.requests
    assert first["tool_choice"] == "required"
    assert [t["function"]["name"] for t in first["tools"]] == ["weather"]
    assert second["messages"][1:] == [
        {"role": "user", "content": "hello there"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    as_openai_reads(client.events)
    assert not client.of("error")


async def test_27_words_before_several_calls_are_spoken_first(connect, endpoint, runtime):
    endpoint.script = [
        stream(
            words("Let me see. "),
            *calling("call_1", "weather", *OSLO),
            *calling("call_2", "weather", "{}", index=1),
            finish("tool_calls"),
        )
    ]
    client = await connect()
    await client.send("session.update", session={"tools": [WEATHER]})
    await client.say(TURN)
    response = await until_done(client)
    assert runtime.voice.pieces == ["Let me see."]
    assert [i["type"] for i in response["output"]] == ["message", "function_call", "function_call"]
    assert [i["status"] for i in response["output"]] == ["completed"] * 3
    order = [
        (e["type"].rpartition(".")[2], e["output_index"])
        for e in client.events
        if e["type"].startswith("response.output_item.")
    ]
    assert order == [(kind, n) for n in range(3) for kind in ("added", "done")]
    written = [e["delta"] for e in client.of("response.function_call_arguments.delta")]
    assert written == ['{"city":"Oslo"}', "{}"]
    for event in client.events:
        if event["type"].startswith("response.") and "item_id" in event:
            assert response["output"][event["output_index"]]["id"] == event["item_id"]
    chain = client.of("conversation.item.added")
    assert [e["previous_item_id"] for e in chain[1:]] == [e["item"]["id"] for e in chain[:-1]]
    as_openai_reads(client.events)


async def test_27_a_response_has_functions_of_its_own(connect, endpoint):
    client = await connect()
    await client.send("session.update", session={"tools": [WEATHER]})
    own = {
        "tools": [{**WEATHER, "name": "tides"}, WEATHER],
        "tool_choice": {"type": "function", "name": "tides"},
        "parallel_tool_calls": False,
        "output_modalities": ["text"],
    }
    await client.send("response.create", response=own)
    await until_done(client)
    await client.send("response.create", response={"tools": []})
    await until_done(client)
    await client.send("response.create")
    await until_done(client)
    first, second, third = endpoint.requests
    assert [t["function"]["name"] for t in first["tools"]] == ["tides", "weather"]
    assert first["tool_choice"] == {"type": "function", "function": {"name": "tides"}}
    assert first["parallel_tool_calls"] is False
    assert "tools" not in second
    assert [t["function"]["name"] for t in third["tools"]] == ["weather"]
    assert third["tool_choice"] == "auto"


async def test_27_a_call_without_arguments_has_an_empty_object(connect, endpoint):
    endpoint.script = [stream(*calling("call_1", "weather"), finish("tool_calls"))]
    client = await connect()
    await client.send("response.create", response={"tools": [WEATHER]})
    assert (await until_done(client))["output"][0]["arguments"] == "{}"


async def test_27_a_call_whose_id_was_used_before_gets_another(connect, endpoint):
    endpoint.script = [stream(*calling("call_0", "weather", *OSLO), finish("tool_calls"))]
    client = await connect()
    ids = []
    for _ in range(2):
        await client.send("response.create", response={"tools": [WEATHER]})
        ids.append((await until_done(client))["output"][0]["call_id"])
    assert ids[0] == "call_0"
    assert ids[1].startswith("call_")
    assert ids[0] != ids[1]


async def test_27_a_replier_without_functions_reads_of_them_in_words(connect, runtime):
    runtime.replier.calls_functions = False
    client = await connect()
    await client.send("response.create", response={"tools": [WEATHER]})
    assert (await until_done(client))["status"] == "completed"
    assert runtime.replier.toolboxes == [None]


async def test_27_speech_over_a_call_that_is_being_written_ends_it(connect, runtime):
    runtime.replier.words = ()
    part = CallPart(0, "call_1", "weather", '{"ci')
    stuck = asyncio.Event()

    async def reply(prompt: Any, **_: Any) -> Any:
        runtime.replier.prompts.append(list(prompt))
        yield Delta(call=part)
        await stuck.wait()

    usual, runtime.replier.reply = runtime.replier.reply, reply
    client = await connect()
    await client.send("response.create", response={"tools": [WEATHER]})
    await client.until("response.function_call_arguments.delta")
    await client.send("response.cancel")
    response = await until_done(client)
    assert [i["status"] for i in response["output"]] == ["incomplete"]
    assert not client.of("response.function_call_arguments.done")
    runtime.replier.reply = usual
    await client.send("response.create")
    await until_done(client)
    assert not any(m.calls for m in runtime.replier.prompts[-1])


# --- how a response ends ------------------------------------------------------------------------


async def test_28_a_limit_makes_a_response_incomplete(connect, runtime):
    runtime.replier.cut = True
    client = await connect()
    await client.send("response.create", response={"max_output_tokens": 8})
    response = await until_done(client)
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["max_output_tokens"] == 8
    assert response["output"][0]["status"] == "incomplete"


async def test_28_a_call_that_a_limit_broke_off_is_not_to_be_made(connect, endpoint):
    endpoint.script = [stream(*calling("call_1", "weather", '{"ci'), finish("length"))]
    client = await connect()
    await client.send("response.create", response={"tools": [WEATHER]})
    response = await until_done(client)
    assert response["status_details"]["reason"] == "max_output_tokens"
    assert response["output"][0]["status"] == "incomplete"
    assert client.of("response.output_item.done")[0]["item"]["status"] == "incomplete"
    assert not client.of("response.function_call_arguments.done")


@pytest.mark.parametrize("stage", ["reply", "voice", "bug"])
async def test_29_what_fails_ends_its_response_once(connect, runtime, stage):
    if stage == "voice":
        runtime.voice.error = VoiceError("hoarse")
    else:
        runtime.replier.error = ReplyError("no words") if stage == "reply" else KeyError("secret")
    client = await connect()
    await client.send("response.create")
    response = await until_done(client)
    assert response["status"] == "failed"
    details = response["status_details"]
    assert details["type"] == "failed"
    assert set(details["error"]) == {"type", "code", "message"}
    assert all(isinstance(text, str) for text in details["error"].values())
    assert "secret" not in str(response)
    runtime.voice.error = runtime.replier.error = None
    await client.send("response.create")
    assert (await until_done(client))["status"] == "completed"
    created = [e["response"]["id"] for e in client.of("response.created")]
    assert [e["response"]["id"] for e in client.of("response.done")] == created
    as_openai_reads(client.events)


async def test_29_every_response_has_a_usage(connect, runtime):
    client = await connect()
    await client.send("response.create")
    usage = (await until_done(client))["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_token_details"] == {"text_tokens": 10, "audio_tokens": 30}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    runtime.replier.deltas = [Delta(tokens=Tokens(41, 12, 8))]
    await client.send("response.create")
    usage = (await until_done(client))["usage"]
    assert usage["input_token_details"]["text_tokens"] == 41
    assert usage["input_token_details"]["cached_tokens"] == 8
    assert usage["output_tokens"] == 12 + 30


async def test_30_a_response_of_its_own_input_leaves_no_trace(connect, runtime):
    client = await connect()
    await create_item(client, **typed("one", "first"))
    await create_item(client, **typed("two", "second"))
    added = len(client.of("conversation.item.added"))
    own = {
        "conversation": "none",
        "output_modalities": ["text"],
        "metadata": {"topic": "aside"},
        "input": [{"type": "item_reference", "id": "two"}, typed("mine", "and this")],
    }
    await client.send("response.create", response=own)
    response = await until_done(client)
    assert response["metadata"] == {"topic": "aside"}
    assert response["conversation_id"] is None
    assert response["output"][0]["content"][0]["text"].startswith("All is well")
    assert said_to(runtime) == ["second", "and this"]
    assert len(client.of("conversation.item.added")) == added
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == ["first", "second"]
    as_openai_reads(client.events)


async def test_30_a_response_aside_leaves_the_turn_to_be_answered(connect, runtime):
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await client.say(TURN)
    await client.until("input_audio_buffer.committed")
    await client.send("response.create", response={"conversation": "none"})
    await client.until("response.created")
    runtime.transcriber.gate.set()
    assert (await until_done(client))["conversation_id"] is None
    assert (await until_done(client))["conversation_id"] is not None
    assert said_to(runtime) == ["hello there"]


async def test_30_an_empty_input_is_no_history_and_the_answer_is_kept(connect, runtime):
    client = await connect()
    await create_item(client, **typed("one", "first"))
    await client.send("response.create", response={"input": []})
    await until_done(client)
    assert said_to(runtime) == []
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == ["first", "All is well, thank you. And with you?"]


# --- interruption -------------------------------------------------------------------------------


async def test_31_speech_over_a_response_ends_it_and_nothing_of_it_follows(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await client.say(TURN)
    await client.until("response.output_audio.delta")
    await asyncio.wait_for(runtime.replier.stalled.wait(), 10)
    begin = len(client.events)
    runtime.replier.stall_after = None
    await client.say(TURN)
    response = await until_done(client)
    assert [e["type"] for e in client.events[begin:] if not e["type"].endswith(".delta")] == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    ended = len(client.events)
    assert (await until_done(client))["status"] == "completed"
    assert all(e.get("response_id") != response["id"] for e in client.events[ended:])
    as_openai_reads(client.events)


async def test_32_interrupt_response_false_keeps_speaking(connect, runtime):
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    detection = {"type": "server_vad", "interrupt_response": False}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.say(TURN)
    await client.until("response.created")
    await client.say(TURN)
    await client.until(COMPLETED)
    runtime.voice.gate.set()
    assert [(await until_done(client))["status"] for _ in range(2)] == ["completed"] * 2


async def test_33_a_response_is_cancelled_by_the_client(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await client.send("response.cancel", event_id="idle")
    error = (await client.until("error"))["error"]
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")
    assert error["event_id"] == "idle"

    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await client.send("response.cancel", response_id="resp_of_before")
    assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
    await client.send("response.cancel")
    response = await until_done(client)
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    as_openai_reads(client.events)


async def test_34_truncate_is_always_followed_and_the_next_prompt_has_what_was_heard(
    connect, runtime
):
    client = await connect()
    await client.say(TURN)
    item = (await until_done(client))["output"][0]["id"]
    for heard_ms, kept in (
        (90_000, "All is well, thank you. And with you?"),
        (750, "All is well,"),
        (750.5, "All is well,"),
        (-5, ""),
        (0, ""),
        (1_000, "All is well, thank you."),
    ):
        place = {"content_index": 0, "audio_end_ms": heard_ms}
        await client.send("conversation.item.truncate", item_id=item, **place)
        truncated = await client.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] == max(0, int(heard_ms))
        await client.send("conversation.item.retrieve", item_id=item)
        content = (await client.until("conversation.item.retrieved"))["item"]["content"]
        assert content == [{"type": "output_audio", "transcript": kept}]
    user = client.of("conversation.item.added")[0]["item"]["id"]
    for other in (user, "nobody"):
        await client.send("conversation.item.truncate", item_id=other, **place)
        assert (await client.until("conversation.item.truncated"))["item_id"] == other
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == ["hello there", "All is well, thank you."]
    assert not client.of("error")
    as_openai_reads(client.events)


async def test_34_truncate_while_the_response_goes_on(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await client.send("response.create")
    place = await client.until("response.output_audio.delta")
    heard = {"content_index": 0, "audio_end_ms": 100}
    await client.send("conversation.item.truncate", item_id=place["item_id"], **heard)
    await client.until("conversation.item.truncated")
    await client.send("response.cancel")
    assert (await until_done(client))["status"] == "cancelled"
    assert not client.of("error")


class TestWhilePlaying:
    """Audio is sent far ahead of its playback, as by a server that does not pace."""

    @pytest.fixture
    def manners(self):
        return Manners(pacing=Pacing(at_once_s=60, ahead_s=60))

    async def test_35_speech_over_what_is_only_played_cancels_nothing(self, connect, runtime):
        runtime.voice.seconds = 20
        client = await connect()
        await client.say(TURN)
        item = (await until_done(client))["output"][0]["id"]
        begin = len(client.events)
        await client.say(quiet(0.3) + clip("ls_6930_0000"))
        await client.until("input_audio_buffer.speech_started")
        heard = {"content_index": 0, "audio_end_ms": 20_000}
        await client.send("conversation.item.truncate", item_id=item, **heard)
        await client.until("conversation.item.truncated")
        await client.say(quiet(1))
        assert (await until_done(client))["status"] == "completed"
        assert said_to(runtime) == ["hello there", "All is well,", "hello there"]
        done = [e["response"]["status"] for e in client.events[begin:] if "response" in e]
        assert done == ["in_progress", "completed"]
        assert not client.of("error")


# --- items --------------------------------------------------------------------------------------

MADE = {
    "system": typed("a", "Be brief.", "system"),
    "user": typed("b", "Hello.", "user"),
    "assistant": typed("c", "Hello to you.", "assistant"),
    "function_call": {
        "id": "d",
        "type": "function_call",
        "call_id": "call_1",
        "name": "weather",
        "arguments": "{}",
    },
    "function_call_output": {
        "id": "e",
        "type": "function_call_output",
        "call_id": "call_1",
        "output": "rain",
    },
}


@pytest.mark.parametrize("kind", MADE)
async def test_36_every_kind_of_item_is_made_read_and_deleted(connect, kind):
    item = MADE[kind]
    kept = item if kind == "function_call_output" else {**item, "status": "completed"}
    client = await connect()
    assert (await create_item(client, **item))["item"] == kept
    await client.send("conversation.item.retrieve", item_id=item["id"])
    assert (await client.until("conversation.item.retrieved"))["item"] == kept
    await client.send("conversation.item.delete", item_id=item["id"])
    assert (await client.until("conversation.item.deleted"))["item_id"] == item["id"]
    await client.send("conversation.item.retrieve", item_id=item["id"], event_id="rci_gone")
    error = (await client.until("error"))["error"]
    assert error["code"] == "item_retrieve_invalid_item_id"
    assert error["event_id"] == "rci_gone"
    as_openai_reads(client.events)


async def test_36_a_deleted_item_is_in_no_prompt_and_an_unknown_one_is_no_error(connect, runtime):
    client = await connect()
    for item in MADE.values():
        await create_item(client, **item)
    for id_ in ("b", "d", "nobody"):
        await client.send("conversation.item.delete", item_id=id_)
        assert (await client.until("conversation.item.deleted"))["item_id"] == id_
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == ["Be brief.", "Hello to you.", "rain"]
    assert not client.of("error")


async def test_36_an_id_that_is_taken_and_a_place_that_is_not_there_have_codes(connect):
    client = await connect()
    await create_item(client, **typed("mine", "one"))
    again = typed("mine", "two")
    await client.send("conversation.item.create", item=again, event_id="e1")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("item_create_duplicate_item_id", "e1")
    nowhere = {"previous_item_id": "nobody", "item": typed("other", "three")}
    await client.send("conversation.item.create", **nowhere)
    error = (await client.until("error"))["error"]
    assert (error["code"], error["param"]) == ("item_not_found", "previous_item_id")


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"role": "assistant", "content": [{"type": "input_text", "text": "Hi."}]}, "Hi."),
        ({"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}, "Hi."),
        ({"role": "assistant", "content": [{"type": "output_audio", "transcript": "H"}]}, "H"),
        ({"role": "user", "content": [{"type": "input_audio", "transcript": "Hi."}]}, "Hi."),
        ({"role": "user", "content": "Hi."}, "Hi."),
        ({"role": "developer", "content": [{"type": "input_text", "text": "Hi."}]}, "Hi."),
        (
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": "data:,"},
                ],
            },
            "Look. (Here was a picture, which cannot be seen.)",
        ),
    ],
)
async def test_36_what_clients_write_for_a_message_is_understood(connect, runtime, item, told):
    client = await connect()
    made = (await create_item(client, type="message", **item))["item"]
    assert made["id"].startswith("item_")
    await client.send("response.create")
    await until_done(client)
    assert said_to(runtime) == [told]
    as_openai_reads(client.events)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "mystery"}, "item.type"),
        ({"type": "message", "role": "boss"}, "item.role"),
        ({"type": "function_call", "call_id": "c"}, "item.name"),
        ({"type": "function_call", "call_id": "", "name": "f"}, "item.call_id"),
        ({"type": "function_call", "call_id": "c", "name": ""}, "item.name"),
        ({"type": "function_call", "call_id": "c", "name": "what is it"}, "item.name"),
        ({"type": "function_call_output", "call_id": "", "output": ""}, "item.call_id"),
        ({"type": "function_call_output", "output": ""}, "item.call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "item.output"),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_file"}]},
            "item.content[0].type",
        ),
        (
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_audio", "audio": "AAAA"}],
            },
            "item.content[0].transcript",
        ),
    ],
)
async def test_36_an_item_that_means_nothing_names_the_field(connect, item, param):
    client = await connect()
    await client.send("conversation.item.create", item=item, event_id="e1")
    error = (await client.until("error"))["error"]
    assert (error["param"], error["event_id"]) == (param, "e1")
    assert not client.of("conversation.item.added")


async def test_36_no_event_is_as_large_as_a_mebibyte(connect):
    """A widespread client's library closes the socket at that; a character takes up to 4 bytes."""
    client = await connect()
    faces = "\N{GRINNING FACE}"
    for count, answer in ((60_000, "conversation.item.done"), (70_000, "error")):
        item = typed(f"of_{count}", faces * count)
        message = {"type": "conversation.item.create", "item": item}
        await client.socket.send_str(json.dumps(message, ensure_ascii=False))
        event = await client.until(answer)
        assert len(json.dumps(event, ensure_ascii=False).encode()) < 1024 * 1024
    assert event["error"]["code"] == "message_too_large"


async def test_37_clear_forgets_a_turn_in_the_middle_of_it(connect, runtime):
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000"))
    await client.until("input_audio_buffer.speech_started")
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await client.say(quiet(2))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    assert not client.of("input_audio_buffer.committed")
    await client.say(TURN)
    assert (await until_done(client))["status"] == "completed"
    assert len(runtime.transcriber.heard) == 1
    assert not client.of("error")
