"""The embedded language model's client: what it makes of a server that is not reached."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.client_exceptions import UnixClientConnectorError

from realtime.engines.llm import EmbeddedReplier
from realtime.errors import ReplyError
from realtime.prompt import Message
from tests.weights import Llama

PROMPT = [Message("user", "Hello there.")]


@pytest.fixture
async def replier() -> AsyncIterator[EmbeddedReplier]:
    async with Llama().serve() as llama:
        made = EmbeddedReplier(Path("none"), threads=1)
        made._server = SimpleNamespace(listening_address=llama.url.removesuffix("/v1"))
        made.start()
        made.supervise()
        yield made
        await made.close()


def unreached(error: OSError) -> aiohttp.ClientConnectorError:
    return UnixClientConnectorError("llm.sock", SimpleNamespace(ssl=None), error)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES])
async def test_what_this_process_lacks_says_nothing_of_the_server(replier, number):
    for _ in range(3):
        told = replier._gone(unreached(OSError(number, "no")))
        assert (type(told), told.code) == (ReplyError, "reply_failed")
    assert replier.trouble == ""
    assert replier._up.is_set()


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENOENT])
async def test_a_server_where_nobody_listens_is_lost_at_once(replier, number):
    assert replier._gone(unreached(OSError(number, "no"))).code == "restarting"
    assert replier.trouble
    assert not replier._up.is_set()


async def test_who_asks_while_it_is_restarted_is_told_so(replier):
    replier.abandon("stuck")
    with pytest.raises(ReplyError) as told:
        await replier.ends(PROMPT, owner="a")
    assert told.value.code == "restarting"
    replier._up.set()
    assert replier._client
    await replier._client.close()  # as in the middle of a restart
    for asked in (replier.ends(PROMPT, owner="a"), replier._ask("/completion", {})):
        with pytest.raises(ReplyError) as told:
            await asked
        assert told.value.code == "restarting"


async def test_a_history_that_could_not_be_read_is_told(replier):
    assert replier._client
    await replier._client.close()
    with pytest.raises(ReplyError):
        await replier.prepare(PROMPT, owner="a")


async def test_a_server_that_brought_nothing_is_not_let_go_of(replier):
    """To do that waits for its threads with the interpreter lock held, perhaps for ever."""
    server, replier._silences = replier._server, 1
    await replier.close()
    assert replier._lost == [server]


class Ahead:
    """Reads ahead until it may stop, or fails."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.order: list[str] = []

    async def ahead(self, messages) -> None:
        self.order.append("ahead")
        await self.gate.wait()
        if self.error:
            raise self.error
        self.order.append("read")

    async def ends(self, messages) -> float:
        self.order.append("ends")
        return 0.5


@pytest.fixture
def ahead(replier) -> Ahead:
    replier._reader = Ahead()
    return replier._reader


async def test_what_is_being_read_ahead_is_waited_for_and_not_read_twice(replier, ahead):
    """In another slot, while its own is busy, nothing would be there of what was read."""
    reading = asyncio.create_task(replier.read(PROMPT, owner="a"))
    await asyncio.sleep(0.01)
    await replier.read(PROMPT, owner="a")
    asking = asyncio.create_task(replier.ends(PROMPT, owner="a"))
    await asyncio.sleep(0.01)
    assert await replier.ends(PROMPT, owner="b") == 0.5
    assert ahead.order == ["ahead", "ends"]
    ahead.gate.set()
    assert await asking == 0.5
    await reading
    assert ahead.order == ["ahead", "ends", "read", "ends"]
    assert replier._ahead == {}


async def test_who_waits_for_it_no_more_does_not_end_it(replier, ahead):
    reading = asyncio.create_task(replier.read(PROMPT, owner="a"))
    await asyncio.sleep(0)
    asking = asyncio.create_task(replier.ends(PROMPT, owner="a"))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    ahead.gate.set()
    await reading
    assert ahead.order == ["ahead", "read"]


async def test_nothing_is_read_ahead_while_others_are_at_work(replier, ahead):
    async with replier._turnstile.admit(owner="b"):
        await replier.read(PROMPT, owner="a")
    assert ahead.order == []
    reading = asyncio.create_task(replier.read(PROMPT, owner="b"))
    await asyncio.sleep(0)
    await replier.read(PROMPT, owner="a")
    assert ahead.order == ["ahead"]
    ahead.gate.set()
    await reading


async def test_nothing_is_read_ahead_while_llama_may_be_at_what_was_given_up(
    replier, ahead, monkeypatch
):
    monkeypatch.setattr("realtime.engines.llm.STILL_S", 60.0)
    ahead.gate.set()
    await replier.ends(PROMPT, owner="a")
    await replier.read(PROMPT, owner="a")
    assert ahead.order == ["ends", "ahead", "read"]
    monkeypatch.setattr(ahead, "ends", lambda messages: asyncio.sleep(60))
    asking = asyncio.create_task(replier.ends(PROMPT, owner="a"))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    await replier.read(PROMPT, owner="a")
    assert len(ahead.order) == 3
    monkeypatch.setattr("realtime.engines.llm.STILL_S", 0.0)
    await replier.read(PROMPT, owner="a")
    assert ahead.order[-2:] == ["ahead", "read"]


@pytest.mark.parametrize("error", [ReplyError("no"), KeyError("prompt"), OSError("gone")])
async def test_reading_ahead_that_fails_is_no_loss(replier, ahead, error):
    ahead.error = error
    ahead.gate.set()
    await replier.read(PROMPT, owner="a")
    assert await replier.ends(PROMPT, owner="a") == 0.5
    assert (replier._silences, replier._ahead) == (0, {})


async def test_who_hangs_up_while_his_words_are_read_leaves_nothing(replier, ahead):
    reading = asyncio.create_task(replier.read(PROMPT, owner="a"))
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert await replier.ends(PROMPT, owner="a") == 0.5


async def test_reading_ahead_has_an_end(replier, ahead, monkeypatch):
    monkeypatch.setattr("realtime.engines.llm.AHEAD_S", 0.01)
    await replier.read(PROMPT, owner="a")
    assert ahead.order == ["ahead"]
    assert replier._ahead == {}
