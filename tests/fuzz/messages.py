"""A client's messages, any bytes: decoded, followed and answered by a whole session.

The first byte chooses the circumstances (`Circumstances`, a bit each). Then come lines. One that
begins with `~` or `_` is so many tenths of a second of sound or silence, with `%` a wait of so
many, with `!` a binary message; every other line is a text message. Then the session is left alone
until nothing is under way, everything that was told is checked, and the client hangs up.
"""

from __future__ import annotations

import json
from dataclasses import fields

import msgspec

from realtime.dialect import Beta
from realtime.server_events import ServerEvent
from realtime.websocket import encode_beta
from tests.rehearsal import SETTLES_S, Circumstances, Rehearsal
from tests.timeless import TimelessLoop
from tests.told import Told

MOST_TENTHS = {b"~": 30, b"_": 30, b"%": 300}
MOST_LINES = 60
MOST_FRAME_BYTES = 1024 * 1024

_loop = TimelessLoop()


def one_input(data: bytes) -> None:
    """Run one story; raises where something is not as it must be."""
    if data:
        lines = data[1:].split(b"\n")[:MOST_LINES]
        _loop.run_until_complete(_story(circumstances(data[0]), lines, stays=data[0] < 0x80))


def circumstances(bits: int) -> Circumstances:
    names = [each.name for each in fields(Circumstances)]
    return Circumstances(**{name: bool(bits >> n & 1) for n, name in enumerate(names)})


async def _story(met: Circumstances, lines: list[bytes], *, stays: bool) -> None:
    told = Told()
    async with Rehearsal(met) as talk:
        for line in lines:
            await _line(talk, line)
            await talk.rest(0.0)
        if stays:
            await talk.rest(SETTLES_S)
            talk.check_alive()
            _end_turn(talk)
            await talk.rest(SETTLES_S)
        talk.check_alive()
        told.check(talk.told, settled=stays)
        _check_frames(talk)


async def _line(talk: Rehearsal, line: bytes) -> None:
    sign, rest = line[:1], line[1:]
    if sign in MOST_TENTHS:
        digits = rest.strip()
        number = int(digits) if digits.isdigit() and len(digits) < 5 else 5
        tenths = min(number, MOST_TENTHS[sign])
        if sign == b"%":
            await talk.rest(tenths / 10)
        else:
            await talk.say(tenths / 10, loud=sign == b"~")
    elif sign == b"!":
        talk.send_bytes(rest)
    else:
        try:
            talk.send_text(line.decode())
        except UnicodeDecodeError:
            return  # the WebSocket library closes a connection for that


def _end_turn(talk: Rehearsal) -> None:
    """Idle time-outs go on for ever; without turn detection nothing does."""
    talk.send("session.update", session={"audio": {"input": {"turn_detection": None}}})


def _check_frames(talk: Rehearsal) -> None:
    """All that went over the line can be read, and is of a size that every client takes."""
    for payload, kind in talk.socket.frames:
        assert len(payload) < MOST_FRAME_BYTES, f"a frame of {len(payload)} bytes"
        if kind == 1:
            assert json.loads(payload)["type"]
    if not talk.met.beta:  # what is said can be said in the other dialect too
        beta = Beta("conv")
        for item in talk.outbox.left:
            if isinstance(item, ServerEvent):
                for payload, _ in encode_beta(item, beta, binary=True):
                    msgspec.json.decode(payload)
