"""The server's recogniser without the server: the real model under one policy, fed by a trace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.arrivals import Arrival
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, Pcm, to_ear, to_pcm

BEFORE_SAMPLES = SAMPLE_RATE_HZ * 300 // 1000
AFTER_SAMPLES = SAMPLE_RATE_HZ * 200 // 1000
"""What the server's ear keeps around the speech by default."""


@dataclass(frozen=True)
class Heard:
    """What became of one arrival."""

    which: int
    latency_ms: float
    """From the moment it was due, not from when this process came to submit it."""
    late_ms: float
    """How late it was submitted."""
    text: str
    error: str | None = None


@dataclass
class Recogniser:
    """A transcriber that is loaded, warm and started, with the counters it counts in."""

    transcriber: Any
    metrics: Any
    _owners: int = field(default=0)

    @property
    def encodes(self) -> int:
        return int(self.metrics.counts["transcription.encodes"])

    async def play(self, trace: Sequence[Arrival], utterances: Sequence[Any]) -> list[Heard]:
        """Submit each arrival when it is due, whether others have been answered or not.

        Every arrival is a session of its own. Gives what became of each, in order of arrival.
        """
        begun_at = time.perf_counter()
        hearing = []
        async with asyncio.TaskGroup() as tasks:
            for arrival in trace:
                due_at = begun_at + arrival.at_s
                if (early_s := due_at - time.perf_counter()) > 0:
                    await asyncio.sleep(early_s)
                self._owners += 1
                hears = self._hear(arrival.which, utterances[arrival.which], due_at, self._owners)
                hearing.append(tasks.create_task(hears))
        return [task.result() for task in hearing]

    async def _hear(self, which: int, utterance: Any, due_at: float, owner: int) -> Heard:
        late_ms = (time.perf_counter() - due_at) * 1000
        text, error = "", None
        try:
            text = (await self.transcriber.transcribe(utterance, owner=owner)).text
        except Exception as raised:  # whatever it is, this arrival did not get its text
            error = f"{type(raised).__name__}: {raised}"
        return Heard(which, (time.perf_counter() - due_at) * 1000, late_ms, text, error)

    async def capacity_per_s(self, utterances: Sequence[Any], count: int) -> float:
        """Utterances a second while there are always more waiting than a batch holds."""
        begun_at = time.perf_counter()
        await self.play([Arrival(0.0, n % len(utterances)) for n in range(count)], utterances)
        return count / (time.perf_counter() - begun_at)


def as_heard(clip: Clip) -> Pcm:
    """A clip at 16 kHz, cut around its speech as the server cuts a turn."""
    first = max(0, clip.first_voiced_sample - BEFORE_SAMPLES)
    return to_pcm(to_ear(clip.pcm[first : clip.last_voiced_sample + 1 + AFTER_SAMPLES]))


async def model_path() -> Path:
    """The folder of the embedded Whisper model."""
    import bootstrap

    models = await bootstrap.ensure(bootstrap.plan_for("embedded"), bootstrap.default_volume())
    return Path(models["whisper"])


@asynccontextmanager
async def recogniser(path: Path, options: Mapping[str, Any]) -> AsyncIterator[Recogniser]:
    """The server's transcriber with some of its options, ready to be asked."""
    from realtime.engines.whisper import WhisperTranscriber
    from realtime.metrics import Metrics
    from realtime.threads import thread_budget

    metrics = Metrics()
    transcriber = WhisperTranscriber(
        path, threads=thread_budget().whisper, metrics=metrics, **options
    )
    await asyncio.to_thread(transcriber.load)
    await asyncio.to_thread(transcriber.warm)
    transcriber.start()
    try:
        yield Recogniser(transcriber, metrics)
    finally:
        await transcriber.close()
