"""The `Voice` seam over Chatterbox: a line in, 16-bit sound at 24 kHz out as it is made."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from realtime.aside import in_thread
from realtime.audio import Int16
from realtime.engines import Line
from realtime.engines.chatterbox.decoder import Decoder, Row
from realtime.engines.chatterbox.finishing import Finisher
from realtime.engines.chatterbox.library import VoiceLibrary
from realtime.engines.chatterbox.model import load, quietly
from realtime.engines.chatterbox.pieces import SHORTEST_CHARS, fewest_tokens, split, token_limit
from realtime.engines.chatterbox.stream import SPEECH_TOKENS, Request, Stream
from realtime.engines.chatterbox.synthesizer import SILENCE, Job, Synthesizer
from realtime.engines.chatterbox.watermark import Watermark
from realtime.engines.chatterbox.worker import Worker
from realtime.errors import BanterError, VoiceError
from realtime.metrics import Metrics
from realtime.wording import worded

log = logging.getLogger("banter.chatterbox")

CHARS_PER_S = 15.0
"""About so many characters are spoken in a second."""

WARM_TOKENS = 16

PATIENCE_S = 5.0
"""After so long without sound it is asked whether the worker still lives."""

STUCK_S, STUCK_ON_CPU_S = 20.0, 60.0
"""A piece of work takes 0.01 to 0.3 s on a GPU by design, and seconds on a processor; after so long
the worker is taken to be lost. The warm-up does not count."""

EXAGGERATION = 0.5
"""The package's own default."""


@dataclass(frozen=True)
class VoiceOptions:
    """How Chatterbox is run."""

    variant: str = "turbo"
    device: str = "cpu"
    streams: int = 16
    """Lines of all callers that are spoken at the same time; more wait."""
    memory_gib: float = 0.0
    """Of the GPU's memory that torch may take; 0 sets no bound."""
    threads: int = 1
    """For torch on the CPU."""
    finishing_threads: int = 1
    watermark: bool = True


class ChatterboxVoice:
    """`load` and `warm` block; the rest is for the event loop.

    `seeds` draws the seed of each line: with the same one a line sounds the same, whoever else is
    being spoken to.
    """

    shortest_chars = SHORTEST_CHARS
    phrase_words = 0

    def __init__(
        self,
        folder: Path,
        voices: Path,
        options: VoiceOptions,
        *,
        metrics: Metrics,
        seeds: Callable[[Line], int] = lambda line: secrets.randbits(48),
    ) -> None:
        self._folder, self._voices, self._options = folder, voices, options
        self._metrics, self._seeds = metrics, seeds
        self._lost: list[Worker] = []
        """Those that were given up, and may hold a model still."""

    def load(self) -> None:
        """
        Raises:
            BanterError: the package is missing or broken, or the folder holds no such model.
        """
        with quietly():
            self._load(self._options)

    def _load(self, options: VoiceOptions) -> None:
        torch.set_num_threads(options.threads)
        cuda = options.device == "cuda"
        if cuda and not torch.cuda.is_available():
            raise BanterError(
                "torch finds no CUDA here. Remedy: install a build of torch with CUDA that fits "
                "the driver (banter doctor), or --device cpu"
            )
        half = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        if cuda:  # it makes a plan for each shape, and here each line has its own
            torch.backends.cuda.enable_cudnn_sdp(False)
        if cuda and options.memory_gib:
            total = torch.cuda.get_device_properties(0).total_memory
            share = min(1.0, options.memory_gib * 2**30 / total)
            torch.cuda.set_per_process_memory_fraction(share)
        self._model = model = load(self._folder, options.device, options.variant)
        dtype = torch.bfloat16 if half else torch.float32
        library = VoiceLibrary(self._voices, model)
        before: VoiceLibrary | None = getattr(self, "library", None)
        if before:
            before.take_over(library)  # whoever lists voices holds the first
        self.library = before or library
        self._decoder = Decoder(
            model.t3, model.variant, rows=options.streams, device=options.device, dtype=dtype
        )
        self._synthesizer = Synthesizer(
            model.s3gen, model.variant, device=options.device, half=half
        )
        self._finisher = Finisher(
            Watermark(options.watermark), threads=options.finishing_threads, metrics=self._metrics
        )
        self._worker = Worker(
            self._decoder,
            self._synthesizer,
            self._finisher,
            model.text_tokens,
            metrics=self._metrics,
            threads=options.threads,
            stuck_s=STUCK_S if cuda else STUCK_ON_CPU_S,
        )

    def warm(self) -> None:
        """Capture what is captured, and speak a line from end to end."""
        worded("In 1 minute.", "en")  # its libraries take a moment at the first use
        self._decoder.warm()
        request = self._request("Hello, this is a test of the voice.", Line("", speed=1.0), seed=0)
        row = Row(
            conditionals=request.conditionals,
            text_tokens=self._model.text_tokens(request.text),
            sampling=request.sampling,
            seed=request.seed,
            max_tokens=WARM_TOKENS,
        )
        self._decoder.join(row)
        while not row.ended:
            self._decoder.step()
        sound = self._synthesizer.open(request.conditionals, seed=0)
        tokens = [token for token in row.tokens if token < SPEECH_TOKENS]
        tokens = (tokens + [SILENCE] * WARM_TOKENS)[:WARM_TOKENS]
        self._synthesizer.run([Job(sound, tokens, False)])
        self._synthesizer.run([Job(sound, tokens, True)])

    def start(self) -> None:
        log.info("Chatterbox %s: MiB of memory: %s", self._model.variant.name, self.memory())
        self._finisher.start()
        self._worker.start()

    @property
    def store(self) -> VoiceLibrary:
        """Through which voices come and go."""
        return self.library

    @property
    def waiting_s(self) -> float:
        """Seconds of replies, about, that wait to be spoken."""
        return self._worker.waiting_chars / CHARS_PER_S

    @property
    def alive(self) -> bool:
        return self._worker.alive and self._finisher.alive

    @property
    def trouble(self) -> str:
        """Why it has to be begun anew; empty while it works."""
        if self._worker.abandoned:
            return ""
        return self._worker.trouble or self._finisher.trouble

    @property
    def lost_device(self) -> str:
        """What was said when the GPU was lost to this process; empty while it was not."""
        return self._worker.lost_device

    @property
    def abandoned(self) -> int:
        """Threads that were given up and have not come back; each keeps its model."""
        return sum(worker.running for worker in self._lost)

    def supervise(self) -> None:
        """Nothing changes by it: who waits for a line that is lost is told when it is given up."""

    def abandon(self, why: str) -> None:
        """Give the worker up; all lines end now."""
        self._lost = [worker for worker in (*self._lost, self._worker) if worker.running]
        self._worker.abandon(VoiceError(f"the voice was lost: {why}", code="restarting"))
        self._finisher.abandon()

    async def renew(self) -> None:
        """A fresh model and fresh threads.

        Raises:
            Exception: it cannot be loaded; it may be tried again.
        """
        await in_thread(self._load_and_warm)
        self.start()

    def _load_and_warm(self) -> None:
        self.load()
        self.warm()

    async def close(self) -> None:
        await asyncio.to_thread(self._worker.close)
        await asyncio.to_thread(self._finisher.close)

    def names(self) -> Sequence[str]:
        """The voices that a line can ask for."""
        return self.library.names()

    def hurry(self, owner: Hashable) -> None:
        """This owner's speculative lines are live ones from now on."""
        self._worker.promote(owner)

    def hush(self, owner: Hashable) -> None:
        """What this owner has in hand is not heard any more: his next line is waited for."""
        self._worker.hush(owner)

    async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
        """Sound of one line in chunks, the first as soon as some 0.3 s of it can be made.

        Raises:
            VoiceError: the voice failed, is stuck, or has no such voice.
            Saturated: too much text is waiting.
        """
        text = worded(line.text, self._language(line), failed=self._unreadable)
        for piece in split(text):
            request = self._request(piece, line, seed=self._seeds(line))
            stream = Stream(request, owner, asyncio.get_running_loop())
            self._worker.submit(stream, rank=line.rank)
            ended = False
            try:
                while not ended:
                    item = await self._next(stream)
                    ended = not isinstance(item, np.ndarray)
                    if isinstance(item, Exception):
                        raise item
                    if item is not None:
                        yield item
            finally:
                if not ended:
                    self._worker.cancel(stream)

    async def _next(self, stream: Stream) -> Int16 | Exception | None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await stream.sounds.get()
            except TimeoutError:
                if not self.alive:
                    raise VoiceError("the voice is stuck", code="stuck") from None

    def memory(self) -> dict[str, float]:
        """MiB on the model's device: weights, keys and values of the lines; on a GPU also what
        torch has taken of it, at most, and what it may take."""
        model = self._model
        weights = sum(
            p.numel() * p.element_size()
            for module in (model.t3, model.s3gen, model.package.ve)
            for p in module.parameters()
        )
        found = {"weights": weights / 2**20, "lines": self._decoder.memory_bytes / 2**20}
        if self._options.device == "cuda":
            found["taken"] = torch.cuda.max_memory_reserved() / 2**20
            found["bound"] = self._options.memory_gib * 1024
        return {name: round(mib) for name, mib in found.items()}

    def _unreadable(self, error: Exception) -> None:
        self._metrics.count("voice.not_worded")
        log.warning("a text is spoken as it is written: %r", error)

    def _language(self, line: Line) -> str:
        """The line's language where this model speaks it, else English, which all do."""
        return line.language if line.language in self._model.variant.languages else "en"

    def _request(self, text: str, line: Line, *, seed: int) -> Request:
        variant = self._model.variant
        sampling = variant.sampling
        if line.temperature is not None:
            sampling = replace(sampling, temperature=line.temperature)
        exaggeration = line.exaggeration if variant.expressive else None
        language = self._language(line)
        return Request(
            text=text,
            language=language,
            conditionals=self.library.get(line.voice),
            sampling=sampling,
            exaggeration=EXAGGERATION if exaggeration is None else exaggeration,
            speed=line.speed,
            seed=seed,
            fewest_tokens=fewest_tokens(text),
            max_tokens=token_limit(text, language),
        )
