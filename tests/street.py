"""Callers who live beside each other on one server: real sockets, ears, batchers, seams.

Only the weights are replaced, by those of `weights.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from aiohttp.test_utils import TestServer

from realtime.batching import FINAL
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.speech_detector import SileroDetector
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from realtime.server import CALLERS, make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.client import Client
from tests.fakes import FakeRuntime
from tests.weights import PATIENCE_S, Decoder, Llama, Voice


@dataclass
class Street:
    """The server, its engines, and the way in."""

    server: TestServer
    http: aiohttp.ClientSession
    metrics: Metrics
    whisper: WhisperTranscriber
    decoder: Decoder
    replier: EmbeddedReplier
    llama: Llama
    voice: Voice
    clients: list[Client] = field(default_factory=list)

    async def knock(self) -> Client:
        """A new caller, whose words are told to him."""
        url = self.server.make_url("/v1/realtime")
        client = Client(await self.http.ws_connect(url, max_msg_size=0))
        self.clients.append(client)
        await client.until("session.created")
        transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        await client.send("session.update", session=transcription)
        await client.until("session.updated")
        return client

    @property
    def callers(self) -> int:
        return len(self.server.app[CALLERS].sockets)

    @property
    def waiting(self) -> tuple[int, int, int]:
        """Jobs before the recogniser, callers at the language model, jobs before the voice."""
        slots = self.replier._turnstile.slots
        return self.whisper._batcher.waiting, len(slots), self.voice._batcher.waiting

    async def hold_up_the_recogniser(self) -> None:
        """It is busy with one neighbour's utterance, and the other's waits: both to the end."""
        busy_with, recogniser = self.decoder.busy_with, self.whisper._batcher
        while True:
            self.decoder.gate.close()
            await until(lambda: busy_with)
            if recogniser._running == FINAL:
                await until(lambda: len(busy_with) + self.waiting[0] == 2)
                if recogniser._queue.most_urgent == FINAL:
                    return
            self.decoder.gate.open()
            await until(lambda: not busy_with)

    async def empty(self) -> None:
        """Everybody goes home."""
        self.repair()
        while self.clients:
            await self.clients.pop().socket.close()
        await until(lambda: not self.callers)

    def repair(self) -> None:
        """Nothing fails and nothing is held up."""
        self.decoder.failure = self.llama.failure = self.voice.failure = None
        self.voice.long = False
        self.decoder.gate.open()
        self.llama.gate.set()
        self.voice.gate.open()


@asynccontextmanager
async def a_street(whisper_weights: Path) -> AsyncIterator[Street]:
    """A server with all its engines, at rest."""
    metrics = Metrics()
    detector, voice = SileroDetector(metrics), Voice(metrics)
    whisper = WhisperTranscriber(whisper_weights, threads=1, metrics=metrics)
    whisper._model._decode = decoder = Decoder()  # type: ignore[method-assign]
    replier = EmbeddedReplier(Path("none"), threads=1, metrics=metrics)
    whisper.load()
    detector.load()
    async with Llama().serve() as llama, aiohttp.ClientSession() as http:
        replier._server = SimpleNamespace(listening_address=llama.url.removesuffix("/v1"))
        for engine in (detector, whisper, voice, replier):
            engine.start()
        app = make_app(
            FakeRuntime(detector, whisper, replier, voice),  # type: ignore[arg-type]
            metrics,
            SessionConfig(instructions="be kind"),
            Manners(pacing=None),
        )
        async with TestServer(app) as server:
            street = Street(server, http, metrics, whisper, decoder, replier, llama, voice)
            street.repair()
            yield street
        for engine in (detector, whisper, voice, replier):
            await engine.close()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something holds."""
    for _ in range(int(PATIENCE_S / 0.001)):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")
