"""The socket: no thread of its own, but a connection that can be slow, full, broken or cut."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import aiohttp

from realtime import websocket
from realtime.session import Session
from tests.faults.looks import answered, next_turn, victim
from tests.faults.ward import Ward, cut_off
from tests.neighbour import told
from tests.street import until
from tests.test_gone import b64, bare_socket, frame
from tests.weights import TROUBLE

STALLED = struct.pack(">H", aiohttp.WSCloseCode.POLICY_VIOLATION) + b"the client does not read"
"""In the close frame: the code, and why."""

Trouble = Callable[[Ward], Awaitable[None]]


async def slow(ward: Ward) -> None:
    """He reads nothing for a while, and then all of it."""
    client, _ = await victim(ward)
    await client.say(TROUBLE.audio)
    await asyncio.sleep(0.5)
    await answered(client)
    await next_turn(ward, client)


async def stuck(ward: Ward) -> None:
    """He never reads: minutes of a reply are made for him, and wait, until he is closed."""
    callers = ward.callers
    ward.voice.long = True
    reader, writer = await bare_socket(ward)
    writer.write(frame({"type": "input_audio_buffer.append", "audio": b64(TROUBLE.audio)}))
    await until(lambda: ward.callers == callers + 1)
    await until(lambda: ward.callers == callers)
    assert (await reader.read()).find(STALLED) > 0
    writer.close()


def fails(where: str, error: BaseException) -> Trouble:
    """While something of his is read, or written to him."""

    async def trouble(ward: Ward) -> None:
        client, name = await victim(ward)
        with broken(where, name, error):
            await client.send("session.update", session={"instructions": f"to {name}"})
            while not client.closed:
                await client.next()
        assert client.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR
        again, _ = await victim(ward)
        await next_turn(ward, again)

    return trouble


def broken(where: str, name: str, error: BaseException) -> Any:
    """Reading or writing fails for one session."""
    configure, encode = Session.configure, websocket.encode

    def reads(session: Session, given: dict[str, Any]) -> None:
        if session.id == name:
            raise error
        configure(session, given)

    def writes(item: Any, *, binary: bool) -> websocket.Frame:
        if f"to {name}" in str(item):
            raise error
        return encode(item, binary=binary)

    if where == "read":
        return patch.object(Session, "configure", reads)
    return patch.object(websocket, "encode", writes)


async def cut(ward: Ward) -> None:
    """The connection is reset while a reply is sent."""
    client, _ = await victim(ward)
    callers = ward.callers
    ward.voice.long = True
    await client.say(TROUBLE.audio)
    await told(client, "response.output_audio.delta")
    await cut_off(client)
    await until(lambda: ward.callers == callers - 1)


async def gone(ward: Ward) -> None:
    """The head of a frame and half of its body come, and then a reset."""
    callers = ward.callers
    _, writer = await bare_socket(ward)
    message = frame({"type": "input_audio_buffer.append", "audio": b64(TROUBLE.audio)})
    writer.write(message[: len(message) // 2])
    await until(lambda: ward.callers == callers + 1)
    writer.transport.abort()
    await until(lambda: ward.callers == callers)


CELLS: dict[tuple[str, str], tuple[str, Trouble]] = {
    ("socket", "slow"): ("all of it, as fast as he reads", slow),
    ("socket", "stuck"): ("closed with 1008 after 15 s in which he took nothing", stuck),
    ("socket", "raises"): ("closed with 1011", fails("read", RuntimeError("x"))),
    ("socket", "dies"): ("it has none; a connection that is cut ends the session", cut),
    ("socket", "memory"): ("closed with 1011", fails("write", MemoryError())),
    ("socket", "gone"): ("half a message is dropped, and the session ends", gone),
}
