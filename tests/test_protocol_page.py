"""docs/protocol.md: the turn that it shows is the one that happens, and its clients run."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from tests.client import clip, quiet
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
NODE = shutil.which("node")
SAID = "You: hello there\nBanter: All is well, thank you. And with you?\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(quiet(0.3) + clip("ls_6930_0000"))
    return path


async def run(*command: object) -> str:
    """What a program prints; it has to end well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


def address(server) -> str:
    return f"ws://{server.host}:{server.port}/v1/realtime"


async def test_the_turn_on_the_page_is_the_one_that_happens(connect, runtime):
    [turn] = [block for block in blocks("") if "speech_started" in block]
    told = re.findall(r"^S (\S+)", turn, re.MULTILINE)
    runtime.replier.words = ("Fine.",)
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("rate_limits.updated")
    happened = [name for name, _ in itertools.groupby(e["type"] for e in client.events)]
    assert happened == told


async def test_the_client_in_python_runs(server, question, tmp_path):
    [source] = blocks("python")
    program, answer = tmp_path / "client.py", tmp_path / "answer.wav"
    program.write_text(source)
    assert await run(sys.executable, program, address(server), question, answer) == SAID
    with wave.open(str(answer)) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() == 24_000 * 3 // 2


@pytest.mark.skipif(NODE is None, reason="node is not installed")
async def test_the_client_in_javascript_runs(server, question, tmp_path):
    [source] = blocks("javascript")
    program, answer = tmp_path / "client.mjs", tmp_path / "answer.pcm"
    program.write_text(source)
    version = int((await run(NODE, "--version")).strip().lstrip("v").split(".")[0])
    flags = [] if version >= 22 else ["--experimental-websocket", "--no-warnings"]
    said = await run(NODE, *flags, program, address(server), question, answer)
    assert said == SAID
    assert answer.stat().st_size == 24_000 * 3
