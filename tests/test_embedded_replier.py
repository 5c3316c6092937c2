"""The embedded language model's client: what it makes of a server that is not reached."""

from __future__ import annotations

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


async def test_a_server_that_brought_nothing_is_not_let_go_of(replier):
    """To do that waits for its threads with the interpreter lock held, perhaps for ever."""
    server, replier._silences = replier._server, 1
    await replier.close()
    assert replier._lost == [server]
