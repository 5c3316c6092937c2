"""Going away politely: nobody new, those who are at rest at once, the others when they are.

A session is at rest while nobody speaks, no words are being looked for, no reply is made and none
is being played. Who is still busy at the time limit is closed in the middle.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, web

from realtime.session import Session

log = logging.getLogger("banter.drain")

CLOSE_TIMEOUT_S = 5.0
"""Nobody who does not answer the close holds it up for longer."""

LOOK_S = 0.05

GOING_AWAY = b"the server is shutting down"
RESTARTING = b"the server has lost an engine and restarts; connect again soon"


@dataclass
class Callers:
    """The sockets that are open now with their sessions, and those that are being closed from
    here."""

    sockets: dict[web.WebSocketResponse, Session] = field(default_factory=dict)
    closing: dict[web.WebSocketResponse, asyncio.Task[bool]] = field(default_factory=dict)
    owners: dict[web.WebSocketResponse, bytes] = field(default_factory=dict)
    """The digests of the real keys with which they were opened, where there are keys."""
    transports: dict[web.WebSocketResponse, asyncio.Transport] = field(default_factory=dict)
    served: int = 0

    @property
    def open(self) -> list[web.WebSocketResponse]:
        """Those that nobody is closing yet."""
        return [socket for socket in self.sockets if socket not in self.closing]

    def close(
        self, socket: web.WebSocketResponse, code: int = WSCloseCode.GOING_AWAY, why: bytes = b""
    ) -> None:
        """Begin a polite close, once; whoever serves the socket waits for it, and no longer than
        `CLOSE_TIMEOUT_S`."""
        if socket not in self.closing:
            goodbye = self._farewell(socket, code, why or GOING_AWAY)
            self.closing[socket] = asyncio.create_task(goodbye)

    async def _farewell(self, socket: web.WebSocketResponse, code: int, why: bytes) -> bool:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                return await socket.close(code=code, message=why, drain=False)
        except (TimeoutError, asyncio.CancelledError) as error:
            # what waits to be sent to a client that takes nothing would keep connection and place
            if transport := self.transports.get(socket):
                transport.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
            log.warning("a caller did not answer the close and is cut off")
            return False

    def let_go(self, socket: web.WebSocketResponse) -> None:
        """Nobody serves it any more: what its client has not taken soon is thrown away."""
        if transport := self.transports.pop(socket, None):
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)


async def let_finish(callers: Callers, *, limit_s: float, hurry: asyncio.Event) -> None:
    """Close each session as soon as it is at rest, until the limit or until told to hurry."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + limit_s
    while callers.open and loop.time() < until_s and not hurry.is_set():
        for socket in callers.open:
            if callers.sockets[socket].at_rest:
                callers.close(socket)
        if callers.open:
            await asyncio.sleep(LOOK_S)


async def close_all(callers: Callers, code: int, why: bytes) -> None:
    """Close whoever is left; wait for their answers, but not for ever."""
    if left := callers.open:
        log.info("%d callers are told %d", len(left), code)
    for socket in left:
        callers.close(socket, code, why)
    if not callers.closing:
        return
    _, waiting = await asyncio.wait(set(callers.closing.values()), timeout=CLOSE_TIMEOUT_S)
    for farewell in waiting:
        farewell.cancel()
    if waiting:
        log.warning("some callers did not answer the close")
