"""What a front end and its link say to each other: MessagePack, each message after its length.

Audio is 16-bit little-endian mono: 16 kHz to the link, 24 kHz from it. Fields of an utterance or a
line travel by name, so that both ends of a rolling update understand each other: what one does not
know it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import msgspec

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 64 * 2**20
"""An utterance of half an hour. What is longer comes from a bug, and ends the connection."""

TRANSCRIPTION, VOICE = "transcription", "voice"
POOLS = (TRANSCRIPTION, VOICE)
"""The stages that are elsewhere, and the names of their deployments."""


class Hear(msgspec.Struct, tag="hear"):
    """Transcribe this. `how` holds the other fields of `engines.Utterance`."""

    number: int
    owner: str
    audio: bytes
    how: dict[str, Any]


class Say(msgspec.Struct, tag="say"):
    """Speak this; `line` holds the fields of `engines.Line`."""

    number: int
    owner: str
    line: dict[str, Any]


class Hurry(msgspec.Struct, tag="hurry"):
    """This owner's speculations in a pool are finals from now on."""

    pool: str
    owner: str


class Cancel(msgspec.Struct, tag="cancel"):
    """Nobody waits for that one any more."""

    number: int


class Heard(msgspec.Struct, tag="heard"):
    """The answer to `Hear`: an `engines.Transcript`, as plain values."""

    number: int
    transcript: dict[str, Any]


class Sound(msgspec.Struct, tag="sound"):
    """The next chunk of a line."""

    number: int
    pcm: bytes


class Said(msgspec.Struct, tag="said"):
    """All of a line has been sent."""

    number: int


class Failed(msgspec.Struct, tag="failed"):
    """The stage failed; `message` may be shown to the caller."""

    number: int
    stage: str
    code: str
    message: str


class PoolState(msgspec.Struct, tag="pool", eq=True):
    """A pool as the link sees it. With no replicas it answers nothing."""

    name: str
    replicas: int = 0
    queued_s: float = 0.0
    """Seconds of audio that wait or are worked on, in all replicas together."""
    spare: bool = False
    free: bool = False
    """As the transcriber's, of the replica that is least busy."""
    facts: dict[str, Any] = {}
    """What holds for every replica: languages, names of voices, and the like."""


class Trouble(msgspec.Struct, tag="trouble"):
    """The link cannot reach the cluster, and why. It goes on trying."""

    reason: str


ToLink = Hear | Say | Hurry | Cancel
FromLink = Heard | Sound | Said | Failed | PoolState | Trouble

_encoder = msgspec.msgpack.Encoder()
to_link = msgspec.msgpack.Decoder(ToLink).decode
from_link = msgspec.msgpack.Decoder(FromLink).decode


def packed(message: ToLink | FromLink) -> bytes:
    """A message with its length before it."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


Message = TypeVar("Message")


class Unpacker:
    """Bytes as they come -> whole messages.

    Raises:
        ValueError, msgspec.DecodeError: what came is no message of ours.
    """

    def __init__(self, decode: Callable[[bytes], Message]) -> None:
        self._decode, self._held = decode, bytearray()

    def push(self, data: bytes) -> list[Any]:
        self._held += data
        found = []
        while len(self._held) >= LENGTH_BYTES:
            length = int.from_bytes(self._held[:LENGTH_BYTES], "big")
            if length > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes")
            if len(self._held) < LENGTH_BYTES + length:
                break
            found.append(self._decode(bytes(self._held[LENGTH_BYTES : LENGTH_BYTES + length])))
            del self._held[: LENGTH_BYTES + length]
        return found


def plain(value: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass as plain values: dicts for dataclasses."""
    held = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in without}
    built: dict[str, Any] = msgspec.to_builtins(held)
    return built


def known(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """Of the fields that came by name, those that this version of a dataclass has."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in given.items() if name in names}
