"""A small client for tests: sends clips faster than real time, collects events."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import soundfile
import soxr

DATA = Path(__file__).parent / "data"
TIMEOUT_S = 60.0


def clip(name: str) -> bytes:
    """A clip of tests/data as PCM16 at 24 kHz."""
    audio, rate = soundfile.read(DATA / f"{name}.flac", dtype="int16")
    return soxr.resample(audio, rate, 24_000).astype("<i2").tobytes()


def ear_audio(name: str) -> np.ndarray:
    """The same as a recogniser gets it: 16-bit mono at 16 kHz."""
    return soxr.resample(np.frombuffer(clip(name), "<i2"), 24_000, 16_000)


def transcripts() -> dict[str, str]:
    """What is said in the clips with speech, by name."""
    rows = [r.split("\t") for r in (DATA / "manifest.tsv").read_text().splitlines()[1:]]
    return {r[0].removesuffix(".flac"): r[3] for r in rows if r[2] == "speech"}


def quiet(seconds: float) -> bytes:
    """Silence with a breath of noise in it, as a microphone has."""
    noise = np.random.default_rng(0).normal(0, 3, int(seconds * 24_000))
    return noise.astype("<i2").tobytes()


class Client:
    """One socket. `events` holds everything received so far, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.frames: list[bytes] = []
        self.closed = False
        self.close_code: int | None = None

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": type, **fields}))

    async def say(self, audio: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    async def next(self) -> dict[str, Any] | None:
        """The next event; None for a binary frame or the end."""
        message = await asyncio.wait_for(self.socket.receive(), TIMEOUT_S)
        if message.type is aiohttp.WSMsgType.TEXT:
            event: dict[str, Any] = json.loads(message.data)
            self.events.append(event)
            return event
        if message.type is aiohttp.WSMsgType.BINARY:
            self.frames.append(message.data)
        else:
            self.closed = True
            if message.type is aiohttp.WSMsgType.CLOSE:
                self.close_code = message.data
        return None

    async def until(self, *types: str) -> dict[str, Any]:
        """Read until one of these types comes; that event."""
        while not self.closed:
            event = await self.next()
            if event and event["type"] in types:
                return event
        raise AssertionError(f"the socket ended before {types}; got {self.types()}")

    def types(self, *, without: str = ".delta") -> list[str]:
        """The order of events; runs of deltas are left out."""
        return [e["type"] for e in self.events if not e["type"].endswith(without)]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == type]

    def audio(self, response_id: str | None = None) -> bytes:
        return b"".join(
            base64.b64decode(e["delta"])
            for e in self.of("response.output_audio.delta")
            if response_id in (None, e["response_id"])
        )
