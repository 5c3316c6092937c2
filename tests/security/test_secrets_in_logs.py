"""What the log of a server holds: neither keys nor words, unless words are asked for."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from realtime.key_file import read_keys
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig
from tests.client import Client, clip, quiet, transcripts
from tests.conftest import ROOT
from tests.security.conftest import KEYS, Serve
from tests.test_server import until

CLIP = "ls_6930_0000"
SHARED = "a-secret-that-front-ends-would-share"


@dataclass
class Process:
    """A real server, its log so far, and its keys file."""

    url: str
    log: Path
    keys: Path
    child: asyncio.subprocess.Process


@asynccontextmanager
async def a_server(folder: Path) -> AsyncIterator[Process]:
    keys, log = folder / "keys.toml", folder / "log"
    write_keys(keys, "phone", "office")
    with log.open("w") as file:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "realtime", "--port", "0", "--replier", "echo"),
            *("--keys-file", str(keys), "--log-level", "debug", "--pacing", "off"),
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "BANTER_LLM_KEY": KEYS["monitor"],
                "BANTER_SHARED_SECRET": SHARED,
            },
            stdout=file,
            stderr=file,
        )
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r"listening: (http\S+:\d+)", log.read_text())):
                assert child.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
        yield Process(found.group(1), log, keys, child)
    finally:
        child.terminate()
        assert await asyncio.wait_for(child.wait(), 30) == 0


def write_keys(file: Path, *names: str) -> None:
    file.write_text("".join(f'[[key]]\nname = "{n}"\nkey = "{KEYS[n]}"\n' for n in names))
    file.chmod(0o600)


async def test_a_call_at_debug_level_leaves_no_key_and_no_word_and_keys_turn_on_sighup(
    models, tmp_path, http
):
    async with a_server(tmp_path) as server:
        headers = {"Authorization": f"Bearer {KEYS['phone']}"}
        secrets = f"{server.url}/v1/realtime/client_secrets"
        async with http.post(secrets, headers=headers) as answer:
            value = (await answer.json())["value"]
        page = ("realtime", f"openai-insecure-api-key.{value}")
        client = Client(await http.ws_connect(f"{server.url}/v1/realtime", protocols=page))
        await client.send(
            "session.update",
            session={
                "type": "realtime",
                "instructions": "say nothing of the secret zebra",
                "audio": {"input": {"transcription": {"model": "whisper-1"}}},
            },
        )
        await client.say(quiet(0.3) + clip(CLIP) + quiet(1.5))
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.done")
        for bad in (b"GET / HTTP/1.1\r\nAuthorization : ", b"GET / HTTP/1.1\r\nX: \x00"):
            await raw(server.url, bad + KEYS["office"].encode() + b"\r\n\r\n")
        async with http.get(f"{server.url}/status?key={KEYS['office']}") as answer:
            assert answer.status == 401

        write_keys(server.keys, "office")
        server.child.send_signal(signal.SIGHUP)
        while not client.closed:
            await client.next()
        assert client.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
        assert await status(http, server, "phone") == 401
        assert await status(http, server, "office") == 200
        server.keys.write_text("[[key")
        server.child.send_signal(signal.SIGHUP)
        await until(lambda: "the keys stay as they were" in server.log.read_text())
        assert await status(http, server, "office") == 200
    log = server.log.read_text()
    assert "opened by 127.0.0.1 with the key phone" in log
    for secret in (*KEYS.values(), SHARED, value, value.removeprefix("ek_")):
        assert secret not in log
    words = {w for w in re.findall(r"[a-z]{6,}", heard["transcript"].lower())}
    words |= {w for w in re.findall(r"[a-z]{6,}", transcripts()[CLIP].lower())}
    assert words
    assert not {word for word in words | {"zebra"} if word in log.lower()}
    assert "Traceback" not in log


async def raw(url: str, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(data)
    assert b" 400 " in await reader.readline()
    writer.close()


async def status(http, server: Process, name: str) -> int:
    headers = {"Authorization": f"Bearer {KEYS[name]}"}
    async with http.get(f"{server.url}/status", headers=headers) as answer:
        return int(answer.status)


@pytest.mark.parametrize("asked", [True, False])
async def test_words_of_both_sides_are_logged_only_where_that_is_asked_for(
    runtime, manners, serve: Serve, http, caplog, asked
):
    caplog.set_level(logging.DEBUG)
    runtime.transcriber.texts, runtime.replier.words = ["a purple zebra"], ("green ", "giraffe.")
    app = make_app(runtime, Metrics(), SessionConfig(), manners, log_transcripts=asked)
    server = await serve(app)
    client = Client(await http.ws_connect(server.make_url("/v1/realtime")))
    transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    await client.send("session.update", session=transcription)
    await client.say(quiet(0.3) + clip(CLIP) + quiet(1))
    await client.until("response.done")
    await client.socket.close()
    logged = " ".join(r.getMessage() for r in caplog.records if r.name.startswith("banter"))
    assert ("heard: 'a purple zebra'" in logged) is asked
    assert ("said: 'green giraffe.'" in logged) is asked


def test_a_keys_file_that_others_can_read_is_warned_of(tmp_path, caplog):
    file = tmp_path / "keys.toml"
    write_keys(file, "phone")
    read_keys(file, [])
    assert not caplog.records
    file.chmod(0o644)
    assert [key.name for key in read_keys(file, [])] == ["phone"]
    assert "chmod 600" in caplog.text
