"""Routes around the sessions, and the server as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys

import aiohttp
import pytest

from realtime.server import CALLERS
from tests.client import Client, clip, quiet
from tests.conftest import ROOT


async def test_health_answers_exactly_two_keys(server, runtime):
    async with aiohttp.ClientSession() as http:
        async with http.get(server.make_url("/health")) as answer:
            assert answer.status == 200
            assert await answer.read() == b'{"status":"ok","models":{"tts":true,"whisper":true}}'
        runtime.dead.add("whisper")
        async with http.get(server.make_url("/health")) as answer:
            assert answer.status == 503
            body = await answer.json()
            assert body == {"status": "error", "models": {"tts": True, "whisper": False}}


async def test_the_page_comes_with_a_strict_policy(server):
    async with aiohttp.ClientSession() as http:
        async with http.get(server.make_url("/")) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/html"
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        async with http.get(server.make_url("/static/../pyproject.toml")) as answer:
            assert answer.status == 404


async def test_status_tells_the_rest(connect, server):
    client = await connect()
    async with aiohttp.ClientSession() as http, http.get(server.make_url("/status")) as answer:
        body = await answer.json()
    assert body["sessions"] == {"open": 1, "served": 1}
    assert body["alive"]["voice"] is True
    assert set(body["loop_lag_ms"]) == {"p50", "p99", "max"}
    await client.socket.close()


async def test_the_subprotocol_is_echoed_only_when_offered(server):
    url = server.make_url("/v1/realtime?model=anything")
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(url, protocols=["realtime", "other"]) as socket:
            assert socket.protocol == "realtime"
        async with http.ws_connect(server.make_url("/realtime")) as socket:
            assert socket.protocol is None
            assert (await socket.receive_json())["type"] == "session.created"


async def test_shutting_down_says_so_to_every_caller(connect, server):
    clients = [await connect() for _ in range(3)]
    closing = asyncio.create_task(server.close())
    for client in clients:
        await client.next()
        assert client.closed
        assert client.close_code == aiohttp.WSCloseCode.GOING_AWAY
    await closing


async def test_a_bug_in_a_session_closes_it_and_no_other(connect, monkeypatch, caplog):
    first, second = await connect(), await connect()

    def bug(*args, **kwargs):
        raise RuntimeError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr("realtime.session.Session.clear", bug)
        await first.send("input_audio_buffer.clear")
        while not first.closed:
            await first.next()
    assert first.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR
    assert "secret detail" in caplog.text
    await second.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    assert (await second.until("response.done"))["response"]["status"] == "completed"


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "realtime", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--port", "abc"], {}, "--port (BANTER_PORT): 'abc'"),
        ([], {"BANTER_REPLIER": "oracle"}, "--replier (BANTER_REPLIER): 'oracle'"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_line(arguments, variables, said):
    with start(*arguments, **variables) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_a_port_that_is_taken_is_said(models, server_url):
    port = server_url.rsplit(":", 1)[1]
    with start("--port", port, "--replier", "echo") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in err.splitlines()[-1]


def test_sigterm_during_the_start_ends_it(tmp_path):
    """The volume is empty, so the start is busy with a download that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        with start(
            "--volume",
            str(tmp_path),
            "--port",
            "0",
            PIP_INDEX_URL=index,
            PIP_CONFIG_FILE=os.devnull,
        ) as process:
            connection, _ = silent.accept()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            connection.close()
    assert process.returncode == 0


async def test_sigterm_closes_callers_politely_and_exits_0(models):
    with start("--port", "0", "--replier", "echo") as process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        url = line.split()[-1]
        async with aiohttp.ClientSession() as http:
            client = Client(await http.ws_connect(f"{url}v1/realtime"))
            await client.until("session.created")
            process.send_signal(signal.SIGTERM)
            await client.next()
            assert client.close_code == aiohttp.WSCloseCode.GOING_AWAY
        await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0


async def test_a_client_that_does_not_read_is_closed_and_nobody_else(
    connect, server, runtime, monkeypatch
):
    monkeypatch.setattr("realtime.websocket.STALLED_S", 0.3)
    runtime.replier.words = ("One. ",) * 50
    runtime.voice.seconds = 100.0
    other = await connect()
    callers = server.app[CALLERS]
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1_024)
    writer.write(
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"session.created")
    message = b'{"type":"response.create"}'
    writer.write(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    for _ in range(400):
        if len(callers.sockets) == 1:
            break
        await asyncio.sleep(0.05)
    assert len(callers.sockets) == 1
    writer.close()
    runtime.replier.words, runtime.voice.seconds = ("Fine. ",), 0.5
    await other.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    assert (await other.until("response.done"))["response"]["status"] == "completed"
