"""Servers for the tests: one in this process around fakes, and real ones with real engines."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

import bootstrap
from realtime.engines.speech_detector import SileroDetector
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.client import Client
from tests.fakes import FakeRuntime
from tests.street import Street, a_street

ROOT = Path(__file__).parent.parent

# `make test-chatterbox` and `make test-clients` run these in environments that have what they need.
collect_ignore = [] if find_spec("chatterbox") else ["chatterbox"]
collect_ignore += [] if find_spec("pipecat") else ["clients"]


@pytest.fixture(scope="session")
def models() -> dict[str, Path]:
    """The embedded models, on the volume that a user of this machine would have."""
    plan, volume = bootstrap.plan_for("embedded"), bootstrap.default_volume()
    return asyncio.run(bootstrap.ensure(plan, volume))


@pytest.fixture
async def detector() -> AsyncIterator[SileroDetector]:
    silero = SileroDetector(Metrics())
    silero.load()
    silero.start()
    yield silero
    await silero.close()


@pytest.fixture
def runtime(detector: SileroDetector) -> FakeRuntime:
    """Real ears, fake engines; change its parts before connecting."""
    return FakeRuntime(detector)


@pytest.fixture
def manners() -> Manners:
    """Nothing is paced: tests send faster than real time. Override to change."""
    return Manners(pacing=None)


@pytest.fixture
async def server(runtime: FakeRuntime, manners: Manners) -> AsyncIterator[TestServer]:
    app = make_app(runtime, Metrics(), SessionConfig(instructions="be kind"), manners)
    async with TestServer(app) as started:
        yield started


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def connect(server: TestServer) -> AsyncIterator[Connect]:
    """Open a session and read its `session.created`; transcription events are on."""
    async with aiohttp.ClientSession() as http:

        async def open_session(query: str = "", transcription: bool = True) -> Client:
            url = server.make_url(f"/v1/realtime{query}")
            client = Client(await http.ws_connect(url, max_msg_size=0))
            await client.until("session.created")
            if transcription:
                await client.send(
                    "session.update",
                    session={"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
                )
                await client.until("session.updated")
            return client

        yield open_session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(models: dict[str, Path]) -> AsyncIterator[Street]:
    """One server for many callers, where waits for what is stuck are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realtime.engines.llm.SILENCE_TIMEOUT_S", 0.8)
        patch.setattr("realtime.engines.llm.SILENT_S", 0.1)
        patch.setattr("realtime.engines.whisper.MAX_WAITING_S", 12.0)
        patch.setattr("realtime.websocket.STALLED_S", 0.8)
        async with a_street(models["whisper"]) as made:
            yield made


def run_server(*arguments: str, module: str = "realtime") -> Iterator[str]:
    """`python -m realtime` on a free port until it says where it listens; stopped by SIGTERM."""
    command = [sys.executable, "-m", module, "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"https?://[\w.]+:\d+", line)
            assert found, f"the server did not start: {line!r}"
            yield found.group()
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


@pytest.fixture(scope="session")
def server_url(models: dict[str, Path]) -> Iterator[str]:
    """A real server on the embedded default."""
    yield from run_server()


@pytest.fixture(scope="session")
def echo_url(models: dict[str, Path]) -> Iterator[str]:
    """A real server that says back what it heard, for callers who do not play it in real time."""
    yield from run_server("--replier", "echo", "--pacing", "off")
