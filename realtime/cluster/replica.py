"""What runs on a node: an engine and its batcher, as in the one process, behind Serve's calls.

The constructor does what the start of a server does: models on the node's own volume, loaded and
warmed. Serve sends nothing before it has returned. A call's last item is a dict: the result, or the
failure by its stage and code; `load` goes with it, by which links choose. Nothing is raised to
Serve for what is a caller's turn alone; an engine in trouble fails the health check, and Serve
starts another replica in its place.

Cancelling a call cancels the wait inside, which takes the job out of the batcher, or the line out
of the voice's running batch before its next step.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
from ray import serve
from ray.util import get_node_ip_address

import bootstrap
from realtime.batching import PARTIAL, SPECULATION
from realtime.cluster.autoscale import QUEUED
from realtime.cluster.wire import TRANSCRIPTION, VOICE, known, plain
from realtime.engines import Line, Utterance
from realtime.engines.whisper import WhisperTranscriber
from realtime.errors import BanterError, StageError, TranscriptionError, VoiceError
from realtime.huge_pages import gather
from realtime.lineup import engine_of_voice, plan_of
from realtime.metrics import Metrics
from realtime.settings import Settings, read_settings
from realtime.threads import apply_process_limits, thread_budget

log = logging.getLogger("banter.cluster.replica")

EAR_BYTES_A_S = 2 * 16_000
CHARS_PER_S = 15.0
ROUND_S = 0.5
"""Load is told to Serve in such steps: each change goes to every link."""


class Replica:
    """What both pools have in common; `_begin` makes the engine."""

    stage = ""

    async def __init__(self, arguments: Sequence[str]) -> None:  # type: ignore[misc]
        begun_s = time.perf_counter()
        self.settings = read_settings([*arguments, "--engines", "local"], os.environ)
        self.metrics = Metrics()
        self._queued_s = 0.0
        self._engine: Any = None
        apply_process_limits(thread_budget())
        volume = self.settings.volume or bootstrap.default_volume()
        await self._begin(self.settings, volume)
        self.metrics.clear()
        took_s = time.perf_counter() - begun_s
        log.info("%s is loaded and warm after %.1f s", self.stage, took_s)

    async def _begin(self, settings: Settings, volume: Any) -> None:
        raise NotImplementedError

    async def facts(self, route: dict[str, Any] | None = None) -> dict[str, Any]:
        """What holds for every replica of the pool."""
        raise NotImplementedError

    def load(self) -> dict[str, Any]:
        """What links choose by."""
        return {QUEUED: round(self._queued_s, 2)}

    async def hurry(self, owner: str, route: dict[str, Any]) -> None:
        """The turn is over: this owner's speculations are finals from now on."""
        self._engine.hurry(owner)

    async def report(self) -> dict[str, Any]:
        """For `banter cluster status`: who this is, its load, and all that it counted."""
        context = serve.get_replica_context()
        return {
            "replica": context.replica_id.unique_id,
            "stage": self.stage,
            "node": get_node_ip_address(),
            "pid": os.getpid(),
            "load": self.load(),
            "runs": self.metrics.spread_count(f"{self.stage}.run_ms"),
            "metrics": self.metrics.report(),
        }

    # --- what Serve asks ------------------------------------------------------------------------

    async def record_routing_stats(self) -> dict[str, Any]:
        load = self.load()
        return {**load, QUEUED: round(load[QUEUED] / ROUND_S) * ROUND_S}

    async def record_autoscaling_stats(self) -> dict[str, float]:
        return {QUEUED: self._queued_s}

    async def check_health(self) -> None:
        """
        Raises:
            BanterError: the engine has to be begun anew, which is a new process here.
        """
        if trouble := self._engine.trouble or self._engine.lost_device:
            raise BanterError(f"{self.stage} is in trouble: {trouble}")

    async def __del__(self) -> None:
        """Serve awaits it when the replica ends."""
        if self._engine:
            await self._engine.close()


class TranscriptionReplica(Replica):
    """Whisper."""

    stage = TRANSCRIPTION

    async def _begin(self, settings: Settings, volume: Any) -> None:
        plan = plan_of(settings)
        models = await bootstrap.ensure(_only(plan, "whisper"), volume)
        whisper = WhisperTranscriber(
            models["whisper"],
            threads=thread_budget().whisper,
            metrics=self.metrics,
            device=settings.device,
            compute=settings.whisper_compute,
            notes=volume / "compute.json",
            windows=settings.whisper_windows,
            max_batch=settings.whisper_batch,
        )
        await asyncio.to_thread(whisper.load)
        await asyncio.to_thread(whisper.warm)
        await asyncio.to_thread(gather)
        whisper.start()
        self._engine = whisper

    async def facts(self, route: dict[str, Any] | None = None) -> dict[str, Any]:
        reach = self._engine.reach
        return {
            "languages": sorted(reach.languages),
            "translates": reach.translates,
            "longest_s": reach.longest_s,
        }

    def load(self) -> dict[str, Any]:
        return {**super().load(), "spare": self._engine.spare, "free": self._engine.free}

    async def hear(
        self, audio: bytes, how: dict[str, Any], owner: str, route: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """16 kHz audio and the other fields of an `Utterance` -> one item, its transcript."""
        utterance = Utterance(np.frombuffer(audio, np.int16), **known(Utterance, how))
        live = utterance.rank <= SPECULATION
        seconds = len(audio) / EAR_BYTES_A_S if live else 0.0
        self._queued_s += seconds
        answer: dict[str, Any]
        try:
            transcript = await self._engine.transcribe(utterance, owner=owner)
            answer = {"transcript": plain(transcript)}
        except StageError as error:
            answer = failure(error)
        except Exception as error:
            log.exception("the recogniser failed")
            answer = failure(TranscriptionError(f"the recogniser failed: {type(error).__name__}"))
        finally:
            self._queued_s = max(0.0, self._queued_s - seconds)
        yield {**answer, "load": self.load()}


class VoiceReplica(Replica):
    """The embedded voice, or Chatterbox."""

    stage = VOICE

    async def _begin(self, settings: Settings, volume: Any) -> None:
        models = await bootstrap.ensure(_only(plan_of(settings), "voice"), volume)
        voice = engine_of_voice(settings, models, volume, self.metrics)
        await asyncio.to_thread(voice.load)
        await asyncio.to_thread(voice.warm)
        await asyncio.to_thread(gather)
        voice.start()
        self._engine = voice

    async def facts(self, route: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "voices": list(self._engine.names()),
            "shortest_chars": self._engine.shortest_chars,
            "phrase_words": self._engine.phrase_words,
        }

    def load(self) -> dict[str, Any]:
        return {**super().load(), "voices": list(self._engine.names())}

    async def speak(
        self, line: dict[str, Any], owner: str, route: dict[str, Any]
    ) -> AsyncGenerator[bytes | dict[str, Any], None]:
        """The fields of a `Line` -> chunks of 24 kHz audio, then one dict."""
        asked = Line(**known(Line, line))
        seconds = len(asked.text) / CHARS_PER_S if asked.rank < PARTIAL else 0.0
        self._queued_s += seconds
        answer: dict[str, Any] = {}
        ended = False
        try:
            async with aclosing(self._engine.speak(asked, owner=owner)) as chunks:
                async for chunk in chunks:
                    yield chunk.tobytes()
            ended = True
        except StageError as error:
            answer = failure(error)
        except Exception as error:
            log.exception("the voice failed")
            answer = failure(VoiceError(f"the voice failed: {type(error).__name__}"))
        finally:
            self._queued_s = max(0.0, self._queued_s - seconds)
            if not (ended or answer):
                self.metrics.count("replica.cancelled")
        yield {**answer, "load": self.load()}


def failure(error: StageError) -> dict[str, Any]:
    """A stage's error as plain values."""
    return {"failed": {"stage": error.stage, "code": error.code, "message": str(error)}}


def _only(plan: bootstrap.Plan, role: str) -> bootstrap.Plan:
    """Of a plan, what one engine needs."""
    return replace(plan, models=tuple(m for m in plan.models if m.role == role))
