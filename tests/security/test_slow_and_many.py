"""Requests that dribble, connections without end, heads that are too large."""

from __future__ import annotations

import asyncio
import resource
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from realtime.addresses import parse_networks
from realtime.doorway import MAX_HEADERS, Doorway, Site, Visit, runner_of
from realtime.metrics import Metrics
from realtime.outbox import MAX_UNREAD, Outbox
from realtime.server import ADMISSION, CALLERS, make_app
from realtime.session_config import SessionConfig
from tests.security.conftest import said
from tests.test_server import until

UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
IDLE_S = 0.5
LARGE = b'{"type":"session.update","session":{"instructions":"' + b"a" * 200_000 + b'"}}'

SMALL = b'{"type":"session.update","session":{}}'


class Listening:
    """A server as `__main__` starts it."""

    def __init__(self, runner: web.AppRunner, doorway: Doorway) -> None:
        self.doorway = doorway
        self.host, self.port = runner.addresses[0][:2]


@pytest.fixture
async def door(runtime, manners) -> AsyncIterator[Listening]:
    app = make_app(runtime, Metrics(), SessionConfig(), manners)
    runner = runner_of(app, shutdown_timeout_s=1.0, idle_s=IDLE_S, linger_s=0.2)
    await runner.setup()
    doorway = Doorway(most=4)
    await Site(runner, "127.0.0.1", 0, doorway).start()
    yield Listening(runner, doorway)
    await runner.cleanup()
    assert doorway.open == 0
    assert not doorway.waiting


async def test_a_head_that_dribbles_is_given_up(door):
    """A header each tenth of a second would go on for ever."""
    lines = [b"GET / HTTP/1.1\r\nHost: x\r\n", *(f"X-{n}: 1\r\n".encode() for n in range(60))]
    begun = asyncio.get_running_loop().time()
    answer = await said(door, *lines, pause_s=0.1)
    assert b"200" not in answer
    assert asyncio.get_running_loop().time() - begun < 5
    await until(lambda: door.doorway.open == 0)


async def test_a_connection_on_which_nothing_is_asked_is_given_up_first_and_later(door):
    assert await said(door) == b""
    answer = await said(door, HEALTH)
    assert answer.startswith(b"HTTP/1.1 200")
    await until(lambda: door.doorway.open == 0)


async def test_beyond_the_most_a_connection_is_told_so_and_others_go_on(door):
    reader, writer = await asyncio.open_connection(door.host, door.port)
    writer.write(UPGRADE)
    await reader.readuntil(b"session.created")
    held = [await asyncio.open_connection(door.host, door.port) for _ in range(3)]
    await until(lambda: door.doorway.open == 4)
    answer = await said(door, HEALTH)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: " in answer
    assert b"too_many_connections" in answer
    assert door.doorway.refused == 1
    for _, each in held:
        each.close()
    await until(lambda: door.doorway.open == 1)
    message = b'{"type":"input_audio_buffer.clear"}'
    writer.write(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
    await reader.readuntil(b"input_audio_buffer.cleared")
    assert (await said(door, HEALTH)).startswith(b"HTTP/1.1 200")
    writer.close()
    await until(lambda: door.doorway.open == 0)


def test_connections_of_an_address_are_counted_until_they_carry_a_session():
    doorway = Doorway(parse_networks("10.0.0.0/8"), most_of_address=2)
    assert [doorway.enter("203.0.113.5") for _ in range(3)] == ["203.0.113.5"] * 2 + [None]
    assert doorway.enter("203.0.113.6") == "203.0.113.6"
    doorway.add("203.0.113.5", -1)
    assert doorway.enter("203.0.113.5") == "203.0.113.5"
    assert [doorway.enter("10.1.1.1") for _ in range(9)] == [""] * 9  # a proxy brings many
    assert [doorway.enter("127.0.0.1") for _ in range(9)] == [""] * 9


def test_a_visit_that_was_refused_or_carries_a_session_is_counted_once():
    doorway = Doorway(most_of_address=1)

    class Transport(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__({"peername": ("203.0.113.5", 1)})
            self.written = b""

        def write(self, data) -> None:
            self.written += data

        def close(self) -> None:
            pass

    first, second, third = (Visit(doorway, asyncio.Protocol) for _ in range(3))
    first.connection_made(Transport())
    second.connection_made(turned_away := Transport())
    assert turned_away.written.startswith(b"HTTP/1.1 503")
    second.connection_lost(None)
    first.carries_session()
    first.carries_session()
    third.connection_made(let_in := Transport())
    assert let_in.written == b""
    first.connection_lost(None)
    third.connection_lost(None)
    assert doorway.open == 0
    assert not doorway.waiting


@pytest.mark.parametrize(
    ("files", "most"),
    [(256, 64), (1_024, 768), (65_536, 1_024), (resource.RLIM_INFINITY, 1_024)],
)
def test_there_are_no_more_connections_than_files_to_open(monkeypatch, files, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert Doorway().most == most


class Unread(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.5", 1)})
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1


async def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr("realtime.doorway.UNREAD_S", 0.02)
    reads, talks, leaves, waits = transports = [Unread() for _ in range(4)]
    doorway, visits = Doorway(), []
    for transport in transports:
        visits.append(visit := Visit(doorway, asyncio.Protocol))
        visit.connection_made(transport)
        visit.pause_writing()
    visits[0].resume_writing()
    visits[1].carries_session()
    visits[2].connection_lost(None)
    await asyncio.sleep(0.1)
    assert [each.aborted for each in (reads, talks, leaves, waits)] == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"a" * 9_000 + b": 1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"a" * 200_000,
    ],
)
async def test_a_head_that_is_too_large_is_refused(door, head, caplog):
    answer = await said(door, head)
    assert answer.split()[1] == b"400"
    assert not caplog.records, "an attacker's bytes are no news"


async def test_a_body_that_dribbles_is_given_up(door, monkeypatch):
    monkeypatch.setattr("realtime.client_secrets.BODY_S", 0.3)
    head = b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    answer = await said(door, head, *[b" "] * 50, pause_s=0.05)
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_body_that_is_too_large_is_refused_without_being_held(door):
    head = (
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    )
    answer = await said(door, head, b" " * 100_000)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"body_too_large" in answer


async def test_requests_in_a_heap_are_answered_in_turn_and_bound_the_memory(door):
    """Ten thousand at once on one connection: it is read no faster than it is answered."""
    answer = await said(door, HEALTH * 200 + HEALTH.replace(b"Host", b"Connection: close\r\nHost"))
    assert answer.count(b"HTTP/1.1 200") == 201


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Both ends have something to send that nobody takes: neither could close politely."""
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()
    await asyncio.sleep(0.05)  # the other end hears of it


@pytest.mark.parametrize("small", [0, 4_000])
async def test_a_client_that_takes_nothing_is_sent_away_all_the_same(server, monkeypatch, small):
    """Its place is free, and the connection gone, though what waits for it is never sent: while
    more is read from it, and while nothing is."""
    monkeypatch.setattr("realtime.drain.CLOSE_TIMEOUT_S", 0.1)
    callers = server.app[CALLERS]
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1_024)
    writer.write(UPGRADE)
    await reader.readuntil(b"session.created")
    [(socket, transport)] = callers.transports.items()
    writer.write((bytes([0x81, 0xFF]) + struct.pack(">Q", len(LARGE)) + bytes(4) + LARGE) * 40)
    writer.write((bytes([0x81, 0x80 | len(SMALL)]) + bytes(4) + SMALL) * small)
    await until(lambda: transport.get_write_buffer_size() > 100_000)
    await asyncio.sleep(0.1)
    callers.close(socket, 1008, b"gone")
    await until(lambda: not callers.sockets)
    await until(lambda: server.app[ADMISSION].open == 0)
    await until(lambda: transport.get_write_buffer_size() == 0)
    assert not callers.transports
    assert not callers.closing
    await hang_up(writer)


async def test_who_asks_for_large_answers_and_takes_none_is_not_read_any_more(
    server, connect, monkeypatch
):
    """A session of 200 KiB is echoed whole to an update of 50 bytes; unread, these add up."""
    monkeypatch.setattr("realtime.websocket.STALLED_S", 1.5)
    put: list[object] = []
    taken = Outbox.put

    def counted(box: Outbox, event: object) -> None:
        put.append(event)
        taken(box, event)  # type: ignore[arg-type]

    monkeypatch.setattr(Outbox, "put", counted)
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1_024)
    writer.write(UPGRADE)
    await reader.readuntil(b"session.created")
    writer.write(bytes([0x81, 0xFF]) + struct.pack(">Q", len(LARGE)) + bytes(4) + LARGE)
    writer.write((bytes([0x81, 0x80 | len(SMALL)]) + bytes(4) + SMALL) * 4_000)
    await until(lambda: not server.app[CALLERS].sockets)
    await hang_up(writer)
    assert MAX_UNREAD < len(put) < 20 * MAX_UNREAD  # those beyond were sent into the socket
