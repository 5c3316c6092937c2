"""Real Ray, real Serve, the embedded engines in replicas, and a front end that talks to them.

One cluster for all: a head that holds two replicas of each pool. What is killed comes back before
the next test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from benchmarks.caller import Caller, call
from benchmarks.clips import DEFAULT_CLIPS, load_clips
from benchmarks.ray_cluster import Cluster, cluster
from benchmarks.record import AUDIO_DELTA
from benchmarks.server import Server, started_server
from benchmarks.turn import Turn, session_with, take_turn
from realtime.cluster.pools import Pools
from realtime.cluster.remote_voice import RemoteVoice
from realtime.cluster.tokens import TOKEN_VARIABLE
from realtime.cluster.wire import POOLS
from realtime.engines import Line
from realtime.metrics import Metrics

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make test-cluster"),
]

OPTIONS = ("--whisper-replicas", "2", "--voice-replicas", "2")
CPUS = ("--whisper-cpus", "0.25", "--voice-cpus", "0.25")
LONG = (
    "A bank of cloud had gathered over the hills since noon, and the swallows flew low over the "
    "water. The miller looked up from his ledger and counted all of the sacks once again. "
) * 3


@pytest.fixture(scope="module")
def made() -> Iterator[Cluster]:
    with cluster(workers=0, cpus=2, options=(*OPTIONS, *CPUS)) as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(made: Cluster) -> AsyncIterator[Server]:
    async with started_server("echo", "--engines", made.engines) as up:
        yield up


async def until(true: Callable[[], Any], within_s: float = 90.0) -> Any:
    """What a blocking question answers, asked again until it is not empty."""
    until_s = time.monotonic() + within_s
    while not (found := await asyncio.to_thread(true)):
        assert time.monotonic() < until_s, "it did not come about"
        await asyncio.sleep(0.5)
    return found


async def ready(server: Server) -> int:
    async with aiohttp.ClientSession() as http, http.get(server.url + "/ready") as answer:
        return answer.status


async def both_pools(made: Cluster, server: Server) -> None:
    """Two replicas of each, and the front end knows."""
    await until(lambda: all(len(made.replicas(pool)) == 2 for pool in POOLS))
    until_s = time.monotonic() + 30
    while (await server.status())["cluster"]["outage"] and time.monotonic() < until_s:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def turn(server: Server, number: int = 0) -> Turn:
    clips = load_clips(DEFAULT_CLIPS)
    async with call(server.url, binary=True, session=session_with()) as caller:
        return await take_turn(caller, clips[number % len(clips)])


async def ask_for(caller: Caller, text: str) -> str:
    """Have something said; the response's id."""
    after = len(caller.record.events)
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await caller.send("conversation.item.create", item=item)
    await caller.send("response.create")
    created = await caller.record.first("response.created", after, 20)
    assert created is not None
    return str(created.event["response"]["id"])


async def pids_of(made: Cluster, pool: str) -> list[int]:
    """Of its replicas, the busiest first."""
    found = await until(lambda: made.replicas(pool))
    found.sort(key=lambda each: -each["load"]["queued_s"])
    return [int(each["pid"]) for each in found]


async def test_a_clip_is_answered_by_engines_elsewhere(server: Server) -> None:
    said = await turn(server)
    assert said.outcome == "answered"
    assert said.heard
    told = (await server.status())["cluster"]
    assert told["pools"]["voice"]["replicas"] == 2
    engines = (await server.status())["engines"]
    assert engines["whisper"] == "RemoteTranscriber"
    assert engines["voice"] == "RemoteVoice"


async def test_the_words_are_those_of_an_engine_here(server: Server) -> None:
    """The same model, reached in another way."""
    async with started_server("echo") as local:
        for number in range(2):
            assert (await turn(server, number)).heard == (await turn(local, number)).heard


async def test_rest_goes_there_too(server: Server) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        body = {"model": "tts-1", "voice": "default", "input": "The weather is fine today."}
        async with http.post("/v1/audio/speech", json={**body, "response_format": "wav"}) as answer:
            assert answer.status == 200
            sound = await answer.read()
        form = aiohttp.FormData({"model": "whisper-1"})
        form.add_field("file", sound, filename="said.wav")
        async with http.post("/v1/audio/transcriptions", data=form) as answer:
            heard = (await answer.json())["text"]
    assert heard.strip(" .").lower() == "the weather is fine today"


async def test_both_replicas_get_work(made: Cluster, server: Server) -> None:
    said = await asyncio.gather(*(turn(server, n) for n in range(6)))
    assert [each.outcome for each in said] == ["answered"] * 6
    runs = [each["runs"] for each in await asyncio.to_thread(made.replicas, "transcription")]
    assert len(runs) == 2
    assert min(runs) > 0, runs


async def test_a_barge_in_stops_the_synthesis_over_there(made: Cluster) -> None:
    """Twelve lines wait in two replicas; once they are not wanted any more, each replica ends the
    one that it is at, and begins none."""
    pools = Pools(made.engines, metrics=Metrics(), token=os.environ[TOKEN_VARIABLE])
    await pools.start()
    voice = RemoteVoice(pools)
    heard = asyncio.Event()

    async def listen() -> None:
        async for _ in voice.speak(Line(LONG), owner="one who interrupts"):
            heard.set()

    try:
        before = await asyncio.to_thread(made.replicas, "voice")
        listening = [asyncio.create_task(listen()) for _ in range(12)]
        await asyncio.wait_for(heard.wait(), 30)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        at_cancel = await asyncio.to_thread(runs, made)
        await asyncio.sleep(3.0)
        assert await asyncio.to_thread(runs, made) - at_cancel <= 2
        dropped = counts(await asyncio.to_thread(made.replicas, "voice"), "replica.cancelled")
        assert dropped - counts(before, "replica.cancelled") >= 6
    finally:
        await pools.close()


def runs(made: Cluster) -> int:
    """Pieces that the voice has spoken so far, in all replicas."""
    return sum(each["runs"] for each in made.replicas("voice"))


def counts(replicas: list[dict[str, Any]], name: str) -> int:
    return sum(each["metrics"]["counts"].get(name, 0) for each in replicas)


@pytest.mark.long
async def test_a_whisper_replica_that_is_killed_costs_no_turn(
    made: Cluster, server: Server
) -> None:
    async def kill() -> None:
        await asyncio.sleep(2.0)
        os.kill((await pids_of(made, "transcription"))[0], signal.SIGKILL)

    *said, _ = await asyncio.gather(*(turn(server, n) for n in range(4)), kill())
    assert [each.outcome for each in said] == ["answered"] * 4
    assert (await turn(server)).outcome == "answered"
    await both_pools(made, server)


@pytest.mark.long
async def test_voices_that_are_killed_fail_one_reply_and_the_session_lives(
    made: Cluster, server: Server
) -> None:
    async with call(server.url, binary=True, session=session_with()) as caller:
        response = await ask_for(caller, LONG * 4)
        assert await caller.record.first(AUDIO_DELTA, 0, 20, response_id=response)
        for pid in await pids_of(made, "voice"):
            os.kill(pid, signal.SIGKILL)
        done = await caller.record.first("response.done", 0, 60)
        assert done is not None
        assert done.event["response"]["status"] == "failed"
        assert caller.close_code is None
        errors = [e.event["error"]["code"] for e in caller.record.since(0, "error")]
        assert set(errors) & {"replica_lost", "no_replica"}, errors
        await both_pools(made, server)
        said = await take_turn(caller, load_clips(DEFAULT_CLIPS)[0])
        assert said.outcome == "answered"


@pytest.mark.long
async def test_while_no_replica_lives_nobody_is_let_in_and_then_again(
    made: Cluster, server: Server
) -> None:
    for pid in await pids_of(made, "voice"):
        os.kill(pid, signal.SIGKILL)
    refused = None
    until_s = time.monotonic() + 30
    while refused is None and time.monotonic() < until_s:
        try:
            async with call(server.url):
                await asyncio.sleep(0.1)
        except aiohttp.WSServerHandshakeError as error:
            refused = error
    assert refused is not None
    assert refused.status == 503
    assert int((refused.headers or {})["Retry-After"]) > 0
    await both_pools(made, server)
    assert await ready(server) == 200
    assert (await turn(server)).outcome == "answered"


@pytest.mark.long
async def test_a_rolling_update_loses_no_turn(made: Cluster, server: Server) -> None:
    old = {each["replica"] for each in await asyncio.to_thread(made.replicas, "voice")}
    over = asyncio.Event()
    said: list[Turn] = []

    async def talk(number: int) -> None:
        while not over.is_set():
            said.append(await turn(server, number))

    def update() -> None:
        command = [sys.executable, "-m", "realtime", "cluster", "deploy", *OPTIONS, *CPUS]
        command += ["--at", made.at, "--", "--whisper-batch", "4"]
        subprocess.run(command, check=True, timeout=300)

    talking = [asyncio.create_task(talk(n)) for n in range(2)]
    await asyncio.to_thread(update)
    await until(lambda: old.isdisjoint(each["replica"] for each in made.replicas("voice")))
    over.set()
    await asyncio.gather(*talking)
    assert len(said) >= 2
    assert {each.outcome for each in said} == {"answered"}


@pytest.mark.long
async def test_a_head_that_is_restarted_costs_turns_and_no_session(
    made: Cluster, server: Server
) -> None:
    async with call(server.url, binary=True, session=session_with()) as caller:
        await asyncio.to_thread(made.nodes["head"].kill)
        await asyncio.to_thread(made.start_head, cpus=2)
        await both_pools(made, server)
        assert caller.close_code is None
        said = await take_turn(caller, load_clips(DEFAULT_CLIPS)[0])
        assert said.outcome == "answered"
