"""Large messages of audio, cut into small ones while they arrive. Pure: bytes in, bytes out.

A WebSocket library hands a message on when all of it is there. Five minutes of audio in one append
are 19 MiB, which are copied four times and decoded in one go: over 40 ms in which nobody else is
served. Audio needs no such wholeness: one append is the same as many. So this reads the client's
frames (RFC 6455, no extension) as they come, and what is a large message of audio is passed on as
many small ones, which the socket slows down like any others. All else passes unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

WHOLE_BYTES = 64 * 1024
"""Messages up to this size pass as they are."""

PIECE_BYTES = 64 * 1024
LOOK_BYTES = 1_024
"""So much of a text message tells whether it is an append."""

CONTINUATION, TEXT, BINARY, CONTROL = 0, 1, 2, 8
"""Opcodes; those from `CONTROL` on may stand between the frames of a message."""

_PAIR = rb'"(?:type"\s*:\s*"input_audio_buffer\.append|event_id"\s*:\s*"[^"\\]*)"\s*,\s*'
_APPEND = re.compile(rb"\s*\{\s*(?:" + _PAIR + rb')+"audio"\s*:\s*"')
_TYPE = b"input_audio_buffer.append"


@dataclass(frozen=True)
class Frame:
    """A frame's header: `size` bytes of it, then `length` bytes of payload."""

    final: bool
    opcode: int
    extended: bool
    key: bytes
    size: int
    length: int


class Pieces(Protocol):
    """Takes a message's payload as it comes; gives whole messages, as frames."""

    def push(self, payload: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class FrameCutter:
    """One connection's frames, from the first byte after the upgrade. Holds `LOOK_BYTES` and a
    header at most. Messages of more than `max_audio_bytes` of audio pass whole, to be refused."""

    def __init__(self, max_audio_bytes: int) -> None:
        self._max = {BINARY: max_audio_bytes, TEXT: max_audio_bytes * 4 // 3 + LOOK_BYTES}
        self._held = b""
        self._frame: Frame | None = None
        self._read = 0
        self.frames = 0
        """That have begun so far."""
        self._message: Pieces | None = None
        """Of the message that is coming, over all its frames; None where it passes unchanged."""

    def push(self, data: bytes) -> bytes:
        """The next bytes of the connection; those to be passed on in their place."""
        data = self._held + data if self._held else data
        passed: list[bytes] = []
        start = at = 0  # data[start:at] passes unchanged
        while at < len(data):
            if self._frame is None:
                frame = frame_at(data, at)
                if frame is None or not self._decide(frame, data, at):
                    break
                self._frame, self._read = frame, 0
                self.frames += 1
                if self._cut(frame):
                    passed.append(data[start:at])
                    start = at + frame.size
                at += frame.size
            at, start = self._take(self._frame, data, at, start, passed)
        self._held = data[at:]
        return b"".join([*passed, data[start:at]])

    def _take(
        self, frame: Frame, data: bytes, at: int, start: int, passed: list[bytes]
    ) -> tuple[int, int]:
        """What there is of a frame's payload; where to go on, and where what passes begins."""
        end = min(len(data), at + frame.length - self._read)
        pieces = self._cut(frame)
        if pieces:
            passed.append(pieces.push(unmasked(data[at:end], frame.key, self._read)))
            start = end
        self._read += end - at
        if self._read == frame.length:
            self._frame = None
            if frame.final and frame.opcode < CONTROL:
                self._message = None
                if pieces:
                    passed.append(pieces.end())
        return end, start

    def _cut(self, frame: Frame) -> Pieces | None:
        return self._message if frame.opcode < CONTROL else None

    def _decide(self, frame: Frame, data: bytes, at: int) -> bool:
        """Whether a message that begins is cut up; False while too little of it is there to say."""
        if frame.opcode not in (TEXT, BINARY):
            return True
        self._message = None
        small = frame.final and frame.length <= WHOLE_BYTES
        if small or frame.extended or frame.length > self._max[frame.opcode]:
            return True
        if frame.opcode == BINARY:
            self._message = AudioPieces()
            return True
        look = data[at + frame.size : at + frame.size + min(frame.length, LOOK_BYTES)]
        if len(look) < min(frame.length, LOOK_BYTES):
            return False
        found = _APPEND.match(unmasked(look, frame.key, 0))
        if found and _TYPE in found.group():
            self._message = AppendPieces(found.group())
        return True


class AudioPieces:
    """A binary message: raw audio, of which any cut will do."""

    def push(self, payload: bytes) -> bytes:
        return message(BINARY, payload) if payload else b""

    def end(self) -> bytes:
        return b""


class AppendPieces:
    """A text message `head`, base64, quote, and what is not looked at: each piece gets the head.

    Pieces are whole groups of four characters, so each can be decoded by itself.
    """

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._skip = len(head)
        self._rest = b""
        self._over = False

    def push(self, payload: bytes) -> bytes:
        skipped = min(self._skip, len(payload))
        self._skip -= skipped
        if self._over:
            return b""
        text, quote, _ = payload[skipped:].partition(b'"')
        self._over = bool(quote)
        text = (self._rest + text).replace(b"\\/", b"/")  # some encoders escape it
        whole = (len(text) - text.endswith(b"\\")) // 4 * 4
        self._rest = text[whole:]
        cuts = range(0, whole, PIECE_BYTES)
        return b"".join(self._piece(text[n : min(n + PIECE_BYTES, whole)]) for n in cuts)

    def end(self) -> bytes:
        """What is left is no whole group, or the message broke off: to be refused either way."""
        if self._over:
            return self._piece(self._rest) if self._rest else b""
        return message(TEXT, self._head + self._rest)

    def _piece(self, text: bytes) -> bytes:
        return message(TEXT, self._head + text + b'"}')


def frame_at(data: bytes, at: int) -> Frame | None:
    """The frame whose header begins at `at`; None until all of the header is there."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    short = second & 0x7F
    wide = {126: 2, 127: 8}.get(short, 0)
    key_bytes = 4 if second & 0x80 else 0
    size = 2 + wide + key_bytes
    if len(data) < at + size:
        return None
    length = int.from_bytes(data[at + 2 : at + 2 + wide], "big") if wide else short
    key = data[at + size - key_bytes : at + size]
    return Frame(bool(first & 0x80), first & 0x0F, bool(first & 0x70), key, size, length)


def message(opcode: int, payload: bytes) -> bytes:
    """A message of one frame, without a mask: it crosses no network."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    wide = (126, 2) if length < 2**16 else (127, 8)
    return bytes((0x80 | opcode, wide[0])) + length.to_bytes(wide[1], "big") + payload


def unmasked(payload: bytes, key: bytes, offset: int) -> bytes:
    """Part of a frame's payload that begins `offset` bytes into it, as it was before masking."""
    if not key or not payload:
        return payload
    turned = key[offset % 4 :] + key[: offset % 4]
    words = np.frombuffer(payload + bytes(-len(payload) % 4), np.uint32)
    return (words ^ np.frombuffer(turned, np.uint32)).tobytes()[: len(payload)]
