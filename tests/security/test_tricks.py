"""Paths, headers and frames that are bent: nothing is given away, and nobody else notices."""

from __future__ import annotations

import asyncio
import struct

import pytest
from aiohttp.test_utils import TestServer

from realtime.metrics import Metrics
from realtime.server import CALLERS, make_app
from realtime.session_config import SessionConfig
from realtime.websocket import FRAMES_A_TURN, READ_BYTES, SHORTEST_FRAME_BYTES, CutUp
from tests.security.conftest import said
from tests.security.test_slow_and_many import UPGRADE
from tests.test_server import until


def get(path: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", *(lines or (b"Host: x",)), b"", b""])


CLOSE = (b"Host: x", b"Connection: close")


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../pyproject.toml",
        b"/static/../../etc/passwd",
        b"/static/%2e%2e/pyproject.toml",
        b"/static/%2e%2e%2fpyproject.toml",
        b"/static/..%2fpyproject.toml",
        b"/static/..%5cpyproject.toml",
        b"/static/%252e%252e/pyproject.toml",
        b"/static/..\\pyproject.toml",
        b"/static//etc/passwd",
        b"/static/%2fetc/passwd",
        b"/static/app.js%00.html",
        b"/static/%00",
        b"/static/%ff%fe",
        b"/static/" + b"a/" * 2_000,
        b"/static/" + b"a" * 300,
        b"/static/.",
        b"/static/",
        b"/static/link",
    ],
)
async def test_no_path_leads_out_of_the_pages_folder(server, path):
    answer = await said(server, get(path, *CLOSE))
    status = answer.split()[1]
    assert status in (b"403", b"404", b"400"), answer[:100]
    assert b"[project]" not in answer
    assert b"root:" not in answer
    assert b"Traceback" not in answer


async def test_a_link_in_the_folder_is_not_followed_out_of_it(
    runtime, manners, tmp_path, monkeypatch
):
    (tmp_path / "secret").write_text("a secret")
    page = tmp_path / "static"
    page.mkdir()
    (page / "link").symlink_to(tmp_path / "secret")
    (page / "file").write_text("a file")
    monkeypatch.setattr("realtime.server.static_folder", lambda: page)
    async with TestServer(make_app(runtime, Metrics(), SessionConfig(), manners)) as server:
        assert b"a file" in await said(server, get(b"/static/file", *CLOSE))
        answer = await said(server, get(b"/static/link", *CLOSE))
    assert answer.split()[1] in (b"403", b"404")
    assert b"a secret" not in answer


BODY = b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        BODY + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
        BODY + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        BODY + b"Content-Length: +2\r\n\r\n{}",
        BODY + b"Content-Length: -2\r\n\r\n{}",
        BODY + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        BODY + b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        BODY + b"Content-Length : 2\r\n\r\n{}",
        get(b"/health", b"Host: x", b"X-A: 1\r\n folded: 2"),
        get(b"/health", b"Host: x", b"X-\x00: 1"),
        get(b"/health", b"Host: x", b"X-A: a\x00b"),
        get(b"/health", b"Host: x", b": 1"),
        b"GET /health HTTP/1.1 extra\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, to a server without
        b"\x00" * 64,
    ],
)
async def test_a_head_that_could_be_read_in_two_ways_is_refused(server, request_):
    answer = await said(server, request_)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")) or answer == b"", answer[:200]
    assert answer.count(b"\r\nDate: ") <= 1


async def test_of_two_origins_or_hosts_none_is_a_way_in(server):
    """The server has no keys: a page has to be of this machine."""
    for lines in (
        (b"Host: x", b"Origin: http://localhost", b"Origin: https://evil.example"),
        (b"Host: x", b"Origin: https://evil.example", b"Origin: http://localhost"),
        (b"Host: evil.example", b"Host: x", b"Origin: https://evil.example:1"),
        (b"Host: x", b"Origin: https://evil.example", b"X-Forwarded-Host: evil.example"),
        (b"Host: x", b"Origin: http://localhost@evil.example"),
        (b"Host: x", b"Origin: http://[::1"),
    ):
        head = UPGRADE.split(b"\r\n")
        sent = b"\r\n".join([head[0], *lines, *head[2:]])
        answer = await said(server, sent + b"\x88\x80\0\0\0\0")
        assert not answer.startswith(b"HTTP/1.1 101"), lines


async def test_nothing_of_a_request_comes_back_as_a_header(server):
    for path, lines in (
        (b"/static/%0d%0aX-Evil:%201", ()),
        (b"/v1/realtime?model=%0d%0aX-Evil:%201", ()),
        (b"/nowhere%0d%0aX-Evil:%201", ()),
        (b"/v1/models/%0d%0aX-Evil:%201", ()),
        (b"/v1/realtime", (b"Sec-WebSocket-Protocol: realtime, X-Evil",)),
    ):
        answer = await said(server, get(path, *CLOSE, *lines))
        assert b"X-Evil" not in answer.split(b"\r\n\r\n")[0].replace(b"%0d%0a", b""), path


def frame(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """A frame with a mask of zeros; `length` is what it claims."""
    size = len(payload) if length is None else length
    head = bytes([first])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    return head + bytes(4) + payload


PROTOCOL_ERROR, NOT_UTF8, TOO_LARGE = 1002, 1007, 1009
CLEAR = b'{"type":"input_audio_buffer.clear"}'


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(0x83, b"x"), PROTOCOL_ERROR),  # opcodes that are none
        (frame(0x8F, b"x"), PROTOCOL_ERROR),
        (frame(0xC1, b"x"), PROTOCOL_ERROR),  # compressed, which was not agreed upon
        (frame(0xA1, b"x"), PROTOCOL_ERROR),
        (frame(0x80, b"x"), PROTOCOL_ERROR),  # goes on where nothing has begun
        (frame(0x01, b"x") + frame(0x81, b"x"), PROTOCOL_ERROR),  # begins in the middle
        (frame(0x09, b"x"), PROTOCOL_ERROR),  # a ping in parts
        (frame(0x89, b"x" * 126), PROTOCOL_ERROR),  # a ping that is too long
        (frame(0x88, b"x"), PROTOCOL_ERROR),  # half a close code
        (frame(0x88, struct.pack(">H", 5)), PROTOCOL_ERROR),
        (frame(0x81, b"\xff\xfe"), NOT_UTF8),
        (frame(0x81, length=2**40), TOO_LARGE),
        (frame(0x82, length=2**63 - 1), TOO_LARGE),
        (frame(0x81, b"a" * 1_000, length=33 * 2**20), TOO_LARGE),
    ],
)
async def test_frames_against_the_rules_close_their_own_socket_alone(server, connect, frames, code):
    other = await connect()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"session.created")
    writer.write(frames)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert struct.pack(">H", code) in answer[-130:], answer[-130:]
    await until(lambda: len(server.app[CALLERS].sockets) == 1)
    await other.send("input_audio_buffer.clear")
    await other.until("input_audio_buffer.cleared")
    await other.socket.close()


@pytest.mark.parametrize(
    "flood",
    [
        frame(0x89) * 20_000,
        frame(0x8A) * 20_000,
        frame(0x82) * 20_000,
        frame(0x01) + frame(0x00) * 20_000,
        frame(0x01) + frame(0x00, b"{") * 20_000,
        frame(0x81, b"[" * 100_000),
        frame(0x81, b'{"type":' * 10_000),
    ],
    ids=["pings", "pongs", "empty", "parts", "nested in parts", "nested", "nested objects"],
)
async def test_who_floods_with_frames_is_served_a_few_in_each_turn(server, connect, flood):
    """The other one is answered between them: in one go they took from 0.1 to 9 s."""
    other = await connect()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"session.created")
    reading = asyncio.create_task(reader.read())
    writer.write(flood)
    for _ in range(5):
        await other.send("input_audio_buffer.clear")
        await other.until("input_audio_buffer.cleared")
    writer.close()
    await reading
    await other.socket.close()
    await until(lambda: not server.app[CALLERS].sockets)


async def test_of_a_flood_no_more_is_read_in_a_turn_of_the_loop_than_a_few_frames():
    """A transport reads up to 32 times in one turn, as long as the buffer is full each time."""
    passed = []

    class Inner(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            passed.append(data)

    cut, flood, at = CutUp(Inner()), frame(0x89) * 20_000, 0

    def read() -> int:
        buffer = cut.get_buffer(-1)
        size = len(buffer)
        buffer[:] = flood[at : at + size]
        cut.buffer_updated(size)
        return size

    for _ in range(32):
        at += read()
    first = sum(map(len, passed)) / SHORTEST_FRAME_BYTES
    assert FRAMES_A_TURN / 2 < first < 2 * FRAMES_A_TURN
    await asyncio.sleep(0)
    at += read()
    assert sum(map(len, passed)) / SHORTEST_FRAME_BYTES - first > FRAMES_A_TURN / 2


async def test_large_frames_are_read_in_large_pieces():
    cut = CutUp(asyncio.Protocol())
    data = frame(0x82, bytes(4_000))
    for byte in range(0, len(data), 1_000):
        piece = data[byte : byte + 1_000]
        cut.get_buffer(-1)[: len(piece)] = piece
        cut.buffer_updated(len(piece))
        await asyncio.sleep(0)
    assert len(cut.get_buffer(-1)) == READ_BYTES
