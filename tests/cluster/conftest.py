"""Real front ends, each a process of its own, behind a real HAProxy with deploy/haproxy.cfg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest

from benchmarks.balancer import Balancer, program, started_balancer
from benchmarks.server import Server, started_server
from tests.client import Client

QUICK = ("--end-of-turn", "off", "--speculation", "off", "--pacing", "off")
KEY = "a-key-that-only-these-tests-know"


BEHIND_HAPROXY = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        program() is None, reason="haproxy is not installed: apt-get install haproxy"
    ),
]
"""What is marked so is `make test-cluster`'s."""


@dataclass
class Cluster:
    """Front ends, numbered from 1, and the balancer before them."""

    front_ends: list[Server]
    balancer: Balancer
    http: aiohttp.ClientSession

    async def open(self) -> list[int]:
        """How many calls each has now, by its own count."""
        return [status["sessions"]["open"] for status in await self._statuses()]

    async def refused(self) -> list[int]:
        """How many calls each has refused so far."""
        return [status["sessions"]["refused"] for status in await self._statuses()]

    async def _statuses(self) -> list[dict]:
        return list(await asyncio.gather(*(server.status() for server in self.front_ends)))

    async def call(self, **more: object) -> Client:
        """A call through the balancer."""
        socket = await self.http.ws_connect(f"{self.balancer.url}/v1/realtime", **more)
        client = Client(socket)
        await client.until("session.created")
        return client

    async def led(self) -> tuple[Client, int]:
        """A call through the balancer, and the number of the front end that it came to."""
        before = await self.open()
        client = await self.call()
        after = await self.open()
        [number] = [n for n, (b, a) in enumerate(zip(before, after, strict=True), 1) if a > b]
        return client, number


Build = Callable[..., Awaitable[Cluster]]


@pytest.fixture
async def build(models) -> AsyncIterator[Build]:
    """Start a cluster: options of each front end, and changes of the balancer's file."""
    async with AsyncExitStack() as stack:

        async def start(
            *options: Sequence[str],
            replier: str = "echo",
            key: str = "",
            changes: Mapping[str, str] | None = None,
            environment: Mapping[str, str] | None = None,
        ) -> Cluster:
            starts = [started_server(replier, *QUICK, *each) for each in options]
            servers = await asyncio.gather(*(stack.enter_async_context(each) for each in starts))
            for server in servers:
                server.key = key
            addresses = [server.url for server in servers]
            balancer = await stack.enter_async_context(
                started_balancer(addresses, changes=changes, environment=environment)
            )
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            http = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
            return Cluster(list(servers), balancer, http)

        yield start
