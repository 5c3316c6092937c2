"""A caller who behaves as a browser does; run alone, it says one clip and prints all events.

    python -m benchmarks.caller --url http://127.0.0.1:8000 clip.flac

It speaks at real pace, listens, and stops listening when it is interrupted. Every event of the
server is stamped when it arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.clips import read_pcm
from benchmarks.microphone import Microphone
from benchmarks.record import AUDIO_DELTA, Event, Record, Stamped

RESET_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing the socket resets the connection instead of ending it politely."""


class Caller:
    """One WebSocket to the server, with a microphone and a loudspeaker."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, *, binary: bool) -> None:
        self.microphone = Microphone(self._send_audio)
        self.record = Record()
        self._websocket = websocket
        self._binary = binary

    @property
    def close_code(self) -> int | None:
        """With which the connection was closed, once it is."""
        return self._websocket.close_code

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event; once the call is over, nothing happens."""
        await self.send_text(json.dumps({"type": kind, **fields}))

    async def send_text(self, text: str) -> None:
        """Send any text as a message."""
        await self._send(text)

    async def update_session(self, session: dict[str, Any]) -> None:
        """Change the session and wait for the server's word."""
        before = len(self.record.events)
        await self.send("session.update", session={"type": "realtime", **session})
        if await self.record.first("session.updated", before) is None:
            raise TimeoutError("no session.updated")

    async def cancel(self, response_id: str | None = None) -> None:
        """Stop a response, or the one that is running."""
        named = {} if response_id is None else {"response_id": response_id}
        await self.send("response.cancel", **named)

    async def listen(self, response_id: str, think_s: float = 0.0) -> None:
        """Stay as long as it takes to hear a reply to its end, then think."""
        until = self.record.reply(response_id).played_until or 0.0
        await asyncio.sleep(max(0.0, until - time.perf_counter()) + think_s)

    async def receive(self) -> None:
        """Stamp all that comes until the connection ends."""
        async for message in self._websocket:
            at = time.perf_counter()
            if message.type is aiohttp.WSMsgType.BINARY:
                self.record.add_frame(message.data, at)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await self._react(self.record.add(json.loads(message.data), at))
        self.record.news.end(f"closed with code {self._websocket.close_code}")

    def vanish(self) -> None:
        """Lose the connection as a pulled cable does: no close frame, no goodbye."""
        raw = self._websocket.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            raw.shutdown(socket.SHUT_RDWR)
        self.record.news.end("the caller vanished")

    async def _react(self, stamped: Stamped) -> None:
        """What a browser does by itself: fall silent when the person begins to speak."""
        if stamped.type != "input_audio_buffer.speech_started":
            return
        for reply in self.record.replies.values():
            heard_ms = reply.stop(stamped.at)
            if heard_ms is not None and reply.item_id is not None:
                await self.send(
                    "conversation.item.truncate",
                    item_id=reply.item_id,
                    content_index=0,
                    audio_end_ms=heard_ms,
                )

    async def _send_audio(self, pcm: bytes) -> None:
        if self._binary:
            await self._send(pcm)
        else:
            audio = base64.b64encode(pcm).decode()
            await self.send("input_audio_buffer.append", audio=audio)

    async def _send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_str(message)
        except ConnectionResetError:
            self.record.news.end("the connection was reset")


def realtime_url(url: str, *, binary: bool = False) -> str:
    """The WebSocket's address under a server's http or ws address."""
    root = url.replace("http", "ws", 1) if url.startswith("http") else url
    path = "" if "/realtime" in root else "/v1/realtime"
    return root.rstrip("/") + path + ("?audio=binary" if binary else "")


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key; none for no key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


@asynccontextmanager
async def call(
    url: str, *, binary: bool = False, session: dict[str, Any] | None = None, key: str = ""
) -> AsyncIterator[Caller]:
    """A call that is up: the microphone is on and the session is as asked for."""
    address = realtime_url(url, binary=binary)
    async with (
        aiohttp.ClientSession(headers=bearer(key)) as http,
        http.ws_connect(address, max_msg_size=0) as ws,
    ):
        caller = Caller(ws, binary=binary)
        tasks = [asyncio.create_task(caller.receive())]
        try:
            if await caller.record.first("session.created") is None:
                raise TimeoutError("no session.created")
            if session:
                await caller.update_session(session)
            tasks.append(asyncio.create_task(caller.microphone.run()))
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def line(stamped: Stamped, since: float) -> str:
    """An event as one line of text: seconds, type, and what matters in it."""
    event: Event = stamped.event
    shown = ("transcript", "delta", "samples", "error")
    told: dict[str, Any] = {key: event[key] for key in shown if key in event}
    response = event.get("response")
    if response:
        told["status"] = response["status"]
    return f"{stamped.at - since:8.3f}  {stamped.type}  {told or ''}".rstrip()


async def print_events(record: Record, since: float) -> None:
    """Print events as they come, one line for each."""
    printed = 0

    def unprinted() -> list[Stamped] | None:
        return record.events[printed:] or None

    while True:
        for stamped in await record.news.until(unprinted, 3600) or []:
            print(line(stamped, since), flush=True)
            printed += 1


async def show_call(url: str, clip: Path, *, binary: bool) -> dict[str, object]:
    """Say a clip and print all events until a reply is over."""
    session = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    async with call(url, binary=binary, session=session) as caller:
        printing = asyncio.create_task(print_events(caller.record, time.perf_counter()))
        pcm = read_pcm(clip)
        last = caller.microphone.say(pcm) + pcm.size - 1
        ended_at = await caller.microphone.sent(last)
        done = await caller.record.first("response.done", timeout_s=60)
        printing.cancel()
    audio = [e for e in caller.record.events if e.type == AUDIO_DELTA]
    return {
        "clip": clip.name,
        "events": len(caller.record.events),
        "status": done.event["response"]["status"] if done else None,
        "audio_deltas": len(audio),
        "clip_end_to_first_delta_ms": round((audio[0].at - ended_at) * 1000) if audio else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Say one clip to a server and print its events.")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--binary", action="store_true", help="audio in binary frames")
    args = parser.parse_args()
    print(json.dumps(asyncio.run(show_call(args.url, args.clip, binary=args.binary))))


if __name__ == "__main__":
    main()
