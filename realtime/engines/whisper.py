"""Whisper behind the `Transcriber` seam: an utterance's way to its words.

    cut       long audio into parts of one window, where it is quiet
    features  on a thread of their own
    decode    on the model's thread, in a batch with the windows of other callers
    doubt     what loops or is improbable is tried again, alone with its like, while the others of
              its batch have their words already

A retry is a job like any other, at the end of its owner's line. On two idle cores tiny.en takes
about 0.1 s for an utterance; one that fails all four attempts comes after 1.3 to 1.4 s.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.batcher import Batcher
from realtime.batching import PARTIAL
from realtime.engines import Reach, Transcript, Utterance
from realtime.engines.features import LogMel
from realtime.engines.whisper_model import Heard, WhisperModel, Window
from realtime.errors import Saturated, StageError, TranscriptionError
from realtime.fallback import Attempt, Tried, best, next_attempt
from realtime.hypothesis import Hypothesis
from realtime.metrics import Metrics
from realtime.recognition import TAIL_S, WINDOWS_S, Windows, split_long
from realtime.timing import Passage

log = logging.getLogger("banter.whisper")

MAX_BATCH = 8
MAX_BATCH_S = 1.0
"""Nobody waits longer than this for a batch that was put together while he waited. Eight windows of
15 s take tiny.en about half of it on two idle cores."""

MAX_WAITING_S = 600.0
"""Audio seconds that may wait; beyond that a new utterance is refused (`transcription.failed`)."""

MIN_AUDIO_S = 0.1


@dataclass(frozen=True)
class _Asked:
    """What holds for every window of an utterance."""

    owner: Hashable
    rank: int
    language: str | None
    context: tuple[int, ...]
    suppressed: tuple[int, ...]
    words: bool
    translate: bool
    temperature: float


class WhisperTranscriber:
    """Owns the model. `load` and `warm` block; `transcribe` is for the event loop."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        metrics: Metrics,
        device: str = "auto",
        windows: tuple[float, ...] = WINDOWS_S,
        tail_s: float = TAIL_S,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._path, self._threads, self._device = path, threads, device
        self._metrics = metrics
        self._windows = Windows(windows, tail_s)
        self._model = WhisperModel(metrics=metrics)
        self._features = LogMel(max_waiting_s=MAX_WAITING_S, metrics=metrics)
        self._batcher: Batcher[Window, Heard] = Batcher(
            "transcription",
            self._model.run,
            max_batch=max_batch,
            max_cost=MAX_WAITING_S,
            cost=lambda window: window.seconds,
            key=lambda window: window.key,
            weight=lambda window: window.attempt.window_s,
            max_batch_s=MAX_BATCH_S,
            metrics=metrics,
        )

    def load(self) -> None:
        self._model.load(self._path, threads=self._threads, device=self._device)
        self._features.load(self._model.extractor)

    def warm(self) -> None:
        """One real pass, so that the first caller does not pay for it."""
        noise = np.random.default_rng(0).normal(0, 30, 2 * EAR_RATE_HZ).astype(np.int16)
        seconds = len(noise) / EAR_RATE_HZ
        attempt = Attempt(self._windows.first(seconds))
        self._model.run([Window(self._features.compute(noise), seconds, attempt, "en")])

    def start(self) -> None:
        self._features.start()
        self._batcher.start()

    @property
    def alive(self) -> bool:
        return self._batcher.alive and self._features.alive

    @property
    def reach(self) -> Reach:
        model = self._model
        return Reach(model.languages, model.multilingual, self._windows.longest_s)

    async def close(self) -> None:
        await self._features.close()
        await self._batcher.close()

    async def transcribe(self, utterance: Utterance, *, owner: Hashable) -> Transcript:
        """The words of one utterance.

        Raises:
            TranscriptionError: the recogniser failed.
            Saturated: too much audio is waiting.
        """
        try:
            passages, language = await self._hear_all(utterance, owner)
        except StageError:
            raise
        except Exception as error:
            log.exception("the recogniser failed")
            raise TranscriptionError("the recogniser failed on this utterance") from error
        text = " ".join(passage.text for passage in passages)
        seconds = len(utterance.audio) / EAR_RATE_HZ
        return Transcript(text, language or "en", seconds, tuple(passages))

    async def _hear_all(
        self, utterance: Utterance, owner: Hashable
    ) -> tuple[list[Passage], str | None]:
        """One window at a time: between two of a long recording, others have their turn."""
        context = self._model.context(prompt=utterance.prompt, hotwords=utterance.hotwords)
        language = utterance.language if utterance.language in self._model.languages else None
        passages, start = [], 0
        for part in split_long(utterance.audio, self._windows.longest_s):
            start_s, start = start / EAR_RATE_HZ, start + len(part)
            if len(part) < MIN_AUDIO_S * EAR_RATE_HZ:
                continue
            asked = _Asked(
                owner,
                utterance.rank,
                language,
                context,
                tuple(utterance.suppress),
                utterance.words,
                utterance.translate and self._model.multilingual,
                utterance.temperature,
            )
            attempt, heard = await self._hear(part, asked)
            if self._believed(heard.hypothesis, utterance):
                passages.append(_passage(attempt, heard.hypothesis).moved(start_s))
                language = language or heard.language
        return passages, language

    async def _hear(self, audio: Int16, asked: _Asked) -> tuple[Attempt, Heard]:
        """One window's worth of audio, as often as its hypotheses are doubtful."""
        seconds = len(audio) / EAR_RATE_HZ
        features = await self._features.of(audio, owner=asked.owner, rank=asked.rank)
        tried: list[Tried] = []
        language = asked.language
        attempt: Attempt | None = Attempt(self._windows.first(seconds), asked.temperature)
        while attempt:
            window = Window(
                features,
                seconds,
                attempt,
                language,
                asked.context,
                asked.suppressed,
                asked.words,
                asked.translate,
            )
            try:
                heard = await self._batcher.submit(window, owner=asked.owner, rank=asked.rank)
            except Saturated:
                if not tried:
                    raise
                break  # the queue is full: what there is must do
            tried.append((attempt, heard.hypothesis))
            language = heard.language
            self._metrics.count("transcription.looped", heard.hypothesis.loops)
            attempt = next_attempt(tried, asked.rank)
            self._metrics.count("transcription.retried", attempt is not None)
        believed = best(tried)
        tries = (attempt for attempt, hypothesis in tried if hypothesis is believed)
        return next(tries), Heard(believed, language or "en")

    def _believed(self, hypothesis: Hypothesis, utterance: Utterance) -> str:
        """Its text, or none where it says what Whisper says when nobody speaks."""
        told = f"{utterance.hotwords} {utterance.prompt}"
        if hypothesis.silent or hypothesis.phantom or hypothesis.recites(told):
            self._metrics.count("transcription.filtered")
            return ""
        if hypothesis.doubtful:
            self._metrics.count("transcription.doubtful")
            if utterance.rank == PARTIAL:
                return ""
        return hypothesis.text


def _passage(attempt: Attempt, heard: Hypothesis) -> Passage:
    return Passage(
        0.0,
        heard.seconds,
        heard.text,
        heard.words,
        attempt.temperature,
        heard.log_probability,
        heard.no_speech,
    )
