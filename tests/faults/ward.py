"""A street (`tests/street.py`) whose engines are supervised and can each be made to fail.

Sockets, ears, Silero, batchers, supervisor and restarts are the real ones; of Whisper, the language
model and the voice only the weights are replaced, and of the end of turn the model's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from realtime.audio import Int16
from realtime.drain import Callers
from realtime.engines.end_of_turn import SmartTurn
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.speech_detector import SileroDetector
from realtime.engines.whisper import WhisperTranscriber
from realtime.engines.whisper_model import WhisperModel
from realtime.metrics import Metrics
from realtime.server import CALLERS, SUPERVISOR, make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.supervisor import Restartable, Supervisor
from tests.fakes import FakeRuntime
from tests.faults.sabotage import Sabotage
from tests.street import Street
from tests.weights import Decoder, Llama, Voice

STUCK_S = 1.0
"""Instead of 5 to 60 s, after which an engine is taken to be lost."""


class Judge(SmartTurn):
    """The end-of-turn model's thread, and a model that takes every pause for the end."""

    def load(self) -> None:
        pass

    def run(self, batch: Sequence[Int16]) -> list[float]:
        return [1.0] * len(batch)


class Larynx(Voice):
    """The voice of the street, whose model is there at once."""

    def load(self) -> None:
        pass


class Hold:
    """A restart that goes on when it is let."""

    def __init__(self, engine: Restartable) -> None:
        self._renew = engine.renew
        self.gate = asyncio.Event()
        self.gate.set()
        engine.renew = self.renew  # type: ignore[method-assign]

    async def renew(self) -> None:
        await self.gate.wait()
        await self._renew()


@dataclass
class Ward(Street):
    sabotages: dict[str, Sabotage] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)

    @property
    def supervisor(self) -> Supervisor:
        return self.server.app[SUPERVISOR]

    @property
    def sessions(self) -> Callers:
        return self.server.app[CALLERS]

    def repair(self) -> None:
        super().repair()
        self.replier._lost.clear()  # as threads that come back
        for sabotage in self.sabotages.values():
            sabotage.mend()
        for hold in self.holds.values():
            hold.gate.set()

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as http, http.get(self.server.make_url(path)) as answer:
            return answer.status, await answer.json()

    async def refused(self) -> tuple[int, str | None]:
        """The status and `Retry-After` of somebody who comes now; 101 if he is let in."""
        try:
            url = self.server.make_url("/v1/realtime")
            async with aiohttp.ClientSession() as http, http.ws_connect(url):
                return 101, None
        except aiohttp.WSServerHandshakeError as answer:
            return answer.status, (answer.headers or {}).get("Retry-After")


@asynccontextmanager
async def a_ward(whisper_weights: Path) -> AsyncIterator[Ward]:
    """A server with all its engines, supervised, at rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realtime.engines.llm.SILENCE_TIMEOUT_S", 0.8)
        patch.setattr("realtime.engines.llm.SILENT_S", 0.1)
        patch.setattr("realtime.websocket.STALLED_S", 0.8)
        decoder = Decoder()
        patch.setattr(WhisperModel, "_decode", decoder)
        async with _a_ward(whisper_weights, decoder) as ward:
            yield ward


@asynccontextmanager
async def _a_ward(whisper_weights: Path, decoder: Decoder) -> AsyncIterator[Ward]:
    metrics = Metrics()
    detector, voice = SileroDetector(metrics), Larynx(metrics)
    whisper = WhisperTranscriber(whisper_weights, threads=1, metrics=metrics)
    judge = Judge(Path("none"), metrics=metrics)
    replier = EmbeddedReplier(Path("none"), threads=1, metrics=metrics)
    parts: dict[str, Restartable] = {
        "speech_detection": detector,
        "transcription": whisper,
        "end_of_turn": judge,
        "reply": replier,
        "voice": voice,
    }
    detector.load()
    whisper.load()
    async with Llama().serve() as llama, aiohttp.ClientSession() as http:

        def load() -> None:
            replier._server = SimpleNamespace(listening_address=llama.url.removesuffix("/v1"))

        replier.load = load  # type: ignore[method-assign]
        replier._address = lambda: ""  # type: ignore[method-assign]
        load()
        for engine in (detector, whisper, voice, replier, judge):
            engine.start()
        runtime = FakeRuntime(detector, whisper, replier, voice, judge)  # type: ignore[arg-type]
        runtime.parts_ = parts
        app = make_app(
            runtime,  # type: ignore[arg-type]
            metrics,
            SessionConfig(instructions="be kind"),
            Manners(pacing=None),
        )
        async with TestServer(app) as server:
            ward = Ward(server, http, metrics, whisper, decoder, replier, llama, voice)
            for stage, engine in parts.items():
                ward.holds[stage] = Hold(engine)
                for batcher in getattr(engine, "_batchers", tuple)():
                    batcher._stuck_s = STUCK_S
                    ward.sabotages[batcher.stage] = Sabotage(batcher)
            ward.repair()
            yield ward
            ward.repair()
        for engine in (detector, whisper, voice, replier, judge):
            await engine.close()


async def cut_off(client: Any) -> None:
    """The connection is reset, as when a process dies or a network does."""
    with suppress(AttributeError):
        client.socket._response.connection.transport.abort()
