"""The event loop is free: what is measured of it, who is named, and what it says under load."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import types
from collections import Counter
from collections.abc import Callable

import aiohttp
import pytest

from realtime.metrics import BUCKETS_MS, Histogram, Metrics
from realtime.watchdog import LIMIT_MS, MAX_CULPRITS, NOBODY, OTHERS, Heartbeat, Sentry, Watchdog
from tests.client import Client, clip, quiet

PLANTED_MS = 50
OVER = [f"<={bound}" for bound in BUCKETS_MS if bound > LIMIT_MS] + [f">{BUCKETS_MS[-1]}"]
CLIPS = ("ls_6930_0000", "vctk_p287_004_clean", "ls_61_0000", "ls_1221_0002")
FLOOD_BYTES = 14 * 2**20
ATTEMPTS = 3
A_LITTLE_OVER = "<=20"


def sleep() -> None:
    time.sleep(PLANTED_MS / 1e3)


def work() -> None:
    until_s = time.thread_time() + PLANTED_MS / 1e3
    while time.thread_time() < until_s:
        pass


BLOCKERS = (sleep, work)


def over_limit(histogram: dict[str, float]) -> dict[str, float]:
    return {name: histogram[name] for name in OVER if histogram[name]}


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    import uvloop

    return [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("new_loop", loops(), ids=lambda new_loop: new_loop.__module__)
@pytest.mark.parametrize("blocker", BLOCKERS)
def test_a_blocking_callback_is_measured_and_named(new_loop, blocker, caplog):
    """On both loops; whoever sleeps is late and not busy, whoever works is both."""
    here = {"__name__": "realtime.planted", "time": time, "PLANTED_MS": PLANTED_MS}
    planted = types.FunctionType(blocker.__code__, here)
    metrics = Metrics()

    async def run() -> dict[str, int]:
        watchdog = Watchdog(metrics, debug=True)
        watchdog.start()
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().call_soon(planted)
        for _ in range(400):  # the thread tells what it saw once the loop goes on
            await asyncio.sleep(0.02)
            if watchdog.culprits:
                break
        await watchdog.stop()
        return watchdog.culprits

    with asyncio.Runner(loop_factory=new_loop) as runner:
        culprits = runner.run(run())
    named = [name for name in culprits if name.startswith(f"realtime.planted:{blocker.__name__}:")]
    assert named
    assert f"by {named[0]}" in caplog.text
    assert metrics.histogram("loop.lag_ms").longest > PLANTED_MS - 10
    busy_ms = metrics.histogram("loop.busy_ms").longest
    assert busy_ms >= PLANTED_MS if blocker is work else busy_ms < PLANTED_MS / 2


@pytest.fixture
def debugging(caplog):
    """The logger's level as `--log-level debug` sets it."""
    caplog.set_level(logging.DEBUG, "banter.watchdog")


@pytest.fixture
def server_in_debug(debugging, server):
    return server


@pytest.mark.parametrize("blocker", BLOCKERS)
async def test_a_session_that_blocks_is_named_in_the_status(server_in_debug, monkeypatch, blocker):
    def planted(session: object) -> None:
        blocker()

    monkeypatch.setattr("realtime.session.Session.clear", planted)
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(server_in_debug.make_url("/v1/realtime")))
        await client.send("input_audio_buffer.clear")
        await client.send("input_audio_buffer.commit")
        await client.until("error")  # of the commit: the clear is over
        await client.socket.close()
        for _ in range(400):  # the thread tells what it saw once the loop goes on
            async with http.get(server_in_debug.make_url("/status")) as answer:
                culprits = (await answer.json())["loop_culprits"]
            if any(name.startswith("realtime.requests:Requests._clear:") for name in culprits):
                return
            await asyncio.sleep(0.02)
    raise AssertionError(f"not among {culprits}")


def test_nobody_is_named_without_debugging():
    async def run() -> dict[str, int]:
        watchdog = Watchdog(Metrics(), debug=False)
        watchdog.start()
        sleep()
        await asyncio.sleep(0)
        await watchdog.stop()
        return watchdog.culprits

    assert asyncio.run(run()) == {}


def test_culprits_are_counted_up_to_a_bound_and_told_once_a_second(caplog):
    sentry = Sentry(Heartbeat(Metrics()))
    for n in range(MAX_CULPRITS + 3):
        sentry._tell(f"realtime.x:f:{n} (in y:g:1) < realtime.z:h:2", 20.0, 19.0)
    sentry._tell(NOBODY, 20.0, 0.1)
    assert sentry.culprits["realtime.x:f:0"] == 1
    assert sentry.culprits[OTHERS] == 4
    assert len(sentry.culprits) == MAX_CULPRITS + 1
    assert len(caplog.records) == 1


def test_collections_are_timed():
    metrics = Metrics()

    async def run() -> None:
        watchdog = Watchdog(metrics)
        watchdog.start()
        gc.collect()
        await watchdog.stop()
        gc.collect()

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
    assert sum(metrics.histogram("loop.gc_ms").counts) == 1


def test_a_histogram_counts_each_value_in_its_bucket():
    histogram = Histogram()
    for ms in (0.0, 1.0, 1.1, 10.0, 10.1, 100.0, 2_000.0):
        histogram.add(ms)
    told = histogram.report()
    assert told == {
        **dict.fromkeys(("<=5", "<=50"), 0),
        **{"<=1": 2, "<=2": 1, "<=10": 1, "<=20": 1, "<=100": 1, ">100": 1},
        "longest": 2_000.0,
    }
    assert over_limit(told) == {"<=20": 1, "<=100": 1, ">100": 1}


@pytest.mark.pace
async def test_nothing_over_the_limit_runs_on_the_loop_of_a_loaded_server(echo_url):
    """Eight callers say a clip each at the same time and hear it said back, while a ninth sends
    five minutes of audio in one message: by CPU time between two beats, and by the server's own
    count, not by a clock of this test. What a virtual machine loses to its host is in that time
    too; so it is done again where something was a little over the limit, and what we do ourselves
    is over it each time."""
    spent = []
    async with aiohttp.ClientSession() as http:
        for _ in range(ATTEMPTS):
            before = await busy_ms(http, echo_url)
            await load(http, echo_url)
            after = await busy_ms(http, echo_url)
            spent.append({bucket: after[bucket] - before[bucket] for bucket in after})
            assert sum(spent[-1][f"<={bound}"] for bound in BUCKETS_MS) > 100  # it did beat
            over = over_limit(spent[-1])
            if not over:
                return
            assert set(over) == {A_LITTLE_OVER}, spent
    raise AssertionError(spent)


async def busy_ms(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with http.get(f"{url}/status") as answer:
        told: dict[str, float] = (await answer.json())["histograms"]["loop.busy_ms"]
        return told


async def load(http: aiohttp.ClientSession, url: str) -> None:
    async def opened(query: str = "") -> Client:
        client = Client(await http.ws_connect(f"{url}/v1/realtime{query}", max_msg_size=0))
        await client.until("session.created")
        return client

    async def converse(client: Client, name: str) -> str:
        audio = quiet(0.3) + clip(name) + quiet(1)
        for start in range(0, len(audio), 4_800):
            await client.say(audio[start : start + 4_800])
        done = await client.until("response.done")
        await client.socket.close()
        return str(done["response"]["status"])

    clients = [await opened("?audio=binary" if n % 2 else "") for n in range(8)]
    flooder = await opened()
    once = clip("jfk")
    await flooder.say((once * (FLOOD_BYTES // len(once) + 1))[:FLOOD_BYTES])
    talks = [converse(client, CLIPS[n % len(CLIPS)]) for n, client in enumerate(clients)]
    assert Counter(await asyncio.gather(*talks)) == {"completed": 8}
    await flooder.socket.close()
