"""A server with keys behind a proxy that is trusted, so that tests may come from any address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime.addresses import parse_networks
from realtime.keyring import Key, Keyring, digest_of
from realtime.limits import Limits
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig

NAMES = ("phone", "office", "monitor")
KEYS = {name: f"the-key-of-the-{name}-and-more" for name in NAMES}
PROXIES = parse_networks("127.0.0.1")


def bearer(name: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}", **more}


def from_address(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.fixture
def keyring() -> Keyring:
    """`phone` and `office` may do everything, `monitor` may look."""
    monitor = Key("monitor", digest_of(KEYS["monitor"]), frozenset(["status"]))
    return Keyring([*(Key(n, digest_of(KEYS[n])) for n in NAMES[:2]), monitor])


@pytest.fixture
def limits() -> Limits:
    return Limits(proxies=PROXIES)


@pytest.fixture
async def keyed(runtime, manners, keyring, limits) -> AsyncIterator[TestServer]:
    app = make_app(runtime, Metrics(), SessionConfig(), manners, keys=keyring, limits=limits)
    async with TestServer(app) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


Serve = Callable[[web.Application], Awaitable[TestServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Any application on a port of its own, until the test is over."""
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> TestServer:
            return await stack.enter_async_context(TestServer(app))

        yield start


async def said(server: TestServer, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes as they are; all that is answered until the server closes."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    answered = asyncio.create_task(reader.read())
    try:
        for piece in pieces:
            if answered.done():
                break
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(answered, 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()
