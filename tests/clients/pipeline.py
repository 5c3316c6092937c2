"""A pipeline of pipecat's around one of its services, with an ear on either side of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pipecat.frames.frames import (
    BotSpeakingFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    UserSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from tests.clients.speech import RATE_HZ, slices

TIMEOUT_S = 40
NOISY = (InputAudioRawFrame, BotSpeakingFrame, UserSpeakingFrame)

Wanted = TypeVar("Wanted", bound=Frame)


class Ear(FrameProcessor):
    """Passes everything on and keeps it."""

    def __init__(self, heard: list[Frame], changed: asyncio.Event) -> None:
        super().__init__()
        self._heard, self._changed = heard, changed

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, NOISY):
            self._heard.append(frame)
            self._changed.set()
        await self.push_frame(frame, direction)


class Call:
    """A pipeline that runs; `frames` are those that passed the service on either side."""

    def __init__(self, worker: PipelineWorker, frames: list[Frame], changed: asyncio.Event) -> None:
        self._worker, self._changed = worker, changed
        self.frames = frames

    def of(self, kind: type[Wanted]) -> list[Wanted]:
        seen: dict[int, Wanted] = {f.id: f for f in self.frames if isinstance(f, kind)}
        return list(seen.values())

    async def push(self, frame: Frame) -> None:
        await self._worker.queue_frame(frame)

    async def say(self, audio: bytes) -> None:
        for piece in slices(audio, 20):
            await self.push(InputAudioRawFrame(audio=piece, sample_rate=RATE_HZ, num_channels=1))

    async def until(self, kind: type[Wanted], many: int = 1) -> list[Wanted]:
        """Wait until so many frames of a kind have passed."""
        return await self.find(lambda: self.of(kind) if len(self.of(kind)) >= many else [], kind)

    async def find(self, look: Callable[[], Any], what: object) -> Any:
        """What `look` finds, asked anew whenever a frame passes; an error frame raises."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not (found := look()):
                    assert not self.of(ErrorFrame), self.of(ErrorFrame)
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            seen = sorted({type(f).__name__ for f in self.frames})
            raise AssertionError(f"no {what}; seen: {seen}") from None


@asynccontextmanager
async def call(service: FrameProcessor, context: LLMContext | None = None) -> AsyncIterator[Call]:
    """Run `service` between aggregators, where there is a context, until the block is left."""
    frames: list[Frame] = []
    changed = asyncio.Event()
    around = LLMContextAggregatorPair(context or LLMContext())
    pipeline = Pipeline(
        [
            around.user(),
            Ear(frames, changed),
            service,
            Ear(frames, changed),
            around.assistant(),
        ]
    )
    params = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
    worker = PipelineWorker(
        pipeline, params=params, cancel_on_idle_timeout=False, enable_rtvi=False
    )
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_started(worker: PipelineWorker, frame: Frame) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await started.wait()
        yield Call(worker, frames, changed)
        assert not [f for f in frames if isinstance(f, ErrorFrame)]
    finally:
        await worker.queue_frame(EndFrame())
        async with asyncio.timeout(TIMEOUT_S):
            await running
