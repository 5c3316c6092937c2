"""Routes around the sessions, and the server as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import aiohttp
import pytest

from realtime.admission import RESTART_S, RETRY_AFTER_S
from realtime.capacity import MOST
from realtime.server import ADMISSION, CALLERS, METRICS, drain
from realtime.websocket import prepare
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
        async with http.get(server.make_url("/")) as answer:
            assert answer.status == 200, "by which Kubernetes knows a front end whose pools are out"


async def test_the_page_comes_with_a_strict_policy(server):
    async with aiohttp.ClientSession() as http:
        async with http.get(server.make_url("/")) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/html"
            policy = answer.headers["Content-Security-Policy"]
            assert {"default-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        async with http.get(server.make_url("/static/../pyproject.toml")) as answer:
            assert answer.status == 404


async def test_status_tells_the_rest(connect, server):
    client = await connect()
    async with aiohttp.ClientSession() as http, http.get(server.make_url("/status")) as answer:
        body = await answer.json()
    assert body["sessions"] == {"open": 1, "max": MOST, "served": 1, "refused": 0, "by_key": {}}
    assert body["alive"]["voice"] is True
    assert set(body["loop_lag_ms"]) == {"p50", "p99", "max"}
    assert set(body["histograms"]) == {"loop.lag_ms", "loop.busy_ms", "loop.gc_ms"}
    await client.socket.close()


async def test_the_subprotocol_is_echoed_only_when_offered(server):
    url = server.make_url("/v1/realtime?model=anything")
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(url, protocols=["realtime", "other"]) as socket:
            assert socket.protocol == "realtime"
        async with http.ws_connect(server.make_url("/realtime")) as socket:
            assert socket.protocol is None
            assert (await socket.receive_json())["type"] == "session.created"


async def ready(server) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(server.make_url("/ready")) as answer:
        return answer.status, await answer.json()


async def until(is_true: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_of_callers_who_come_at_once_one_gets_the_last_place(connect, server, monkeypatch):
    """All have asked before the first is upgraded. The others are told so in a form that OpenAI's
    clients read, and the place is free again when its caller has left."""
    admission = server.app[ADMISSION]
    admission.max_sessions = 2
    first = await connect()
    all_asked = asyncio.Event()

    async def late(socket: aiohttp.web.WebSocketResponse, request: aiohttp.web.Request) -> None:
        await all_asked.wait()
        await prepare(socket, request)

    monkeypatch.setattr("realtime.server.prepare", late)
    url = server.make_url("/v1/realtime")
    async with aiohttp.ClientSession() as http:
        asking = asyncio.gather(*(http.ws_connect(url) for _ in range(6)), return_exceptions=True)
        await until(lambda: admission.refused == 5)
        all_asked.set()
        answers = await asking
        refused = [a for a in answers if isinstance(a, aiohttp.WSServerHandshakeError)]
        assert [answer.status for answer in refused] == [503] * 5
        assert {answer.headers["Retry-After"] for answer in refused} == {str(RETRY_AFTER_S)}
        assert server.app[METRICS].counts["sessions.refused.saturated"] == 5
        async with http.get(url, headers=UPGRADE) as answer:
            error = (await answer.json())["error"]
        assert error["code"] == "max_sessions_reached"
        assert "--max-sessions (BANTER_MAX_SESSIONS)" in error["message"]
        body = {"status": "saturated", "reason": error["message"]}
        assert await ready(server) == (503, body)
        assert not first.socket.closed
    await until(lambda: admission.open == 1)  # the client's end closed the one that was let in
    assert await ready(server) == (200, {"status": "ready"})
    await connect()


async def test_a_place_is_given_back_by_whoever_never_gets_a_session(server, monkeypatch):
    async with aiohttp.ClientSession() as http:
        async with http.get(server.make_url("/v1/realtime")) as answer:
            assert answer.status == 400  # it asks for no upgrade

        async def broken(socket: object, request: object) -> None:
            raise ConnectionResetError("the client has left already")

        monkeypatch.setattr("realtime.server.prepare", broken)
        async with http.get(server.make_url("/v1/realtime"), headers=UPGRADE) as answer:
            assert answer.status == 500
    assert server.app[ADMISSION].open == 0
    assert server.app[CALLERS].served == 0


async def test_who_comes_while_the_server_goes_away_is_told_so(connect, server):
    client = await connect()
    await drain(server.app)
    await client.next()
    assert client.close_code == aiohttp.WSCloseCode.GOING_AWAY
    status, body = await ready(server)
    assert (status, body["status"]) == (503, "draining")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(server.make_url("/v1/realtime"))
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"] == str(RESTART_S)


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
