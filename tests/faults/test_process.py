"""The real process: how it ends, with which code, and that the next start can live with it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from realtime.supervisor import DEVICE_LOST
from tests.client import Client, clip, quiet
from tests.conftest import ROOT
from tests.weights import PATIENCE_S

pytestmark = pytest.mark.pace

TURN = quiet(0.3) + clip("ls_6930_0000") + quiet(1)
LIMIT_S = 60
QUICK = ("--end-of-turn", "off", "--max-sessions", "4")


@contextmanager
def serving(
    folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "realtime")
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server whose temporary files lie in `folder`, and its address; killed if it still runs."""
    with subprocess.Popen(
        [sys.executable, *program, "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://[\w.]+:\d+", line)
            assert found, line
            yield process, found.group()
        finally:
            process.kill()


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, LIMIT_S)


async def knock(http: aiohttp.ClientSession, url: str) -> Client:
    client = Client(await http.ws_connect(f"{url}/v1/realtime", max_msg_size=0))
    await client.until("session.created")
    return client


async def closed(client: Client) -> int | None:
    """The code that it was closed with."""
    async with asyncio.timeout(PATIENCE_S):
        while not client.closed:
            await client.next()
    return client.close_code


async def test_sigkill_leaves_nothing_that_matters_and_sigterm_waits_for_a_turn(models, tmp_path):
    """Killed in mid-turn, the first server leaves the folder of its language model; the second
    takes that away, and is told to go while a reply is being played, and then to hurry."""
    async with aiohttp.ClientSession() as http:
        with serving(tmp_path, *QUICK) as (process, url):
            client = await knock(http, url)
            await client.say(TURN)
            await client.until("response.created")
            process.send_signal(signal.SIGKILL)
            assert await ended(process) == -signal.SIGKILL
            await client.socket.close()
        [left] = tmp_path.glob("banter-llm-*")
        with serving(tmp_path, *QUICK) as (process, url):
            [folder] = tmp_path.glob("banter-llm-*")
            assert folder != left
            resting, speaking = await knock(http, url), await knock(http, url)
            await speaking.say(TURN)
            await speaking.until("response.output_audio.delta")
            process.send_signal(signal.SIGTERM)
            assert await closed(resting) == 1001
            async with http.get(f"{url}/ready") as answer:
                assert answer.status == 503
                assert (await answer.json())["status"] == "draining"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await knock(http, url)
            assert refused.value.status == 503
            process.send_signal(signal.SIGTERM)  # the reply is still being played
            assert await closed(speaking) == 1001
            assert await ended(process) == 0
        assert not list(tmp_path.glob("banter-llm-*"))


async def test_a_lost_gpu_ends_the_process_with_a_code_and_its_callers_politely(models, tmp_path):
    program = (str(ROOT / "tests" / "faults" / "losing.py"),)
    async with aiohttp.ClientSession() as http:
        with serving(tmp_path, *QUICK, "--replier", "echo", program=program) as (process, url):
            hit, resting = await knock(http, url), await knock(http, url)
            (tmp_path / "now").touch()
            await hit.say(TURN)
            error = await hit.until("error")
            assert error["error"]["stage"] == "speech_detection"
            assert [await closed(client) for client in (hit, resting)] == [1012, 1012]
            assert await ended(process) == DEVICE_LOST
