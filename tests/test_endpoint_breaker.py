"""An endpoint that fails caller after caller is left alone for a while."""

from __future__ import annotations

import aiohttp
import pytest

from realtime.breaker import FIRST_PAUSE_S, LIMIT
from realtime.engines import openai_chat
from realtime.engines.openai_chat import OpenAIReplier
from realtime.errors import ReplyError
from realtime.prompt import Message
from realtime.speaker import Manners
from tests.client import clip, quiet
from tests.fakes import FakeRuntime
from tests.llm_endpoint import Endpoint, cut, finish, hang_up, status, stream, words

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
PROMPT = [Message("user", "How is it?")]
OK = stream(words("All is well."), finish())
BROKEN = status(500, {"error": {"message": "broken"}})
REFUSES = status(401, {"error": {"message": "no such key"}})
FALLBACK = "Sorry, not now."


@pytest.fixture
def manners():
    return Manners(pacing=None, fallback=FALLBACK)


@pytest.fixture
async def endpoint():
    async with Endpoint().serve() as served:
        yield served


@pytest.fixture
async def replier(endpoint, monkeypatch):
    monkeypatch.setattr("realtime.engines.chat_refusals.RETRY_PAUSE_S", 0.0)
    made = OpenAIReplier(base_url=endpoint.url, api_key="key", model="m")
    made.load()
    yield made
    await made.close()


@pytest.fixture
def runtime(detector, replier):
    return FakeRuntime(detector, replier=replier)


async def code(replier: OpenAIReplier) -> str | None:
    """What a reply fails with; None where it is whole."""
    try:
        async for _ in replier.reply(PROMPT, max_tokens=9, owner="a"):
            pass
    except ReplyError as error:
        return error.code
    return None


@pytest.mark.parametrize("answer", [BROKEN, hang_up])
async def test_after_some_failures_nobody_is_sent_there(endpoint, replier, answer, monkeypatch):
    endpoint.script = [answer]
    codes = {await code(replier) for _ in range(LIMIT)}
    assert len(codes) == 1
    asked = len(endpoint.requests)
    assert asked == 2 * LIMIT  # each was tried once more
    assert await code(replier) == "reply_unavailable"
    assert len(endpoint.requests) == asked
    assert not replier.spare
    assert replier.breaker_report()["state"] == "open"
    now, later_s = openai_chat._now, FIRST_PAUSE_S
    monkeypatch.setattr(openai_chat, "_now", lambda: now() + later_s)
    assert replier.breaker_report()["state"] == "half_open"
    assert await code(replier) in codes
    assert replier.breaker_report()["wait_s"] > FIRST_PAUSE_S
    later_s += 2 * FIRST_PAUSE_S
    endpoint.script = [OK]
    assert await code(replier) is None
    assert replier.breaker_report() == {
        "state": "closed",
        "failures": 0,
        "opened": 2,
        "wait_s": 0.0,
    }


async def test_an_endpoint_that_breaks_off_every_reply_is_left_alone_too(endpoint, replier):
    endpoint.script = [stream(words("All is "), cut)]
    assert {await code(replier) for _ in range(LIMIT)} == {"reply_cut_off"}
    assert await code(replier) == "reply_unavailable"
    assert len(endpoint.requests) == LIMIT


async def test_what_is_the_askers_fault_opens_nothing(endpoint, replier):
    endpoint.script = [REFUSES]
    assert {await code(replier) for _ in range(LIMIT + 1)} == {"reply_refused"}
    assert replier.spare


async def test_callers_hear_the_apology_at_once_and_the_status_says_why(
    connect, server, endpoint, replier, runtime
):
    endpoint.script = [BROKEN]
    client = await connect()
    for _ in range(LIMIT + 1):
        await client.say(TURN)
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
    assert runtime.voice.pieces == [FALLBACK] * (LIMIT + 1)
    assert len(endpoint.requests) == 2 * LIMIT
    async with aiohttp.ClientSession() as http, http.get(server.make_url("/status")) as answer:
        found = await answer.json()
    assert found["reply_endpoint"]["state"] == "open"
    assert found["counts"]["replies.fallback"] == LIMIT + 1


class TestWithoutApology:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=None)

    async def test_the_error_says_which_stage(self, connect, endpoint):
        endpoint.script = [BROKEN]
        client = await connect()
        await client.say(TURN)
        error = (await client.until("error"))["error"]
        assert (error["stage"], error["code"]) == ("reply", "reply_refused")
        details = (await client.until("response.done"))["response"]["status_details"]
        assert details["error"]["code"] == "reply_refused"
