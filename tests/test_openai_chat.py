"""Replies over HTTP: from a real llama.cpp server, and from an endpoint that fails on cue."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import aclosing

import aiohttp
import pytest
import xllamacpp
from aiohttp.test_utils import unused_port

from realtime.engines import Delta, chat_refusals, openai_chat
from realtime.engines.openai_chat import OpenAIReplier
from realtime.errors import ReplyError, SettingsError
from realtime.prompt import Message
from tests.llm_endpoint import (
    DONE,
    Endpoint,
    cut,
    finish,
    hang_up,
    nothing,
    status,
    stream,
    stuck,
    words,
)

KEY = "sk-nobody-may-read-this"
PROMPT = [Message("system", "Be kind."), Message("user", "How is it?")]
OK = stream(words("All "), words("is well."), finish(), DONE)


@pytest.fixture
async def endpoint():
    async with Endpoint().serve() as endpoint:
        yield endpoint


@pytest.fixture
async def replier_for():
    """Repliers with limits that no test waits for, unless it sets its own."""
    made = []

    def make(url: str, **values) -> OpenAIReplier:
        made.append(OpenAIReplier(**{"base_url": url, "api_key": KEY, "model": "m", **values}))
        made[-1].load()
        return made[-1]

    yield make
    for replier in made:
        await replier.close()


@pytest.fixture
def replier(endpoint, replier_for):
    return replier_for(endpoint.url)


async def reply(engine: OpenAIReplier, prompt=PROMPT, *, max_tokens=64) -> list[Delta]:
    return [d async for d in engine.reply(prompt, max_tokens=max_tokens, owner="a")]


async def said(engine: OpenAIReplier) -> str:
    return "".join(d.text for d in await reply(engine))


async def failed(engine: OpenAIReplier, prompt=PROMPT) -> tuple[str, str]:
    """The words that came before the reply failed, and the code that it failed with."""
    heard = []

    async def listen() -> None:
        async for delta in engine.reply(prompt, max_tokens=64, owner="a"):
            heard.append(delta.text)

    with pytest.raises(ReplyError) as failure:
        await listen()
    assert KEY not in str(failure.value)
    return "".join(heard), failure.value.code


# --- a real server ------------------------------------------------------------------------------


class Llama:
    """llama.cpp's own server on a loopback port: two slots of 512 tokens, and one thread, since two
    wait for each other for seconds where something else wants the cores."""

    def __init__(self, path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = 2 * 512, 2
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = 1, 0
        self.key = secrets.token_urlsafe(32)
        params.api_keys, params.verbosity, params.ui = [self.key], 0, False
        params.hostnames, params.port = ["127.0.0.1"], 0
        self._server = xllamacpp.Server(params)
        self.url = self._server.listening_address

    async def busy_slots(self) -> int:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as http,
            http.get("/slots") as answer,
        ):
            return sum(slot["is_processing"] for slot in await answer.json())

    async def idle(self) -> bool:
        """Whether all slots are free within 2 s; a long story takes far longer."""
        for _ in range(100):
            if not await self.busy_slots():
                return True
            await asyncio.sleep(0.02)
        return False


@pytest.fixture(scope="module")
def llama(models):
    return Llama(models["llm"])


@pytest.fixture
def storyteller(llama, replier_for):
    return replier_for(
        f"{llama.url}/v1",
        api_key=llama.key,
        first_token_timeout_s=60,
        stall_timeout_s=60,
        context_tokens=512,
        reply_tokens=440,
    )


STORY = [Message("user", "Tell me a very long story about a ship, with many chapters.")]


async def test_a_real_server_streams_its_reply(storyteller):
    await storyteller.warm()
    deltas = await reply(storyteller, STORY, max_tokens=24)
    assert len(deltas) > 10
    assert len("".join(d.text for d in deltas).split()) > 5


async def test_a_real_server_cuts_at_the_length_limit(storyteller):
    deltas = await reply(storyteller, STORY, max_tokens=6)
    assert [d.cut for d in deltas[-2:]] == [True, False]
    assert not any(d.cut for d in deltas[:-2])
    assert deltas[-1].tokens is not None
    assert deltas[-1].tokens.written == 6


async def test_closing_a_reply_frees_the_real_servers_slot(storyteller, llama):
    async with aclosing(storyteller.reply(STORY, max_tokens=440, owner="a")) as deltas:
        await anext(deltas)
        assert await llama.busy_slots() == 1
    assert await llama.idle()


async def test_cancelling_a_task_that_waits_for_a_word_frees_the_real_servers_slot(
    storyteller, llama
):
    begun = asyncio.Event()

    async def listen() -> None:
        async for _ in storyteller.reply(STORY, max_tokens=440, owner="a"):
            begun.set()

    task = asyncio.create_task(listen())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await llama.idle()


async def test_a_prompt_too_long_for_a_real_server_is_shortened_and_answered(storyteller):
    prompt = [Message("system", "Be kind.")]
    prompt += [Message("user", "one two three four five " * 15) for _ in range(10)]
    assert await reply(storyteller, prompt, max_tokens=4)


async def test_a_real_server_refuses_a_wrong_key(llama, replier_for):
    assert await failed(replier_for(f"{llama.url}/v1")) == ("", "reply_refused")


# --- a reply ------------------------------------------------------------------------------------


async def test_a_request_says_what_is_wanted(endpoint, replier):
    assert await reply(replier) == [Delta("All is well.")]
    assert endpoint.requests == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "How is it?"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 64,
        }
    ]
    assert endpoint.keys == [f"Bearer {KEY}"]


async def test_a_reply_has_its_room_in_the_context(endpoint, replier_for):
    replier = replier_for(endpoint.url, context_tokens=1_000, reply_tokens=100)
    assert replier.prompt_tokens == 900
    await reply(replier, max_tokens=512)
    assert endpoint.requests[0]["max_tokens"] == 100


async def test_one_connection_serves_one_reply_after_the_other(endpoint, replier):
    endpoint.script = [OK]
    assert [await said(replier) for _ in range(3)] == ["All is well."] * 3
    assert len(set(endpoint.callers)) == 1


async def test_an_endpoint_that_does_not_end_its_stream_delays_nobody(
    endpoint, replier, monkeypatch
):
    monkeypatch.setattr(openai_chat, "TAIL_S", 0.05)
    endpoint.script = [stream(words("Hello."), finish(), stuck)]
    assert await said(replier) == "Hello."
    await endpoint.hung_up.wait()


async def test_chunks_without_text_are_passed_over(endpoint, replier):
    usage = {"id": "c", "choices": [], "usage": {"total_tokens": 3}}
    role, null = words(role="assistant"), words(content=None)
    endpoint.script = [
        stream(b": ping\n\n", usage, role, null, words("Hi."), finish(), usage, DONE)
    ]
    assert await reply(replier) == [Delta("Hi.")]


async def test_the_length_limit_marks_the_end(endpoint, replier):
    endpoint.script = [stream(words("All is"), finish("length"), DONE)]
    assert await reply(replier) == [Delta("All is"), Delta("", cut=True)]


async def test_an_endpoint_without_keys_is_asked_without_one(endpoint, replier_for):
    assert await said(replier_for(endpoint.url, api_key="")) == "All is well."


# --- thoughts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("<think>Hm. 1 < 2, <b>so</b>…</think>\n\nAll is well.", "All is well."),
        ("All <think>Hm.</think>is <think></think>well.", "All is well."),
        ("<think>Never mind", ""),
        ("1 < 2 and <b> is <thin", "1 < 2 and <b> is <thin"),
        ("<<think>Hm.</think>", "<"),
    ],
)
async def test_thoughts_in_the_text_are_not_spoken(endpoint, replier, written, spoken, size):
    pieces = [words(written[n : n + size]) for n in range(0, len(written), size)]
    endpoint.script = [stream(*pieces, finish(), DONE)]
    assert await said(replier) == spoken


async def test_thoughts_beside_the_text_are_not_spoken(endpoint, replier):
    endpoint.script = [stream(words(reasoning_content="Hm."), words("Hi."), finish(), DONE)]
    assert await reply(replier) == [Delta("Hi.")]


@pytest.mark.parametrize("thought", [words("<think>Hm."), words(reasoning_content="Hm.")])
async def test_a_reply_that_is_all_thinking_is_a_failure(endpoint, replier, thought):
    endpoint.script = [stream(thought, finish("length"), DONE)]
    assert await failed(replier) == ("", "reply_cut_off")


# --- interrupted --------------------------------------------------------------------------------


async def test_closing_a_reply_closes_the_connection(endpoint, replier):
    endpoint.script = [stream(words("All "), stuck), OK]
    async with aclosing(replier.reply(PROMPT, max_tokens=64, owner="a")) as deltas:
        assert await anext(deltas) == Delta("All ")
        await endpoint.waiting.wait()
        other = await said(replier)
        assert not endpoint.hung_up.is_set()
    await endpoint.hung_up.wait()
    assert other == "All is well."
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [nothing, stream(stuck), stream(words("<think>"), stuck), stream(words("All "), stuck)],
)
async def test_cancelling_a_task_that_waits_closes_the_connection(endpoint, replier, answer):
    endpoint.script = [answer]
    task = asyncio.create_task(reply(replier))
    await endpoint.waiting.wait()
    task.cancel()
    await endpoint.hung_up.wait()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(endpoint.requests) == 1


# --- too slow -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [nothing, stream(stuck), stream(words(reasoning_content="Hm."), stuck)]
)
async def test_no_first_word_in_time(endpoint, replier_for, answer):
    endpoint.script = [answer]
    replier = replier_for(endpoint.url, first_token_timeout_s=0.3)
    assert await failed(replier) == ("", "reply_timeout")
    await endpoint.hung_up.wait()
    assert len(endpoint.requests) == 1


async def test_no_next_word_in_time(endpoint, replier_for):
    endpoint.script = [stream(words("All "), stuck)]
    replier = replier_for(endpoint.url, stall_timeout_s=0.2)
    assert await failed(replier) == ("All ", "reply_timeout")
    await endpoint.hung_up.wait()
    assert len(endpoint.requests) == 1


async def test_the_time_that_a_listener_takes_is_not_the_endpoints(endpoint, replier_for):
    go_on = asyncio.Event()
    endpoint.script = [stream(words("All "), lambda *_: go_on.wait(), words("is well."), finish())]
    replier = replier_for(endpoint.url, first_token_timeout_s=0.5, stall_timeout_s=0.5)
    async with aclosing(replier.reply(PROMPT, max_tokens=64, owner="a")) as deltas:
        await anext(deltas)
        await asyncio.sleep(0.55)  # the voice is busy for longer than each of the limits
        asyncio.get_running_loop().call_soon(go_on.set)
        assert await anext(deltas) == Delta("is well.")


async def test_a_connection_that_is_not_made_in_time_is_tried_twice(replier_for):
    callers = []

    async def mute(reader, writer) -> None:
        callers.append(writer)
        await reader.read()  # the client's half of the handshake, then its end
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        replier = replier_for(f"https://127.0.0.1:{port}/v1", connect_timeout_s=0.1)
        assert await failed(replier) == ("", "reply_connect")
        await asyncio.gather(*(c.wait_closed() for c in callers))
    assert len(callers) == 2


# --- asked once more ----------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(chat_refusals, "RETRY_PAUSE_S", 0.0)


FULL = {"error": {"message": f"slow down, {KEY}", "type": "requests", "code": "rate_limit"}}


@pytest.mark.parametrize(
    "answer",
    [
        hang_up,
        stream(cut),
        stream(b'{"error":', cut, code=503),
        stream(words(reasoning_content="Hm."), cut),
        *(status(code, FULL) for code in (429, 500, 502, 503, 504)),
        status(503, "<html>starting</html>"),
    ],
)
async def test_what_may_pass_is_tried_once_more(endpoint, replier, hasty, answer):
    endpoint.script = [answer, OK]
    assert await said(replier) == "All is well."
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (hang_up, "reply_connect"),
        (status(429, FULL), "reply_rate_limited"),
        (status(500, FULL), "reply_refused"),
        (status(502, "<html>bad gateway</html>"), "reply_refused"),
    ],
)
async def test_what_does_not_pass_is_tried_twice_and_no_more(
    endpoint, replier, hasty, caplog, answer, code
):
    endpoint.script = [answer]
    assert await failed(replier) == ("", code)
    assert len(endpoint.requests) == 2
    assert KEY not in caplog.text
    assert caplog.text.count("endpoint failed") == 2


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422, 501])
async def test_what_will_not_change_is_not_tried_again(endpoint, replier, code):
    endpoint.script = [status(code, {"error": {"message": f"no, {KEY}"}}), OK]
    assert await failed(replier) == ("", "reply_refused")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("after", ["0.2", "30", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_an_endpoint_that_says_when_is_heeded_within_reason(
    endpoint, replier, monkeypatch, after
):
    monkeypatch.setattr(chat_refusals, "MAX_RETRY_PAUSE_S", 0.2)
    endpoint.script = [status(429, FULL, {"Retry-After": after}), OK]
    begun = asyncio.get_running_loop().time()
    assert await said(replier) == "All is well."
    assert asyncio.get_running_loop().time() - begun >= 0.2


async def test_a_pause_beyond_the_limit_for_the_first_word_is_not_made(endpoint, replier_for):
    endpoint.script = [status(429, FULL, {"Retry-After": "1"}), OK]
    replier = replier_for(endpoint.url, first_token_timeout_s=0.9)
    assert await failed(replier) == ("", "reply_rate_limited")
    assert len(endpoint.requests) == 1


async def test_nobody_there(replier_for):
    assert await failed(replier_for(f"http://127.0.0.1:{unused_port()}/v1")) == (
        "",
        "reply_connect",
    )


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (cut, "reply_cut_off"),
        (b"", "reply_cut_off"),
        (DONE, "reply_cut_off"),
        (b"data: {nope\n\n", "reply_garbled"),
        ({"choices": "nonsense"}, "reply_garbled"),
        ({"error": FULL["error"]}, "reply_refused"),
    ],
)
async def test_after_the_first_word_nothing_is_tried_again(endpoint, replier, caplog, step, code):
    endpoint.script = [stream(words("All "), step), OK]
    assert await failed(replier) == ("All ", code)
    assert len(endpoint.requests) == 1
    assert KEY not in caplog.text


# --- garbage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        status(200, "<html>Log in first</html>"),
        status(200, {"id": "c", "choices": [{"message": {"content": "not streamed"}}]}),
        status(200, ""),
        stream(),
        stream(DONE),
        stream(b"data: {nope\n\n"),
        stream(b"data: \xff\xfe\n\n"),
        stream(42, finish()),
        stream("text", finish()),
        stream({"choices": {"a": 1}}, finish()),
        stream({"choices": [3]}, finish()),
        stream({"choices": [{"delta": "text"}]}, finish()),
        stream({"choices": [{"delta": {"content": ["text"]}}]}, finish()),
    ],
)
async def test_garbage_is_told_from_a_reply(endpoint, replier, answer):
    endpoint.script = [answer, OK]
    assert await failed(replier) == ("", "reply_garbled")
    assert len(endpoint.requests) == 1


async def test_a_stream_without_a_finish_was_cut_off(endpoint, replier):
    endpoint.script = [stream(words(role="assistant"), DONE), OK]
    assert await failed(replier) == ("", "reply_cut_off")


async def test_an_error_in_the_stream_is_a_refusal(endpoint, replier, caplog):
    endpoint.script = [stream({"error": FULL["error"]}), OK]
    assert await failed(replier) == ("", "reply_refused")
    assert len(endpoint.requests) == 1
    assert "slow down, ***" in caplog.text


# --- a prompt that is too long ------------------------------------------------------------------

TOO_LONG = [
    {"message": "too much", "type": "invalid_request_error", "code": "context_length_exceeded"},
    {"message": "This model's maximum context length is 8 tokens.", "code": 400},
    {"message": "too much", "type": "exceed_context_size_error", "code": 400},
]


@pytest.mark.parametrize("error", TOO_LONG)
async def test_a_prompt_that_is_too_long_is_halved_once(endpoint, replier, error):
    history = [Message("user", str(n)) for n in range(5)]
    endpoint.script = [status(400, {"error": error}), OK]
    assert await reply(replier, [*PROMPT[:1], *history])
    sent = [[m["content"] for m in r["messages"]] for r in endpoint.requests]
    assert sent == [["Be kind.", "0", "1", "2", "3", "4"], ["Be kind.", "3", "4"]]


@pytest.mark.parametrize(("messages", "requests"), [(5, 2), (2, 2), (1, 1)])
async def test_a_prompt_that_stays_too_long_is_refused(endpoint, replier, messages, requests):
    prompt = [Message("user", str(n)) for n in range(messages)]
    endpoint.script = [status(400, {"error": TOO_LONG[0]})]
    assert await failed(replier, prompt) == ("", "reply_refused")
    assert len(endpoint.requests) == requests


# --- start and end ------------------------------------------------------------------------------


async def test_warming_up_asks_whether_the_endpoint_answers(endpoint, replier, caplog):
    await replier.warm()
    assert caplog.text == ""
    assert replier.alive


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(401, FULL), "401"),
        (status(404, "<html>no such page</html>"), "NotFoundError"),
        (hang_up, "RemoteProtocolError"),
    ],
)
async def test_an_endpoint_that_does_not_answer_yet_is_a_warning(
    endpoint, replier, caplog, answer, reason
):
    endpoint.models = answer
    await replier.warm()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert reason in record.getMessage()
    assert KEY not in caplog.text
    assert await said(replier) == "All is well."


async def test_an_endpoint_that_never_answers_is_a_warning(endpoint, replier_for, caplog):
    endpoint.models = nothing
    await replier_for(endpoint.url, first_token_timeout_s=0.2).warm()
    assert "TimeoutError" in caplog.text


async def test_an_endpoint_that_is_down_is_a_warning(replier_for, caplog):
    await replier_for(f"http://127.0.0.1:{unused_port()}/v1").warm()
    assert "ConnectError" in caplog.text


async def test_after_closing_there_is_no_reply(replier):
    await replier.prepare(PROMPT, owner="a")
    await replier.close()
    assert not replier.alive
    assert await failed(replier) == ("", "reply_connect")
    await replier.close()


async def test_openai_itself_is_told_the_limit_by_its_newer_name(replier_for):
    assert replier_for("https://api.openai.com/v1")._limit_name == "max_completion_tokens"
    assert replier_for("https://notopenai.com/v1")._limit_name == "max_tokens"


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    replier = OpenAIReplier(base_url="http://127.0.0.1/v1", api_key=KEY, model="m")
    with pytest.raises(SettingsError, match=r"pip install 'banter-voice\[openai\]'"):
        replier.load()


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"base_url": "localhost:8080/v1"}, "address"),
        ({"base_url": "http://"}, "address"),
        ({"base_url": "http://host:99999/v1"}, "address"),
        ({"api_key": "one\ntwo"}, "API key"),
        ({"context_tokens": 256}, "context"),
    ],
)
def test_a_value_that_cannot_be_used_ends_the_start(values, about):
    good = {"base_url": "http://127.0.0.1/v1", "api_key": KEY, "model": "m"}
    with pytest.raises(SettingsError, match=about) as failure:
        OpenAIReplier(**{**good, **values}).load()
    assert KEY not in str(failure.value)
