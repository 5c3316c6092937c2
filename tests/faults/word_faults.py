"""The language model: llama.cpp's server in this process, which has no thread of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

from aiohttp import web
from aiohttp.test_utils import unused_port

from tests.faults.looks import answered, down, next_turn, not_answered, told_of, victim
from tests.faults.ward import Ward, cut_off
from tests.llm_endpoint import Answer, Endpoint, finish, nothing, status, stream, stuck, words
from tests.street import until
from tests.weights import PATIENCE_S, TROUBLE, reading

Trouble = Callable[[Ward], Awaitable[None]]


async def slow(ward: Ward) -> None:
    """It reads for longer than it should."""

    async def pause(endpoint: Endpoint, request: web.Request) -> None:
        await asyncio.sleep(0.4)

    client, _ = await victim(ward)
    parts = (reading(128), pause, words("All is well."), finish())
    ward.llama.failure = stream(*parts)
    await client.say(TROUBLE.audio)
    await answered(client)
    assert not client.of("error")
    await next_turn(ward, client)


def fails(answer: Answer) -> Trouble:
    async def trouble(ward: Ward) -> None:
        client, _ = await victim(ward)
        ward.llama.failure = answer
        await client.say(TROUBLE.audio)
        await told_of(client, "reply", "reply_failed")
        await not_answered(client)
        await next_turn(ward, client)

    return trouble


async def dies(ward: Ward) -> None:
    """Nobody listens on its socket any more: who asks waits for the fresh server."""
    client, _ = await victim(ward)
    ward.holds["reply"].gate.clear()
    old, replier = replier_client(ward), ward.replier
    replier._server = SimpleNamespace(listening_address=f"http://127.0.0.1:{unused_port()}")
    replier.start()
    await client.say(TROUBLE.audio)
    await down(ward, "reply")
    await answered(client)
    assert not client.of("error")
    await old.close()
    await next_turn(ward, client)


def replier_client(ward: Ward) -> object:
    """What is being written over it goes on here; a server that really dies cuts that off."""
    client = ward.replier._client
    assert client
    return client


async def gone(ward: Ward) -> None:
    """The connection is closed, so that llama.cpp stops."""
    client, _ = await victim(ward)
    callers = ward.callers
    ward.llama.failure = stream(reading(128), stuck)
    ward.llama.waiting.clear()
    ward.llama.hung_up.clear()
    await client.say(TROUBLE.audio)
    async with asyncio.timeout(PATIENCE_S):
        await ward.llama.waiting.wait()
        await cut_off(client)
        await ward.llama.hung_up.wait()
    await until(lambda: ward.callers == callers - 1)


SEEN = (
    "`error`, stage `reply`, and the response is `failed`; or the apology, if none of it was said"
)
NO_MEMORY = {"error": {"message": "failed to allocate memory", "type": "server_error"}}
CELLS: dict[tuple[str, str], tuple[str, Trouble]] = {
    ("reply", "slow"): ("answered late", slow),
    ("reply", "stuck"): (
        f"{SEEN}; a fresh server where two requests in a row brought nothing",
        fails(nothing),
    ),
    ("reply", "raises"): (SEEN, fails(status(500, {"error": {"message": "broken"}}))),
    ("reply", "dies"): ("answered late, by a fresh server", dies),
    ("reply", "memory"): (SEEN, fails(status(500, NO_MEMORY))),
    ("reply", "gone"): ("its connection to the model is closed, and the model stops", gone),
}
