"""Going away: who is at rest goes at once, who is in the middle of something when that is over."""

from __future__ import annotations

import asyncio

import pytest

from realtime.__main__ import _closed, _hurry
from realtime.drain import GOING_AWAY, RESTARTING, close_all
from realtime.playout import Pacing
from realtime.server import ADMISSION, CALLERS, _lose, _note, drain
from realtime.speaker import Manners
from realtime.supervisor import DEVICE_LOST, Loss, Outage
from tests.client import Client, clip, quiet
from tests.street import until
from tests.weights import PATIENCE_S

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
PUSH_TO_TALK = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


async def closed(client: Client) -> int | None:
    """The code that it was closed with."""
    async with asyncio.timeout(PATIENCE_S):
        while not client.closed:
            await client.next()
    return client.close_code


async def draining(server, limit_s: float = 60.0) -> tuple[asyncio.Task[None], asyncio.Event]:
    """A drain that has begun."""
    hurry = asyncio.Event()
    going = asyncio.create_task(drain(server.app, limit_s, hurry))
    await until(lambda: server.app[ADMISSION].draining)
    return going, hurry


async def test_a_turn_that_runs_is_finished_while_who_is_at_rest_goes(connect, server, runtime):
    runtime.transcriber.gate = asyncio.Event()
    resting, speaking = await connect(), await connect()
    await speaking.say(TURN)
    await until(lambda: runtime.transcriber.heard)
    going, _ = await draining(server)
    assert await closed(resting) == 1001
    assert not going.done()
    runtime.transcriber.gate.set()
    assert await closed(speaking) == 1001
    assert speaking.of("response.done")[0]["response"]["status"] == "completed"
    await going
    assert not server.app[CALLERS].sockets


async def test_who_is_in_the_middle_of_a_sentence_may_say_it_to_the_end(connect, server, runtime):
    client = await connect()
    await client.say(TURN[: len(TURN) // 2])
    await client.until("input_audio_buffer.speech_started")
    going, _ = await draining(server)
    await client.say(TURN[len(TURN) // 2 :])
    assert await closed(client) == 1001
    assert client.of("response.done")[0]["response"]["status"] == "completed"
    await going


async def test_audio_that_is_not_committed_yet_may_be(connect, server, runtime):
    """A client that ends its turns itself: nothing else tells that somebody speaks."""
    resting, talking = await connect(), await connect()
    for client in (resting, talking):
        await client.send("session.update", session=PUSH_TO_TALK)
        await client.until("session.updated")
    await talking.say(TURN)
    await until(lambda: sum(not s.at_rest for s in server.app[CALLERS].sockets.values()) == 1)
    going, _ = await draining(server)
    assert await closed(resting) == 1001
    assert not going.done()
    await talking.send("input_audio_buffer.commit")
    await talking.send("response.create")
    assert await closed(talking) == 1001
    assert talking.of("response.done")[0]["response"]["status"] == "completed"
    await going


class TestPaced:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=Pacing(at_once_s=30, ahead_s=30))

    async def test_a_reply_that_is_made_is_still_played(self, connect, server, runtime):
        runtime.replier.words, runtime.voice.seconds = ("All is well.",), 1.0
        client = await connect()
        await client.say(TURN)
        await client.until("response.done")
        [session] = server.app[CALLERS].sockets.values()
        assert not session.at_rest
        going, _ = await draining(server)
        assert await closed(client) == 1001
        await going


async def test_at_the_limit_who_is_left_is_closed_all_the_same(connect, server, runtime):
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await client.say(TURN)
    await until(lambda: runtime.transcriber.heard)
    going, _ = await draining(server, limit_s=0.2)
    assert await closed(client) == 1001
    assert not client.of("response.done")
    await going


async def test_told_to_hurry_it_waits_for_nobody(connect, server, runtime):
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await client.say(TURN)
    await until(lambda: runtime.transcriber.heard)
    going, hurry = await draining(server)
    hurry.set()
    assert await closed(client) == 1001
    await going


async def test_a_process_that_has_to_end_lets_nobody_in_whatever_is_mended(server):
    app = server.app
    _note(app, {"voice": Outage("voice", "stuck", 0.0)})
    assert app[ADMISSION].outage == "voice is being restarted: stuck"
    _note(app, {})
    assert app[ADMISSION].outage == ""
    _lose(app, Loss(DEVICE_LOST, "no GPU"))
    _note(app, {})
    assert app[ADMISSION].outage == "the server restarts: no GPU"


async def test_a_process_that_has_to_end_waits_for_nobodys_turn():
    lost, hurry = asyncio.Event(), asyncio.Event()
    hurrying = asyncio.create_task(_hurry(lost, hurry))
    await asyncio.sleep(0)
    assert not hurry.is_set()
    lost.set()
    await hurrying
    assert hurry.is_set()


async def test_an_engine_that_does_not_end_is_left():
    class Stuck:
        async def close(self) -> None:
            await asyncio.Event().wait()

    class Well:
        async def close(self) -> None:
            pass

    assert not await _closed(Stuck(), within_s=0.01)
    assert await _closed(Well(), within_s=5)


async def test_a_restart_is_told_with_a_code_of_its_own(connect, server):
    client = await connect()
    closing = asyncio.create_task(close_all(server.app[CALLERS], 1012, RESTARTING))
    assert await closed(client) == 1012
    await closing
    assert GOING_AWAY != RESTARTING
