"""Where calls go, and that they go on whatever happens to the place that they would go to now."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal

import aiohttp
import pytest

from tests.client import Client
from tests.cluster.conftest import BEHIND_HAPROXY, Cluster
from tests.llm_endpoint import Endpoint, finish, stream, words
from tests.test_cluster_page import typing
from tests.test_server import UPGRADE

pytestmark = BEHIND_HAPROXY

QUIET = base64.b64encode(bytes(4_800)).decode()


async def is_alive(client: Client) -> None:
    """It is answered."""
    await client.send("input_audio_buffer.append", audio=QUIET)
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")


async def refusal(cluster: Cluster) -> tuple[int, str, str]:
    """Status, `Retry-After` and code of a call for which there is no place."""
    url = f"{cluster.balancer.url}/v1/realtime"
    async with cluster.http.get(url, headers=UPGRADE) as answer:
        code = (await answer.json())["error"]["code"]
        return answer.status, answer.headers["Retry-After"], code


async def places(cluster: Cluster) -> tuple[int, str]:
    """What `/ready` says through the balancer."""
    async with cluster.http.get(f"{cluster.balancer.url}/ready") as answer:
        return answer.status, (await answer.json())["status"]


async def test_calls_go_to_the_front_end_with_the_fewest(build):
    cluster = await build(("--max-sessions", "8"), ("--max-sessions", "8"))
    made = [await cluster.led() for _ in range(6)]
    assert await cluster.open() == [3, 3]
    left = [client for client, number in made if number == 2]
    for client, number in made:
        if number == 1:
            await client.socket.close()
    await cluster.balancer.holding(1, 0)
    for n in range(3):  # in turn would be another order
        client, number = await cluster.led()
        assert number == 1, f"after {n} calls"
        left.append(client)
    for client in left:
        await is_alive(client)


async def test_a_full_front_end_gets_no_new_calls_and_keeps_its_own(build):
    cluster = await build(("--max-sessions", "2"), ("--max-sessions", "6"))
    made = [await cluster.call() for _ in range(4)]
    assert await cluster.open() == [2, 2]
    await cluster.balancer.until(1, "DOWN")
    refused = await cluster.refused()
    made += [await cluster.call() for _ in range(4)]
    assert await cluster.open() == [2, 6]
    assert (await cluster.refused())[0] == refused[0], "it was not even asked"
    for client in made:
        await is_alive(client)
    await cluster.balancer.until(2, "DOWN")
    assert await places(cluster) == (503, "saturated")
    status, wait_s, code = await refusal(cluster)
    assert (status, code) == (503, "max_sessions_reached"), "in a front end's own words"
    assert int(wait_s) >= 1
    await made[0].socket.close()
    await cluster.balancer.until(1, "UP")
    assert await places(cluster) == (200, "ready")
    await is_alive(await cluster.call())


async def test_a_call_that_a_front_end_refuses_in_this_second_is_made_again_elsewhere(build):
    """Health checks are as good as never made, so the balancer does not know."""
    cluster = await build(
        ("--max-sessions", "1"),
        ("--max-sessions", "3"),
        changes={"check inter 1s": "check inter 1h", "check inter 2s": "check inter 1h"},
    )
    made = [await cluster.call() for _ in range(4)]
    assert await cluster.open() == [1, 3]
    assert sum(await cluster.refused()) >= 1
    for client in made:
        await is_alive(client)
    assert (await refusal(cluster))[2] == "max_sessions_reached"


@pytest.mark.parametrize("way", ["weight", "state"])
async def test_drained_its_call_goes_on_and_new_ones_go_elsewhere(build, way):
    cluster = await build(("--max-sessions", "8"), ("--max-sessions", "8"))
    made = [await cluster.call() for _ in range(2)]
    assert await cluster.open() == [1, 1]
    if way == "weight":
        await cluster.balancer.weigh(1, 0)
    else:
        await cluster.balancer.drain(1)
    made += [await cluster.call() for _ in range(3)]
    assert await cluster.open() == [1, 4]
    for client in made:
        await is_alive(client)
    await cluster.balancer.restore(1)
    made += [await cluster.call() for _ in range(3)]
    assert await cluster.open() == [4, 4]


async def test_a_front_end_that_goes_away_politely_is_missed_by_nobody(build):
    """SIGTERM: callers at rest are closed with 1001, and find a place elsewhere at once."""
    cluster = await build(("--max-sessions", "8"), ("--max-sessions", "8"))
    made = [await cluster.call() for _ in range(2)]
    assert await cluster.open() == [1, 1]
    pid = cluster.front_ends[0].pid
    assert pid
    os.kill(pid, signal.SIGTERM)
    ends = [asyncio.create_task(closed(client)) for client in made]
    done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [aiohttp.WSCloseCode.GOING_AWAY]
    for _ in range(3):
        await is_alive(await cluster.call())
    for task in waiting:
        task.cancel()


async def closed(client: Client) -> int | None:
    while not client.closed:
        await client.next()
    return client.close_code


async def test_callers_of_a_killed_front_end_carry_on_elsewhere(build, tmp_path):
    """The page's client in Python loses its socket, and the model sees the earlier conversation."""
    async with Endpoint().serve() as endpoint:
        endpoint.script = [
            stream(words("Nice to meet you, Ada."), finish()),
            stream(words("Your name is Ada."), finish()),
        ]
        llm = ("--llm-url", endpoint.url, "--max-sessions", "4")
        cluster = await build(llm, llm, replier="openai")
        url = f"ws{cluster.balancer.url[4:]}/v1/realtime"
        async with typing("python", tmp_path, url) as typist:
            typist.type("My name is Ada.")
            assert await typist.read() == "Nice to meet you, Ada."
            [alive] = [n for n, open_now in enumerate(await cluster.open()) if not open_now]
            killed = cluster.front_ends[1 - alive]
            assert killed.pid
            os.kill(killed.pid, signal.SIGKILL)
            typist.type("What is my name?")
            assert await typist.read() == "Your name is Ada."
            assert (await cluster.front_ends[alive].status())["sessions"]["open"] == 1
            assert await typist.leave() == 0
    told = [(m["role"], m["content"]) for m in endpoint.requests[-1]["messages"][1:]]
    assert told == [
        ("user", "My name is Ada."),
        ("assistant", "Nice to meet you, Ada."),
        ("user", "What is my name?"),
    ]


SHORT = {"timeout client 65s": "timeout client 2s", "timeout server 65s": "timeout server 2s"}
SILENCE_S = 6
"""Shorter than the 20 s between a front end's pings, which would keep any call alive."""


async def test_a_silent_call_outlives_the_time_outs_of_http(build):
    cluster = await build(("--max-sessions", "4"), changes=SHORT)
    client = await cluster.call()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.socket.receive(), SILENCE_S)
    await is_alive(client)


async def test_what_keeps_it_is_the_time_out_of_tunnels(build):
    cluster = await build(
        ("--max-sessions", "4"), changes={**SHORT, "timeout tunnel 1h": "timeout tunnel 2s"}
    )
    client = await cluster.call()
    assert await asyncio.wait_for(closed(client), SILENCE_S) is None


async def test_a_front_end_is_told_where_a_caller_comes_from(build):
    """And not what the caller says of himself."""
    cluster = await build(("--max-sessions", "4", "--trusted-proxies", "127.0.0.1"))
    log = cluster.front_ends[0].log
    assert log
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.77", 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        url = f"{cluster.balancer.url}/v1/realtime"
        forged = {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}
        async with http.ws_connect(url, headers=forged) as socket:
            assert json.loads((await socket.receive()).data)["type"] == "session.created"
    assert re.findall(r"opened by (\S+)", log.read_text()) == ["127.0.0.77"]
