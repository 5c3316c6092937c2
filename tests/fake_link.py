"""A link with no cluster behind it, for what cannot be had from a real one at will.

    python -m tests.fake_link ADDRESS FD

ADDRESS says how it begins: `pools` with a replica of each, `empty` with none, `never` with nothing
told, `trouble` with no cluster, `once:FILE` as `pools` the first time and dying at once after that.
A line's text says what becomes of it: `die` and `half` end the process (before, and after, a
chunk), `long` goes on until it is cancelled, `fail` and `full` are errors; any other is spoken in
three chunks. An utterance is answered with its length. What was cancelled and hurried, and which of
Banter's and Ray's variables it sees, is told as facts of the voice.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any

from realtime.cluster.wire import (
    Cancel,
    Failed,
    Hear,
    Heard,
    Hurry,
    PoolState,
    Said,
    Say,
    Sound,
    Trouble,
    Unpacker,
    packed,
    to_link,
)

CHUNK = b"\x01\x00" * 240


class FakeLink:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.facts: dict[str, Any] = {"cancelled": [], "hurried": [], "voices": ["default", "ada"]}
        self.facts["variables"] = [n for n in os.environ if n.startswith(("BANTER_", "RAY_"))]
        self.long: dict[int, asyncio.Task[None]] = {}

    def send(self, message: Any) -> None:
        self.writer.write(packed(message))

    def tell(self, replicas: int = 1) -> None:
        heard = {"languages": ["en", "de"], "translates": True, "longest_s": 29.0}
        self.send(PoolState("transcription", replicas, 3.0, True, False, heard if replicas else {}))
        self.send(PoolState("voice", replicas, 0.0, True, True, self.facts if replicas else {}))

    async def take(self, message: Any) -> None:
        match message:
            case Hear(number, _, audio, how):
                words = f"{len(audio)} {how['rank']}"
                told = {"text": words, "language": "en", "seconds": 1.0, "passages": [], "new": 1}
                self.send(Heard(number, told))
            case Say(number, _, line):
                await self.say(number, line["text"])
            case Hurry(pool, owner):
                self.facts["hurried"].append([pool, owner])
                self.tell()
            case Cancel(number):
                self.facts["cancelled"].append(number)
                if task := self.long.pop(number, None):
                    task.cancel()
                self.tell()

    async def say(self, number: int, text: str) -> None:
        match text:
            case "die":
                os._exit(1)
            case "half":
                self.send(Sound(number, CHUNK))
                await self.writer.drain()
                os._exit(1)
            case "long":
                self.long[number] = asyncio.create_task(self.go_on(number))
            case "fail":
                self.send(Failed(number, "voice", "replica_lost", "it was lost"))
            case "full":
                self.send(Failed(number, "voice", "saturated", "too much waits"))
            case _:
                for _ in range(3):
                    self.send(Sound(number, CHUNK))
                self.send(Said(number))

    async def go_on(self, number: int) -> None:
        while True:
            self.send(Sound(number, CHUNK))
            await asyncio.sleep(0.01)


async def main(address: str, fd: int) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd))
    link, unpacker = FakeLink(writer), Unpacker(to_link)
    kind, _, file = address.partition(":")
    if kind == "once":
        if os.path.exists(file):  # noqa: ASYNC240
            os._exit(3)
        os.close(os.open(file, os.O_CREAT))
    if kind == "trouble":
        link.send(Trouble("there is no head"))
    elif kind != "never":
        link.tell(0 if kind == "empty" else 1)
    while data := await reader.read(2**16):
        for message in unpacker.push(data):
            await link.take(message)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
