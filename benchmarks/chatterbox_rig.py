"""Chatterbox without a server: the parts of the voice, put together as it does, with clocks on.

Two copies of the package are loaded: ours is changed by what uses it (types, folded norms);
upstream's is left as it came, but for a bound on its tokens, which it has no setting for, and its
progress bars.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.chatterbox_weights import depth, sentence
from benchmarks.playout import Reply
from benchmarks.stages import StageClock
from realtime.engines.chatterbox.chunks import Schedule
from realtime.engines.chatterbox.conditionals import from_package
from realtime.engines.chatterbox.decoder import Decoder, Row
from realtime.engines.chatterbox.finishing import Finisher
from realtime.engines.chatterbox.model import load
from realtime.engines.chatterbox.stream import Request, Stream
from realtime.engines.chatterbox.synthesizer import Synthesizer
from realtime.engines.chatterbox.watermark import Watermark
from realtime.engines.chatterbox.worker import Worker
from realtime.metrics import Metrics

WHOLE = Schedule(sizes=(10**9,))
"""No chunk is due before the end."""
STREAMED = Schedule()
WORDS = 8
WARM_TOKENS = 16
OURS, MARK = ("prefill", "steps", "flow", "vocoder"), "watermark"
"""Stages on the worker's thread; and beside it."""


@dataclass(frozen=True)
class Spoken:
    """One line, as its listener got it."""

    since_s: float
    reply: Reply
    tokens: int

    @property
    def first_ms(self) -> float:
        return (self.reply.pieces[0].arrived_at - self.since_s) * 1e3

    @property
    def ended_s(self) -> float:
        return self.reply.pieces[-1].arrived_at

    @property
    def audio_s(self) -> float:
        return self.reply.samples / 24_000


class Rig:
    """The models, and what is asked of them: lines of `WORDS` words and at most `tokens` tokens."""

    def __init__(
        self, folder: Path, variant: str, *, device: str, tokens: int, small: bool
    ) -> None:
        self.device, self.tokens, self.small = device, tokens, small
        with depth(small):
            self.model = load(folder, device, variant)
            self.upstream = load(folder, device, variant).package
        self.variant = self.model.variant
        self.conditionals = from_package(self.model.package.conds)
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.metrics = Metrics()
        _bound(self.upstream.t3, tokens)

    def wait(self) -> None:
        """Until the device has done all it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def clock(self) -> StageClock:
        return StageClock(self.wait)

    def request(self, number: int, tokens: int | None = None) -> Request:
        """What line `number` asks for; each has its own text and seed."""
        return Request(
            text=sentence(number, WORDS),
            language="en",
            conditionals=self.conditionals,
            sampling=self.variant.sampling,
            exaggeration=0.5,
            speed=1.0,
            seed=number,
            fewest_tokens=self.tokens,  # noise is never a tail
            max_tokens=tokens or self.tokens,
        )

    def row(self, number: int, tokens: int | None = None) -> Row:
        asked = self.request(number, tokens)
        return Row(
            conditionals=asked.conditionals,
            text_tokens=self.model.text_tokens(asked.text, asked.language),
            sampling=asked.sampling,
            seed=asked.seed,
            max_tokens=asked.max_tokens,
        )

    def decoder(self, rows: int) -> Decoder:
        """For so many lines, warm; with room for the longest of them and no more, because the
        cache of 64 would not fit into a small machine's memory."""
        gc.collect()  # the decoder before, with its cache: clocks tie it into a circle
        if self.device == "cuda":
            torch.cuda.empty_cache()
        longest = max(len(self.row(n).text_tokens) for n in range(100))
        prefix = self.variant.prompt_tokens + longest + 8
        decoder = Decoder(
            self.model.t3,
            self.variant,
            rows=rows,
            device=self.device,
            dtype=self.dtype,
            positions=prefix + self.tokens + 8,
        )
        decoder.warm()
        row = self.row(0, WARM_TOKENS)
        decoder.join(row)
        while not row.ended:
            decoder.step()
        return decoder

    def synthesizer(self, schedule: Schedule) -> Synthesizer:
        return Synthesizer(
            self.model.s3gen,
            self.variant,
            device=self.device,
            half=self.device == "cuda",
            schedule=schedule,
        )

    @asynccontextmanager
    async def service(
        self,
        rows: int,
        schedule: Schedule,
        *,
        threads: int,
        watermark: bool,
        clock: StageClock | None,
    ) -> AsyncIterator[Service]:
        """The voice's worker and finisher over a decoder of so many lines, warm and started."""
        decoder, synthesizer = self.decoder(rows), self.synthesizer(schedule)
        marks = Watermark(watermark)
        finisher = Finisher(marks, threads=min(2, threads), metrics=self.metrics)
        worker = Worker(
            decoder,
            synthesizer,
            finisher,
            self.model.text_tokens,
            metrics=self.metrics,
            threads=threads,
        )
        if clock:
            put_on(clock, decoder, synthesizer, marks)
        finisher.start()
        worker.start()
        try:
            service = Service(self, worker, decoder)
            await service.say([self.request(0)])
            yield service
        finally:
            await asyncio.to_thread(worker.close)
            await asyncio.to_thread(finisher.close)

    def say_upstream(self, numbers: Sequence[int]) -> list[tuple[float, float]]:
        """Upstream's `generate`, one line after the other: seconds, and seconds of audio."""
        said = []
        for number in numbers:
            torch.manual_seed(number)
            self.wait()
            begun_at = time.perf_counter()
            sound = self.upstream.generate(sentence(number, WORDS), **self._language())
            said.append((time.perf_counter() - begun_at, sound.shape[-1] / 24_000))
        return said

    def _language(self) -> dict[str, str]:
        return {"language_id": "en"} if self.variant.name == "multilingual" else {}

    def clocked_upstream(self) -> StageClock:
        """A clock on upstream's stages; `t3 tokens` counts its tokens in `calls`."""
        clock, package = self.clock(), self.upstream
        name = "inference_turbo" if self.variant.name == "turbo" else "inference"
        inner = getattr(package.t3, name)

        def counted(*args: Any, **given: Any) -> Any:
            found = inner(*args, **given)
            clock.calls["t3 tokens"] += found.shape[-1]
            return found

        setattr(package.t3, name, counted)
        clock.around(package.t3, name, "t3")
        clock.around(package.s3gen, "flow_inference", "flow")
        clock.around(package.s3gen, "hift_inference", "vocoder")
        clock.around(package.watermarker, "apply_watermark", MARK, on_host=True)
        return clock


@dataclass
class Service:
    """A voice that takes lines."""

    rig: Rig
    worker: Worker
    decoder: Decoder

    async def say(self, requests: Sequence[Request]) -> list[Spoken]:
        """All at once, each for a listener of its own."""
        streams = [self.begin(request, owner) for owner, request in enumerate(requests)]
        return await asyncio.gather(*(self.hear(stream) for stream in streams))

    def begin(self, request: Request, owner: object) -> Stream:
        stream = Stream(request, owner, asyncio.get_running_loop())
        self.worker.submit(stream)
        return stream

    async def hear(self, stream: Stream) -> Spoken:
        """To its end."""
        reply = Reply("")
        while (piece := await stream.sounds.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            reply.add(time.perf_counter(), piece)
        return Spoken(stream.since_s, reply, len(stream.row.tokens) if stream.row else 0)


def put_on(clock: StageClock, decoder: Decoder, synthesizer: Synthesizer, marks: Watermark) -> None:
    """The clock around the stages of the worker's thread, and around each line's watermark."""
    clock.around(decoder, "join", "prefill")
    clock.around(decoder, "step", "steps")
    clock.around(synthesizer._flow, "run", "flow")
    clock.around(synthesizer._vocoder, "run", "vocoder")
    unclocked = marks.open

    def opened() -> Any:
        marked = unclocked()
        clock.around(marked, "push", MARK, on_host=True)
        return marked

    marks.open = opened


def _bound(t3: Any, tokens: int) -> None:
    """So many tokens at most; upstream's `generate` asks for a thousand, whatever the text."""
    from chatterbox.models.t3 import t3 as module

    module.tqdm = lambda steps, **how: steps
    turbo, inference = t3.inference_turbo, t3.inference
    t3.inference_turbo = lambda **given: turbo(**given, max_gen_len=tokens - 1)
    t3.inference = lambda **given: inference(**{**given, "max_new_tokens": tokens})
