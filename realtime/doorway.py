"""The listener's door: how many connections there may be, before anything is read of them.

A connection costs memory and a file, whoever makes it, and one that dribbles its headers holds both
until aiohttp gives it up (`IDLE_S`). So they are counted: all together, and those of one address
that carry no session. This machine's and the listed proxies' are counted together only. Whoever
comes beyond is told 503 in few bytes and closed. Nothing is decided here of what a request says.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from realtime.addresses import Network, holder_of, is_within

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

http_log = logging.getLogger("banter.http")

IDLE_S = 75.0
"""The whole of a request's head comes within this time, of the first and of those that follow on
the same connection. Longer than the minute for which nginx keeps its own connections."""

TLS_S = 15.0
"""In which a TLS handshake is done."""

MAX_CONNECTIONS = 1_024
LEAST_CONNECTIONS = 64
OTHER_FILES = 256
"""What the process has open besides: models, pipes, uploads, connections of its own."""

MAX_OF_ADDRESS = 64
UNREAD_S = 60.0
"""A connection without a session that takes nothing of its answer for so long is cut off."""

AGAIN_S = 5

LINGER_S = 2.0
"""How long what still comes of a request that was answered is read, so that its client gets to the
answer."""

MAX_HEADERS = 64
MAX_HEADER_BYTES = 8_190
"""Of the request line, and of one header."""

_FULL = (
    f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {AGAIN_S}\r\nConnection: close\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
)
_BODY = (
    '{"error":{"message":"too many connections; try again","type":"server_error",'
    '"param":null,"code":"too_many_connections"}}'
)
FULL = _FULL.format(length=len(_BODY), body=_BODY).encode()


def most_connections() -> int:
    """As many as the process may have open files for: beyond them nobody is let in, or told why."""
    if resource is None:
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(LEAST_CONNECTIONS, min(MAX_CONNECTIONS, files - OTHER_FILES))


@dataclass
class Doorway:
    """The connections of one listener. Bounds: `most`, and `most_of_address`."""

    proxies: tuple[Network, ...] = ()
    most: int = field(default_factory=most_connections)
    most_of_address: int = MAX_OF_ADDRESS
    open: int = 0
    refused: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    """By address: connections that carry no session."""

    def enter(self, peer: str | None) -> str | None:
        """Count a connection; whom it is counted for, or None where it is one too many."""
        proxy = is_within(peer or "", self.proxies)  # what lies behind it is many
        address = "" if proxy else holder_of(peer or "")
        full = self.open >= self.most
        if full or (address and self.waiting[address] >= self.most_of_address):
            self.refused += 1
            return None
        self.open += 1
        self.add(address, 1)
        return address

    def add(self, address: str, by: int) -> None:
        """So many more, or fewer, connections of an address that carry no session."""
        if address:
            self.waiting[address] += by
            if self.waiting[address] <= 0:
                del self.waiting[address]


class Visit(asyncio.Protocol):
    """One connection, between its transport and aiohttp's protocol."""

    def __init__(self, doorway: Doorway, make: Callable[[], asyncio.Protocol]) -> None:
        self._doorway, self._make = doorway, make
        self._inner: asyncio.Protocol | None = None
        self._address = ""
        self._in_session = False
        self._unread: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        opened = cast(asyncio.Transport, transport)  # uvloop's own are no subclass
        peer = transport.get_extra_info("peername")
        address = self._doorway.enter(peer[0] if isinstance(peer, tuple) else None)
        if address is None:
            opened.write(FULL)
            opened.close()
            return
        self._address, self._inner, self._transport = address, self._make(), opened
        self._inner.connection_made(transport)

    def carries_session(self) -> None:
        """From now on this is a session's connection, which has a place of its own."""
        self._is_read()
        if not self._in_session:
            self._in_session = True
            self._doorway.add(self._address, -1)

    def data_received(self, data: bytes) -> None:
        if self._inner:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner else None

    def connection_lost(self, error: Exception | None) -> None:
        if self._inner is None:
            return
        self._is_read()
        self._doorway.open -= 1
        if not self._in_session:
            self._doorway.add(self._address, -1)
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        if self._inner and self._transport:
            self._is_read()
            loop = asyncio.get_running_loop()
            self._unread = loop.call_later(UNREAD_S, self._transport.abort)
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._is_read()
        if self._inner:
            self._inner.resume_writing()

    def _is_read(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None


class Site(web.BaseSite):
    """A listener with a doorway: what `web.TCPSite` is without."""

    __slots__ = ("_doorway", "_host", "_port")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        doorway: Doorway,
        *,
        ssl_context: SSLContext | None = None,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context)
        self._host, self._port, self._doorway = host, port, doorway

    @property
    def name(self) -> str:
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://{self._host}:{self._port}"

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None
        make: Callable[[], asyncio.Protocol] = server
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Visit(self._doorway, make),
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=TLS_S if self._ssl_context else None,
        )


def _is_ours(record: logging.LogRecord) -> bool:
    """aiohttp logs what was no HTTP with its bytes and a traceback: they may hold a key, and
    anybody can send them as often as he likes. What our own code did wrong is kept."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def runner_of(
    app: web.Application,
    *,
    shutdown_timeout_s: float,
    idle_s: float = IDLE_S,
    linger_s: float = LINGER_S,
) -> web.AppRunner:
    """What serves an application, with the bounds of a request's head."""
    http_log.addFilter(_is_ours)
    return web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=shutdown_timeout_s,
        logger=http_log,
        keepalive_timeout=idle_s,
        lingering_time=linger_s,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )
