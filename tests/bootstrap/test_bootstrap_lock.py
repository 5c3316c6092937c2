"""The lock: one holder at a time, who is named to those who wait, and whose death frees it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_index import WAIT_S

from bootstrap import lock

REPOSITORY = Path(lock.__file__).parents[1]

HOLDER = """
import asyncio, pathlib, sys
from bootstrap import lock
async def hold():
    async with lock.held(pathlib.Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(hold())
"""


class Log(logging.Handler):
    """The lines of `banter.bootstrap`, for a test that waits for the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put_nowait(record.getMessage())

    async def until(self, words: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while words not in await self.lines.get():
                continue


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    caplog.set_level(logging.INFO, "banter.bootstrap")
    handler = Log()
    logging.getLogger("banter.bootstrap").addHandler(handler)
    yield handler
    logging.getLogger("banter.bootstrap").removeHandler(handler)


async def hold(path: Path, order: list[str], name: str, go_on: asyncio.Event) -> None:
    async with lock.held(path):
        order.append(f"{name} has it")
        await go_on.wait()
        order.append(f"{name} gives it back")


async def test_second_waits_for_the_first_and_says_who_it_is(tmp_path: Path, log: Log) -> None:
    order: list[str] = []
    go_on = asyncio.Event()
    path = tmp_path / "lock"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(path, order, "first", go_on))
        tasks.create_task(hold(path, order, "second", go_on))
        await log.until(f"held by process {os.getpid()} on {socket.gethostname()}")
        go_on.set()
    assert order == [
        "first has it",
        "first gives it back",
        "second has it",
        "second gives it back",
    ]
    assert path.read_bytes() == b""


async def test_waiting_can_be_cancelled(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "lock"
    async with lock.held(path):
        waiting = asyncio.create_task(hold(path, [], "second", asyncio.Event()))
        await log.until("waiting for")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(WAIT_S), lock.held(path):
        pass


async def test_killed_holder_frees_it(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "lock"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, path, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    order: list[str] = []
    go_on = asyncio.Event()
    go_on.set()
    waiting = asyncio.create_task(hold(path, order, "second", go_on))
    await log.until(f"held by process {holder.pid} ")
    assert order == []
    holder.kill()
    async with asyncio.timeout(WAIT_S):
        await waiting
        await holder.wait()
    assert order == ["second has it", "second gives it back"]
