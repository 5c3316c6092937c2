"""`python -m realtime`, with every message of its WebSockets written to a file as it passes.

One line of JSON each: `{"socket": 1, "opened": {…}}`, then `{"socket": 1, "from": "server",
"event": {…}}`. Nothing but aiohttp's sockets knows of it: the server is the one that users run.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import WSMessage, WSMsgType, web

FILE = "BANTER_TEST_RECORD"
"""The environment variable that names the file."""

SHOWN_AUDIO_CHARS = 24


def record(path: str) -> None:
    """Have aiohttp's server sockets write what passes to `path`."""
    file = open(path, "a", buffering=1)  # noqa: SIM115 - for as long as the process lives
    numbers = itertools.count(os.getpid() * 1_000)  # servers may share a file
    known: WeakKeyDictionary[web.WebSocketResponse, int] = WeakKeyDictionary()
    socket = web.WebSocketResponse
    prepare, send, receive = socket.prepare, socket.send_frame, socket.receive

    def note(self: web.WebSocketResponse, **what: Any) -> None:
        file.write(json.dumps({"socket": known.get(self, 0), **what}) + "\n")

    async def recorded_prepare(self: web.WebSocketResponse, request: web.BaseRequest) -> Any:
        if self in known:
            return await prepare(self, request)  # aiohttp asks again when the handler returns
        known[self] = next(numbers)
        headers = request.headers
        opened = {
            "path": str(request.rel_url),
            "protocols": headers.get("Sec-WebSocket-Protocol", ""),
            "beta": "realtime=v1" in headers.get("OpenAI-Beta", "")
            or "openai-beta.realtime-v1" in headers.get("Sec-WebSocket-Protocol", ""),
            "agent": headers.get("User-Agent", ""),
        }
        note(self, opened=opened)
        return await prepare(self, request)

    async def recorded_send(
        self: web.WebSocketResponse, message: bytes, opcode: WSMsgType, *rest: Any
    ) -> None:
        if opcode is WSMsgType.TEXT:
            note(self, **{"from": "server", "event": json.loads(message), "bytes": len(message)})
        await send(self, message, opcode, *rest)

    async def recorded_receive(self: web.WebSocketResponse, *rest: Any) -> WSMessage:
        message = await receive(self, *rest)
        if message.type is WSMsgType.TEXT:
            event = json.loads(message.data)
            if isinstance(event.get("audio"), str):
                event["audio"] = event["audio"][:SHOWN_AUDIO_CHARS]
            note(self, **{"from": "client", "event": event})
        return message

    socket.prepare = recorded_prepare  # type: ignore[method-assign]
    socket.send_frame = recorded_send  # type: ignore[method-assign]
    socket.receive = recorded_receive  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from realtime.__main__ import main

    record(os.environ[FILE])
    main()
