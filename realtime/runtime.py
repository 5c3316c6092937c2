"""The engines of one process: chosen by the settings, loaded side by side, warmed, closed.

Nothing accepts a caller before every engine has made one real pass.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from realtime.cluster.pools import Pools
from realtime.cluster.remote_transcriber import RemoteTranscriber
from realtime.cluster.remote_voice import RemoteVoice
from realtime.engines import Engines, Voice
from realtime.engines.echo import EchoReplier
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.end_of_turn import SmartTurn
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.openai_chat import OpenAIReplier
from realtime.engines.speech_detector import SileroDetector
from realtime.engines.whisper import MAX_BATCH, WhisperTranscriber
from realtime.metrics import Metrics
from realtime.recognition import WINDOWS_S
from realtime.steps import Steps
from realtime.supervisor import Restartable
from realtime.threads import ThreadBudget

log = logging.getLogger("banter.runtime")

AnyReplier = EmbeddedReplier | OpenAIReplier | EchoReplier


class AnyVoice(Voice, Restartable, Protocol):
    """A voice of this process. `load` and `warm` block; `start` is called on the loop."""

    def load(self) -> None: ...
    def warm(self) -> None: ...
    def start(self) -> None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def waiting_s(self) -> float: ...
    async def close(self) -> None: ...


class _Own(Protocol):
    """An engine of this process, while it is prepared."""

    def load(self) -> None: ...
    def warm(self) -> None: ...
    def start(self) -> None: ...


@dataclass
class Runtime:
    """Built by `load_embedded`; sessions use `engines`, the rest is for the server."""

    detector: SileroDetector
    whisper: WhisperTranscriber | RemoteTranscriber
    replier: AnyReplier
    voice: AnyVoice | RemoteVoice
    end_of_turn: SmartTurn | None = None
    reads_words: bool = False
    """Whether the embedded language model, if that replies, says where turns may end."""
    pools: Pools | None = None
    """Where the recogniser and the voice are, if not here."""

    @property
    def engines(self) -> Engines:
        return Engines(
            self.detector, self.whisper, self.replier, self.voice, self.end_of_turn, self._reader
        )

    @property
    def _reader(self) -> EmbeddedReplier | None:
        reads = self.reads_words and isinstance(self.replier, EmbeddedReplier)
        return self.replier if reads else None  # type: ignore[return-value]

    def alive(self) -> dict[str, bool]:
        """Which engines can work now. Without that of the end of turn the server works too."""
        return {
            "speech_detector": self.detector.alive,
            "whisper": self.whisper.alive,
            "replier": self.replier.alive,
            "voice": self.voice.alive,
        }

    def waiting_s(self) -> float:
        """Seconds of live audio that wait for the engines: to be heard, read and spoken."""
        heard_s = self.detector.waiting_s + self.whisper.waiting_s
        return heard_s + self.voice.waiting_s

    def parts(self) -> dict[str, Restartable]:
        """The engines that can be begun anew, by their stage. A language model that is elsewhere
        has a breaker instead, and pools that are elsewhere say themselves when they are out."""
        parts: dict[str, Restartable] = {"speech_detection": self.detector}
        if not isinstance(self.whisper, RemoteTranscriber):
            parts["transcription"] = self.whisper
        if not isinstance(self.voice, RemoteVoice):
            parts["voice"] = self.voice
        if isinstance(self.replier, EmbeddedReplier):
            parts["reply"] = self.replier
        if self.end_of_turn:
            parts["end_of_turn"] = self.end_of_turn
        return parts

    def outage(self) -> str:
        """Why no turn can be answered where the engines are elsewhere; empty while it can."""
        return self.pools.outage if self.pools else ""

    def describe(self) -> dict[str, str]:
        """Which engine stands behind each seam."""
        seams: dict[str, Any] = {
            "speech_detector": self.detector,
            "whisper": self.whisper,
            "replier": self.replier,
            "voice": self.voice,
        }
        seen = {name: type(engine).__name__ for name, engine in seams.items()}
        judges = [type(each).__name__ for each in (self.end_of_turn, self._reader) if each]
        return {**seen, "end_of_turn": " and ".join(judges) or "silence alone"}

    async def close(self) -> None:
        """Stop the worker threads after what they are doing now."""
        await asyncio.gather(
            self.detector.close(), self.whisper.close(), self.voice.close(), self.replier.close()
        )
        if self.end_of_turn:
            await self.end_of_turn.close()
        if self.pools:
            await self.pools.close()


async def load_embedded(
    models: Mapping[str, Path],
    *,
    replier: AnyReplier,
    voice: AnyVoice | None = None,
    instructions: str,
    budget: ThreadBudget,
    metrics: Metrics,
    device: str = "auto",
    whisper_compute: str = "default",
    whisper_notes: Path | None = None,
    whisper_windows: tuple[float, ...] = WINDOWS_S,
    whisper_batch: int = MAX_BATCH,
    end_of_turn: SmartTurn | None = None,
    end_of_turn_required: bool = False,
    reads_words: bool = False,
    steps: Steps | None = None,
    pools: Pools | None = None,
) -> Runtime:
    """Load the engines of this process in threads of their own, then warm each with a real pass.

    Without a `voice` the embedded one speaks. An end-of-turn model that cannot be loaded is left
    out and silence alone ends turns, unless it is required. With `pools`, which have been started,
    the recogniser and the voice are there.
    """
    steps = steps or Steps()
    detector = SileroDetector(metrics)
    own: tuple[_Own, ...] = (detector,)
    whisper: WhisperTranscriber | RemoteTranscriber
    speaks: AnyVoice | RemoteVoice
    if pools:
        whisper, speaks = RemoteTranscriber(pools), RemoteVoice(pools)
    else:
        spoken = voice or EmbeddedVoice(metrics=metrics)
        recogniser = WhisperTranscriber(
            models["whisper"],
            threads=budget.whisper,
            metrics=metrics,
            device=device,
            compute=whisper_compute,
            notes=whisper_notes,
            windows=whisper_windows,
            max_batch=whisper_batch,
        )
        whisper, speaks = recogniser, spoken
        own = (detector, recogniser, spoken)
    runtime = Runtime(detector, whisper, replier, speaks, reads_words=reads_words, pools=pools)
    await asyncio.gather(
        *(asyncio.to_thread(_timed, "loaded", engine.load, engine) for engine in own),
        _load_replier(runtime.replier),
    )
    if end_of_turn:
        runtime.end_of_turn = await _prepared(end_of_turn, required=end_of_turn_required)
    steps.done("load")
    await asyncio.gather(
        *(asyncio.to_thread(_timed, "warmed", engine.warm, engine) for engine in own),
        _warm_replier(runtime.replier, instructions),
    )
    for engine in own:
        engine.start()
    if runtime.end_of_turn:
        runtime.end_of_turn.start()
    steps.done("warm-up")
    return runtime


def _timed(what: str, work: Callable[[], None], engine: object) -> None:
    begun = time.perf_counter()
    work()
    log.debug("%s %s in %.2f s", type(engine).__name__, what, time.perf_counter() - begun)


async def _prepared(model: SmartTurn, *, required: bool) -> SmartTurn | None:
    """The end-of-turn model, loaded and warm; None if that fails and it is not required."""

    def prepare() -> None:
        model.load()
        model.warm()

    try:
        await asyncio.to_thread(prepare)
    except Exception as error:
        if required:
            raise
        log.warning("the end-of-turn model cannot be loaded, silence alone ends turns: %s", error)
        return None
    return model


async def _load_replier(replier: AnyReplier) -> None:
    if not isinstance(replier, EchoReplier):
        await asyncio.to_thread(replier.load)
    if isinstance(replier, EmbeddedReplier):
        replier.start()


async def _warm_replier(replier: AnyReplier, instructions: str) -> None:
    if isinstance(replier, EmbeddedReplier):
        await replier.warm(instructions)
    elif isinstance(replier, OpenAIReplier):
        await replier.warm()
