"""docs/cluster.md: its clients lose their socket, come back, and tell what was said."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSCloseCode

from realtime.server import CALLERS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
NODE = shutil.which("node")
TIMEOUT_S = 30
ANSWER = "All is well, thank you. And with you?"

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def sockets() -> list[str]:
    """What gives Node its WebSocket."""
    told = subprocess.run([str(NODE), "--version"], capture_output=True, text=True).stdout
    return [] if int(told[1:].split(".")[0]) >= 22 else ["--experimental-websocket"]


class Typist:
    """One who types lines into a program, and reads what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    async def read(self) -> str:
        assert self.process.stdout
        line = await asyncio.wait_for(self.process.stdout.readline(), TIMEOUT_S)
        return line.decode().strip()

    async def leave(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return await asyncio.wait_for(self.process.wait(), TIMEOUT_S)


@asynccontextmanager
async def typing(language: str, folder: Path, url: str) -> AsyncIterator[Typist]:
    """The page's client in this language, connected to an address of `/v1/realtime`."""
    program = folder / {"python": "client.py", "javascript": "client.mjs"}[language]
    program.write_text(block(language))
    command = [sys.executable, str(program)]
    if language == "javascript":
        command = [str(NODE), *sockets(), "--no-warnings", str(program)]
    process = await asyncio.create_subprocess_exec(
        *command, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Typist(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(params=["python", pytest.param("javascript", marks=needs_node)])
async def typist(request, server, tmp_path) -> AsyncIterator[Typist]:
    url = f"ws://{server.host}:{server.port}/v1/realtime"
    async with typing(request.param, tmp_path, url) as one:
        yield one


def hang_up(server, code: int) -> None:
    callers = server.app[CALLERS]
    for socket in callers.open:
        callers.close(socket, code)


def spoken(prompt) -> list[tuple[str, str]]:
    """What the model was told, without the instructions."""
    return [(message.role, message.text) for message in prompt if message.role != "system"]


async def test_the_next_socket_is_told_what_was_said(typist, server, runtime):
    typist.type("My name is Ada.")
    assert await typist.read() == ANSWER
    hang_up(server, WSCloseCode.GOING_AWAY)
    typist.type("What is my name?")
    assert await typist.read() == ANSWER
    assert spoken(runtime.replier.prompts[-1]) == [
        ("user", "My name is Ada."),
        ("assistant", ANSWER),
        ("user", "What is my name?"),
    ]
    assert await typist.leave() == 0


async def test_a_question_that_was_being_answered_is_asked_again(typist, server, runtime):
    runtime.replier.words = ("All is well. ", "And ", "with ", "you?")
    runtime.replier.stall_after = 3
    typist.type("How is it?")
    await asyncio.wait_for(runtime.replier.stalled.wait(), TIMEOUT_S)
    runtime.replier.stall_after = None
    hang_up(server, WSCloseCode.SERVICE_RESTART)
    assert await typist.read() == "All is well. And with you?"
    assert spoken(runtime.replier.prompts[-1])[0] == ("user", "How is it?")
    assert server.app[CALLERS].served == 2
    assert await typist.leave() == 0


async def test_after_a_refusal_it_does_not_come_back(typist, server):
    typist.type("How is it?")
    assert await typist.read() == ANSWER
    hang_up(server, WSCloseCode.POLICY_VIOLATION)
    typist.type("And now?")
    assert await typist.leave() != 0
    assert server.app[CALLERS].served == 1
