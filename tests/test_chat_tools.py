"""Calls of functions over a chat endpoint that is scripted: what it is asked, what it streams."""

from __future__ import annotations

import asyncio

import pytest

from realtime.engines import CallPart, Delta, chat_text
from realtime.engines.chat_tools import NO_RESULT, asked, written
from realtime.engines.openai_chat import OpenAIReplier
from realtime.errors import ReplyError
from realtime.metrics import Metrics
from realtime.prompt import Message, ToolCall
from realtime.tools import CALL_TOKENS, Tool, Toolbox
from realtime.usage import Tokens
from tests.llm_endpoint import DONE, Endpoint, finish, status, stream, words

PROMPT = [Message("user", "How is it in Oslo?")]
TOOLS = (Tool("weather", "Now.", {"type": "object"}), Tool("time", "", {"type": "object"}))
BOX = Toolbox(TOOLS)
USAGE = {
    "id": "c",
    "choices": [],
    "usage": {
        "prompt_tokens": 40,
        "completion_tokens": 7,
        "total_tokens": 47,
        "prompt_tokens_details": {"cached_tokens": 32},
    },
}


@pytest.fixture
async def endpoint():
    async with Endpoint().serve() as endpoint:
        yield endpoint


@pytest.fixture
async def replier(endpoint):
    made = OpenAIReplier(base_url=endpoint.url, api_key="k", model="m")
    made.load()
    yield made
    await made.close()


async def reply(replier, prompt=PROMPT, tools=BOX) -> list[Delta]:
    return [d async for d in replier.reply(prompt, max_tokens=64, owner="a", tools=tools)]


def calls_of(deltas: list[Delta]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, put together from its parts."""
    calls: dict[int, list[str]] = {}
    for part in [d.call for d in deltas if d.call]:
        call = calls.setdefault(part.number, [part.call_id, part.name, ""])
        assert call[:2] == [part.call_id, part.name]
        call[2] += part.arguments
    assert list(calls) == list(range(len(calls)))
    return [(id_, name, arguments) for id_, name, arguments in calls.values()]


def fragment(index=0, id_=None, name=None, arguments=None):
    """A chunk with one part of a call; what is None is not in it."""
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": id_, "type": "function" if id_ else None}
    call["function"] = {k: v for k, v in function.items() if v is not None}
    return words(tool_calls=[{k: v for k, v in call.items() if v is not None}])


# --- what an endpoint is asked ------------------------------------------------------------------


async def test_functions_are_offered_as_chat_endpoints_take_them(endpoint, replier):
    await reply(replier)
    [request] = endpoint.requests
    assert request["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Now.",
                "parameters": {"type": "object"},
            },
        },
        {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}},
    ]
    assert request["tool_choice"] == "auto"
    assert "parallel_tool_calls" not in request


async def test_without_functions_a_request_says_nothing_of_them(endpoint, replier):
    await reply(replier, tools=None)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(endpoint.requests[0])


async def test_a_reply_that_may_call_has_room_for_arguments(endpoint, replier):
    for tools in (None, BOX):
        async for _ in replier.reply(PROMPT, max_tokens=4_096, owner="a", tools=tools):
            pass
    assert [r["max_tokens"] for r in endpoint.requests] == [256, 256 + CALL_TOKENS]


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_a_mode_is_passed_on(mode):
    assert asked(Toolbox(TOOLS, mode))["tool_choice"] == mode


def test_one_function_and_one_at_a_time_are_passed_on():
    body = asked(Toolbox(TOOLS, only="time", parallel=False))
    assert body["tool_choice"] == {"type": "function", "function": {"name": "time"}}
    assert body["parallel_tool_calls"] is False


CALL = ToolCall("call_1", "weather", '{"city":"Oslo"}')
OTHER = ToolCall("call_2", "time", "{}")


def wire(call: ToolCall) -> dict:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.call_id, "type": "function", "function": function}


def test_results_follow_their_calls():
    prompt = [
        Message("user", "How is it?"),
        Message("assistant", "Let me see.", calls=(CALL, OTHER)),
        Message("tool", "noon", call_id="call_2"),
        Message("tool", "rain", call_id="call_1"),
        Message("user", "Thanks."),
    ]
    assert written(prompt) == [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [wire(CALL), wire(OTHER)]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
        {"role": "user", "content": "Thanks."},
    ]


def test_a_result_that_comes_late_is_told_where_it_came():
    prompt = [
        Message("assistant", "", calls=(CALL,)),
        Message("user", "Hello?"),
        Message("tool", "rain", call_id="call_1"),
    ]
    assert written(prompt) == [
        {"role": "assistant", "content": None, "tool_calls": [wire(CALL)]},
        {"role": "tool", "tool_call_id": "call_1", "content": NO_RESULT},
        {"role": "user", "content": "Hello?"},
        {"role": "system", "content": "The function weather has answered: rain"},
    ]


def test_one_call_after_the_other_stays_so():
    prompt = [
        Message("assistant", "", calls=(CALL,)),
        Message("tool", "rain", call_id="call_1"),
        Message("assistant", "", calls=(OTHER,)),
        Message("tool", "noon", call_id="call_2"),
    ]
    assert [line["role"] for line in written(prompt)] == ["assistant", "tool"] * 2
    assert written(prompt)[0] == {"role": "assistant", "content": None, "tool_calls": [wire(CALL)]}


def test_a_call_that_nothing_answered_is_answered_so():
    assert written([Message("assistant", "", calls=(CALL,))])[1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": NO_RESULT,
    }


def test_a_result_whose_call_is_forgotten_is_told_in_words():
    assert written([Message("tool", "rain", call_id="call_9")]) == [
        {"role": "system", "content": "A function has answered: rain"}
    ]


def test_a_call_id_is_used_once():
    again = Message("assistant", "", calls=(CALL,))
    assert [line["role"] for line in written([again, again])] == ["assistant", "tool"]


def test_a_call_id_is_used_once_in_one_message_too():
    other = ToolCall("call_1", "time", "{}")
    lines = written([Message("assistant", "", calls=(CALL, OTHER, other))])
    assert [call["id"] for call in lines[0]["tool_calls"]] == ["call_1", "call_2"]
    assert [line.get("tool_call_id") for line in lines[1:]] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ("", "{}"),
        ('{"a": 1}', '{"a": 1}'),
        ("{oops", '{"arguments": "{oops"}'),
        ("[1]", '{"arguments": "[1]"}'),
        pytest.param("[" * 99_999, '{"arguments": "%s"}' % ("[" * 99_999), id="deep"),
    ],
)
def test_arguments_that_are_no_object_are_wrapped(arguments, sent):
    call = ToolCall("call_1", "f", arguments)
    line = written([Message("assistant", "", calls=(call,))])[0]
    assert line["tool_calls"][0]["function"]["arguments"] == sent


# --- what it streams ----------------------------------------------------------------------------


async def test_a_call_comes_as_it_is_written(endpoint, replier):
    endpoint.script = [
        stream(
            words("Let me see."),
            fragment(0, "call_1", "weather", ""),
            fragment(0, arguments='{"ci'),
            fragment(0, arguments='ty":"Oslo"}'),
            finish("tool_calls"),
            USAGE,
            DONE,
        )
    ]
    assert await reply(replier) == [
        Delta("Let me see."),
        Delta(call=CallPart(0, "call_1", "weather")),
        Delta(call=CallPart(0, "call_1", "weather", '{"ci')),
        Delta(call=CallPart(0, "call_1", "weather", 'ty":"Oslo"}')),
        Delta(tokens=Tokens(40, 7, 32)),
    ]


async def test_several_calls_are_numbered(endpoint, replier):
    endpoint.script = [
        stream(
            fragment(0, "call_1", "weather", '{"city":"Oslo"}'),
            fragment(1, "call_2", "time", ""),
            fragment(1, arguments="{}"),
            finish("tool_calls"),
        )
    ]
    assert calls_of(await reply(replier)) == [
        ("call_1", "weather", '{"city":"Oslo"}'),
        ("call_2", "time", "{}"),
    ]


async def test_calls_that_all_have_the_number_0_are_told_apart_by_their_ids(endpoint, replier):
    endpoint.script = [
        stream(fragment(0, "a", "weather", "{}"), fragment(0, "b", "time", "{}"), finish())
    ]
    assert calls_of(await reply(replier)) == [("a", "weather", "{}"), ("b", "time", "{}")]


async def test_calls_without_numbers_and_ids_are_told_apart_by_their_names(endpoint, replier):
    endpoint.script = [
        stream(fragment(None, None, "weather", "{}"), fragment(None, None, "time", "{}"), finish())
    ]
    (first, name, _), (second, other, _) = calls_of(await reply(replier))
    assert (name, other) == ("weather", "time")
    assert first.startswith("call_")
    assert first != second


async def test_an_id_in_every_part_is_the_same_call(endpoint, replier):
    parts = [fragment(0, "a", "time", "{"), fragment(0, "a", "time", "}")]
    endpoint.script = [stream(*parts, finish())]
    assert calls_of(await reply(replier)) == [("a", "time", "{}")]


async def test_arguments_wait_for_the_name(endpoint, replier):
    endpoint.script = [
        stream(fragment(0, "a", None, "{"), fragment(0, None, "time", "}"), finish())
    ]
    assert calls_of(await reply(replier)) == [("a", "time", "{}")]


async def test_a_call_that_goes_on_after_the_next_one_is_garbled(endpoint, replier):
    endpoint.script = [
        stream(fragment(0, "a", "time", "{"), fragment(1, "b", "time", "{"), fragment(0, None, "}"))
    ]
    with pytest.raises(ReplyError) as failure:
        await reply(replier)
    assert failure.value.code == "reply_garbled"


@pytest.mark.parametrize(
    "calls", [5, [5], [{"index": 0, "function": {"name": 5}}], [{"id": "nameless"}]]
)
async def test_nonsense_for_calls_is_garbled(endpoint, replier, calls):
    endpoint.script = [stream(words(tool_calls=calls), finish())]
    with pytest.raises(ReplyError) as failure:
        await reply(replier)
    assert failure.value.code == "reply_garbled"


async def test_a_call_that_the_length_limit_broke_off_is_marked(endpoint, replier):
    endpoint.script = [stream(fragment(0, "a", "time", '{"a'), finish("length"))]
    assert [d.cut for d in await reply(replier)] == [False, True]


async def test_an_endpoint_that_never_stops_is_stopped(endpoint, replier, monkeypatch):
    monkeypatch.setattr(chat_text, "MAX_REPLY_CHARS", 1_000)
    parts = [fragment(0, "a", "time", "")] + [fragment(0, arguments="x" * 100)] * 11
    endpoint.script = [stream(*parts)]
    with pytest.raises(ReplyError) as failure:
        await reply(replier)
    assert failure.value.code == "reply_endless"


async def test_calls_without_arguments_have_an_end_too(endpoint, replier):
    endpoint.script = [stream(*[fragment(n, f"c{n}", "time", "") for n in range(1_000)])]
    with pytest.raises(ReplyError) as failure:
        await reply(replier)
    assert failure.value.code == "reply_endless"


async def test_a_long_name_counts_once_for_a_call(endpoint, replier):
    parts = [fragment(0, arguments="x")] * 1_000
    endpoint.script = [stream(fragment(0, "a", "n" * 128, ""), *parts, finish())]
    [(_, _, arguments)] = calls_of(await reply(replier))
    assert len(arguments) == 1_000


async def test_blanks_before_the_first_word_are_left_out_between_calls_too(endpoint, replier):
    endpoint.script = [
        stream(
            words("\n"),
            fragment(0, "a", "weather", "{"),
            words("\n\n"),
            fragment(0, arguments="}"),
            words("\n"),
            fragment(1, "b", "time", "{}"),
            words("\nDone."),
            finish(),
        )
    ]
    deltas = await reply(replier)
    assert [d.text for d in deltas if d.text] == ["Done."]
    assert calls_of(deltas) == [("a", "weather", "{}"), ("b", "time", "{}")]


# --- counts -------------------------------------------------------------------------------------


async def test_an_endpoint_that_knows_no_counts_is_asked_without_from_then_on(endpoint, replier):
    refusal = {"error": {"message": "Unknown parameter: stream_options", "type": "x"}}
    endpoint.script = [status(400, refusal), stream(words("Hi."), finish())]
    assert await reply(replier) == [Delta("Hi.")]
    await reply(replier)
    assert ["stream_options" in request for request in endpoint.requests] == [True, False, False]


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": 5}, {"prompt_tokens": "5", "completion_tokens": -1}],
)
async def test_counts_that_are_none_are_left_out(endpoint, replier, usage):
    endpoint.script = [stream(words("Hi."), finish(), {"choices": [], "usage": usage}, DONE)]
    assert await reply(replier) == [Delta("Hi.")]


async def test_counts_in_the_last_chunk_count_too(endpoint, replier):
    last = {**finish(), "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    endpoint.script = [stream(words("Hi."), last, DONE)]
    assert (await reply(replier))[-1] == Delta(tokens=Tokens(5, 2))


# --- refusals -----------------------------------------------------------------------------------

OK = stream(words("Hi."), finish())


def refusing(message: str, code: int = 400):
    return status(code, {"error": {"message": message}})


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("registry.ollama.ai/library/gemma3:latest does not support tools", 400),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser', 400),
        ("tools param requires --jinja flag", 500),
        ("No endpoints found that support tool use.", 404),
        ("`tool calling` is not supported with this model", 400),
    ],
)
async def test_an_endpoint_without_functions_replies_without_them_from_then_on(
    endpoint, message, code, caplog
):
    metrics = Metrics()
    replier = OpenAIReplier(base_url=endpoint.url, api_key="k", model="m", metrics=metrics)
    replier.load()
    endpoint.script = [refusing(message, code), OK]
    for _ in range(2):
        prompt = [PROMPT[0], Message("assistant", "", calls=(CALL,))]
        assert (await reply(replier, prompt))[0] == Delta("Hi.")
    await replier.close()
    assert ["tools" in request for request in endpoint.requests] == [True, False, False]
    told = endpoint.requests[-1]["messages"][-1]
    assert told == {"role": "assistant", "content": 'I call weather({"city":"Oslo"}).'}
    assert metrics.counts["replies.tools_refused"] == 2
    assert caplog.text.count("cannot call functions") == 1


async def test_a_reply_that_must_be_a_call_fails_where_there_are_no_functions(endpoint, replier):
    endpoint.script = [refusing("m does not support tools")]
    for box in (Toolbox(TOOLS, "required"), Toolbox(TOOLS, only="time")):
        with pytest.raises(ReplyError, match=r"cannot call functions: .*tool_choice") as failure:
            await reply(replier, tools=box)
        assert failure.value.code == "reply_no_functions"
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    "message",
    [
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
        "Invalid schema for function 'time': unsupported keyword",
        "parallel_tool_calls is not supported with this model",
    ],
)
async def test_a_refusal_of_something_else_does_not_end_functions(endpoint, replier, message):
    endpoint.script = [refusing(message), OK]
    with pytest.raises(ReplyError):
        await reply(replier)
    await reply(replier)
    assert "tools" in endpoint.requests[-1]


async def test_an_endpoint_that_knows_neither_functions_nor_counts_replies(endpoint, replier):
    no_counts, no_tools = "unknown field stream_options", "m does not support function calling"
    endpoint.script = [refusing(no_counts), refusing(no_tools), OK]
    assert await reply(replier) == [Delta("Hi.")]


async def test_two_requests_that_learn_at_once_what_an_endpoint_cannot_both_succeed(
    endpoint, replier
):
    both = asyncio.Event()

    async def refuse_two(endpoint, request):
        mine = len(endpoint.requests)
        if mine == 2:
            both.set()
        await both.wait()
        answer = refusing("unknown field stream_options") if mine <= 2 else OK
        return await answer(endpoint, request)

    endpoint.script = [refuse_two]
    assert await asyncio.gather(reply(replier), reply(replier)) == [[Delta("Hi.")]] * 2
