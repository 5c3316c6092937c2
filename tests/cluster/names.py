"""A name server that knows one name, as Docker's and Kubernetes' are: each address is a server."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

HEADER = struct.Struct(">HHHHHH")
A, INTERNET, SECONDS = 1, 1, 1


class Names(asyncio.DatagramProtocol):
    """Answers any question for an IPv4 address with `addresses`, and others with none."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked: list[str] = []
        self.at = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")
        self.at = f"{host}:{port}"

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        name, end = _name(data)
        (kind,) = struct.unpack_from(">H", data, end)
        question = data[HEADER.size : end + 4]
        self.asked.append(name)
        found = self.addresses if kind == A else []
        records = b"".join(
            struct.pack(">HHHIH", 0xC00C, A, INTERNET, SECONDS, 4) + socket.inet_aton(each)
            for each in found
        )
        head = HEADER.pack(int.from_bytes(data[:2], "big"), 0x8180, 1, len(found), 0, 0)
        self._transport.sendto(head + question + records, address)


def _name(data: bytes) -> tuple[str, int]:
    """The name that is asked for, and where it ends."""
    at, labels = HEADER.size, []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


@asynccontextmanager
async def serving(*addresses: str) -> AsyncIterator[Names]:
    """On a free port of this machine."""
    loop = asyncio.get_running_loop()
    made = Names(*addresses)
    transport, names = await loop.create_datagram_endpoint(
        lambda: made, local_addr=("127.0.0.1", 0)
    )
    try:
        yield names
    finally:
        transport.close()
