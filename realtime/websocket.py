"""One socket: messages to the session, the outbox to the client, both encodings of audio.

The reader handles one message after the other, so a client that sends faster than it is heard is
slowed by its own socket. One writer task sends; it alone touches the socket's output. What comes
in large messages of audio is cut up before aiohttp sees it (`frames.py`).
"""

from __future__ import annotations

import asyncio
import base64
import logging
import struct
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from realtime import client_events, server_events
from realtime.dialect import Beta
from realtime.doorway import Visit
from realtime.errors import ProtocolError
from realtime.frames import FrameCutter
from realtime.lifetime import Lifetime, Over, SessionWarning
from realtime.outbox import AudioChunk, Outbox, OutboxFull, Outgoing
from realtime.requests import MAX_APPEND_BYTES, Requests
from realtime.session import Session
from realtime.transcript_log import TranscriptLog
from realtime.turn_timing import TurnWatch

log = logging.getLogger("banter.websocket")

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""A message over this closes the socket with 1009: it is refused before it is held in memory."""

HEARTBEAT_S = 20.0
STALLED_S = 15.0
"""A client that takes nothing for this long is closed with 1008."""

LAST_WRITE_S = 2.0
"""How long what still waits at the end of a session may take to be sent."""

ENDS = {"expired": WSCloseCode.GOING_AWAY, "idle": WSCloseCode.POLICY_VIOLATION}
"""How a session that has lasted too long is closed, and one in which nothing happens: who had the
first comes again at once, who had the second only when somebody asks for it."""

CODES = {"expired": "session_expired", "idle": "session_idle"}

BINARY_VERSION = 1
BINARY_HEADER = struct.Struct("<BBHII")
"""u8 version, u8 flags, u16 zero, u32 response number, u32 first sample's offset in the item."""


FRAMES_A_TURN = 200
"""Of one connection, in one turn of the loop: some 3 ms."""

SHORTEST_FRAME_BYTES = 6
READ_BYTES = 16 * 1024
LEAST_READ_BYTES = 16

Frame = tuple[bytes, WSMsgType]


def encode(item: Outgoing, *, binary: bool) -> Frame:
    """One outgoing item as a frame's payload and type."""
    if not isinstance(item, AudioChunk):
        return server_events.encode(item), WSMsgType.TEXT
    if binary:
        head = BINARY_HEADER.pack(BINARY_VERSION, 0, 0, item.response_number, item.offset)
        return head + item.data, WSMsgType.BINARY
    return server_events.encode(_delta(item)), WSMsgType.TEXT


def encode_beta(item: Outgoing, beta: Beta, *, binary: bool) -> list[Frame]:
    """The same for a connection that speaks beta, in which it may be no frame, or two."""
    if isinstance(item, AudioChunk):
        if binary:
            return [encode(item, binary=True)]
        item = _delta(item)
    said = beta.outgoing(msgspec.to_builtins(item))
    return [(msgspec.json.encode(event), WSMsgType.TEXT) for event in said]


def _delta(chunk: AudioChunk) -> server_events.AudioDelta:
    return server_events.AudioDelta(
        event_id=f"event_{chunk.response_id[5:]}_{chunk.offset}",
        response_id=chunk.response_id,
        item_id=chunk.item_id,
        output_index=chunk.output_index,
        content_index=0,
        delta=base64.b64encode(chunk.data).decode(),
    )


class CutUp(asyncio.BufferedProtocol):
    """Between a connection and aiohttp's protocol: passes on what a `FrameCutter` makes of it.

    A frame has its price, however short: 250 KiB of pings at once kept everybody else waiting for
    half a second. So it reads no more in one turn of the loop than `FRAMES_A_TURN` frames are
    likely to have, by those before; the rest waits in the client's own socket.
    """

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner, self._cutter = inner, FrameCutter(MAX_APPEND_BYTES)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._frame_bytes = SHORTEST_FRAME_BYTES
        self._turn = 0
        self._turning = False

    def get_buffer(self, sizehint: int) -> memoryview:
        room = (FRAMES_A_TURN - self._turn) * self._frame_bytes
        return self._buffer[: max(LEAST_READ_BYTES, min(READ_BYTES, room))]

    def buffer_updated(self, nbytes: int) -> None:
        before = self._cutter.frames
        passed = self._cutter.push(bytes(self._buffer[:nbytes]))
        frames = self._cutter.frames - before
        if frames:
            self._frame_bytes = max(SHORTEST_FRAME_BYTES, nbytes // frames)
        else:  # the middle of one
            self._frame_bytes = max(self._frame_bytes, nbytes)
        self._turn += frames
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._next_turn)
        if passed:
            self._inner.data_received(passed)

    def _next_turn(self) -> None:
        self._turn, self._turning = 0, False

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


async def prepare(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Upgrade a request, with large messages of audio cut up from its first frame on.

    Raises:
        web.HTTPBadRequest: it asks for no upgrade.
    """
    if socket.can_prepare(request) and request.transport:
        inner = request.transport.get_protocol()
        assert isinstance(inner, asyncio.Protocol)
        if isinstance(inner, Visit):
            inner.carries_session()
        request.transport.set_protocol(CutUp(inner))
        if request.transport.is_reading():  # uvloop asks for a buffer only when it begins to read
            request.transport.pause_reading()
            request.transport.resume_reading()
    await socket.prepare(request)


async def serve(
    socket: web.WebSocketResponse,
    session: Session,
    outbox: Outbox,
    *,
    binary: bool,
    beta: Beta | None = None,
    lifetime: Lifetime | None = None,
    words: TranscriptLog | None = None,
) -> None:
    """Run one session over a socket that is open, until either side or its lifetime ends it; with
    `beta`, in that dialect."""
    watches = [each for each in (lifetime, words) if each]
    writing = _write(socket, outbox, session.timing, watches, binary=binary, beta=beta)
    writer = asyncio.create_task(writing)
    timer = asyncio.create_task(_outlive(socket, outbox, writer, lifetime, tells=binary))
    code, reason = WSCloseCode.OK, b""
    try:
        async with session:
            await _read(socket, session, Requests(session, outbox), outbox, beta, lifetime)
    except OutboxFull:
        log.warning("session %s: closed, the client does not read", session.id)
        code, reason = WSCloseCode.POLICY_VIOLATION, b"the client does not read its messages"
        writer.cancel()
    except Exception:
        log.exception("session %s failed", session.id)
        code, reason = WSCloseCode.INTERNAL_ERROR, b"internal error"
    finally:
        outbox.close()
        timer.cancel()
        await asyncio.wait([timer])
        if socket.closed:
            writer.cancel()
        await asyncio.wait([writer], timeout=LAST_WRITE_S)
        writer.cancel()
        await asyncio.wait([writer])
        session.close_turns()
        await socket.close(code=code, message=reason, drain=False)


async def _read(
    socket: web.WebSocketResponse,
    session: Session,
    requests: Requests,
    outbox: Outbox,
    beta: Beta | None,
    lifetime: Lifetime | None,
) -> None:
    now = asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout(session.listening.quiet_after_s):
                message = await socket.receive()
        except TimeoutError:
            await session.listening.quiet()
            continue
        if message.type is WSMsgType.BINARY:
            await _guard(requests.hear(message.data), None, outbox)
        elif message.type is WSMsgType.TEXT:
            if await _handle(message.data, requests, outbox, beta) and lifetime:
                lifetime.active(now())
            await outbox.caught_up()
        else:
            if message.type is WSMsgType.ERROR:
                log.info("session %s: the socket failed: %s", session.id, socket.exception())
            return
        await asyncio.sleep(0)  # hundreds of small messages may be here already


async def _handle(text: str, requests: Requests, outbox: Outbox, beta: Beta | None) -> bool:
    """One text message; what cannot be followed is answered with an `error` event. True if it asks
    for something: neither audio, which microphones send all the time, nor nonsense."""
    try:
        if beta:
            text = _from_beta(text, beta)
        event = client_events.decode(text)
    except ProtocolError as problem:
        outbox.put(server_events.error_event(problem))
    except RecursionError:
        outbox.put(server_events.error_event(_too_deep()))
    else:
        await _guard(requests.handle(event), event.event_id, outbox)
        return not isinstance(event, client_events.AudioAppend)
    return False


def _from_beta(text: str, beta: Beta) -> str:
    """A client's message as GA has it; what is not JSON is left to be complained about."""
    if "response.create" not in text:
        return text
    try:
        event = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return text
    try:
        return msgspec.json.encode(beta.incoming(event)).decode()
    except ProtocolError as problem:
        id_ = event.get("event_id")
        problem.event_id = id_ if isinstance(id_, str) else None
        raise


async def _guard(work: Awaitable[None], client_id: str | None, outbox: Outbox) -> None:
    try:
        await work
    except ProtocolError as problem:
        outbox.put(server_events.error_event(problem, client_id))
    except RecursionError:
        outbox.put(server_events.error_event(_too_deep(), client_id))


def _too_deep() -> ProtocolError:
    return ProtocolError("the message is nested too deeply", code="invalid_json")


async def _outlive(
    socket: web.WebSocketResponse,
    outbox: Outbox,
    writer: asyncio.Task[None],
    lifetime: Lifetime | None,
    *,
    tells: bool,
) -> None:
    """Warn and end a session in time. Only clients of ours are warned (`tells`): to others an event
    they do not know, or an error that is none, may be worse than the end."""
    now = asyncio.get_running_loop().time
    while lifetime and (wait_s := lifetime.next_s(now())) is not None:
        await asyncio.sleep(wait_s)
        due = lifetime.due(now())
        if isinstance(due, Over):
            with suppress(OutboxFull):
                problem = ProtocolError(due.message, code=CODES[due.reason])
                outbox.put(server_events.error_event(problem))
            outbox.close()
            await asyncio.wait([writer], timeout=LAST_WRITE_S)
            await socket.close(code=ENDS[due.reason], message=due.message.encode(), drain=False)
            return
        if due and tells:
            with suppress(OutboxFull):
                outbox.put(SessionWarning(reason=due.reason, seconds=due.seconds))


async def _write(
    socket: web.WebSocketResponse,
    outbox: Outbox,
    timing: TurnWatch,
    watches: Sequence[Lifetime | TranscriptLog] = (),
    *,
    binary: bool,
    beta: Beta | None,
) -> None:
    now = asyncio.get_running_loop().time
    try:
        while (item := await outbox.get()) is not None:
            if beta:
                frames = encode_beta(item, beta, binary=binary)
            else:
                frames = [encode(item, binary=binary)]
            for frame in frames:
                await _send(socket, *frame)
            for watch in watches:
                watch.sent(item, now())
            turn = timing.sent(item, now())
            if turn and binary:
                await _send(socket, server_events.encode(turn), WSMsgType.TEXT)
    except TimeoutError:
        log.warning("a client has read nothing for %d s and is closed", STALLED_S)
        outbox.close()
        reason = b"the client does not read its messages"
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason, drain=False)
    except ConnectionError:
        outbox.close()  # the reader sees the same end and finishes the session
    except Exception:
        log.exception("a message could not be written")
        outbox.close()
        reason = b"internal error"
        await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=reason, drain=False)


async def _send(socket: web.WebSocketResponse, payload: bytes, kind: WSMsgType) -> None:
    """One frame.

    Raises:
        TimeoutError: the client takes nothing.
    """
    async with asyncio.timeout(STALLED_S):
        await socket.send_frame(payload, kind)
