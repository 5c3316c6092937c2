"""Whisper behind the `Transcriber` seam: an utterance's way to its words.

    cut       long audio into parts of one window, where it is quiet
    features  on a thread of their own
    decode    on the model's thread, in a batch with the windows of other callers
    doubt     what loops or is improbable is tried again, alone with its like, while the others of
              its batch have their words already

Words of a turn that goes on come from shorter windows, once, and only while the model has nothing
else to do; for them it spends `PARTIAL_SHARE` of its time at most.

A retry is a job like any other, at the end of its owner's line. On two idle cores tiny.en takes
about 0.1 s for an utterance; one that fails all four attempts comes after 1.3 to 1.4 s.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.allowance import Allowance
from realtime.audio import EAR_RATE_HZ, Int16
from realtime.batcher import Batcher
from realtime.batching import FINAL, PARTIAL, SPECULATION
from realtime.engines import Reach, Transcript, Utterance
from realtime.engines.features import LogMel
from realtime.engines.renewable import Renewable
from realtime.engines.whisper_model import Heard, WhisperModel, Window
from realtime.errors import Saturated, StageError, TranscriptionError
from realtime.fallback import Attempt, Tried, best, next_attempt
from realtime.fault import code_of
from realtime.hypothesis import Hypothesis
from realtime.metrics import Metrics
from realtime.recognition import TAIL_S, WINDOWS_S, Windows, split_long
from realtime.timing import Passage

log = logging.getLogger("banter.whisper")

MAX_BATCH = 8
MAX_BATCH_S = 1.0
"""Nobody waits longer than this for a batch that was put together while he waited. Eight windows of
15 s take tiny.en about half of it on two idle cores."""

LEAST_STUCK_S = 20.0
"""A run takes tiny.en 0.1 to 1.3 s; what is tried again warmer may take some times as long as its
batch is predicted to."""

MAX_WAITING_S = 600.0
"""Audio seconds that may wait; beyond that a new utterance is refused (`transcription.failed`)."""

MIN_AUDIO_S = 0.1

PARTIAL_SHARE = 0.12
"""Of the model's time, for words that are shown while somebody speaks."""

PARTIAL_BURST_S = 1.0
"""So much of it at once after a while without; a run that is predicted to take longer is not made,
so a machine that slow shows no words before the turn is over."""

SPECULATION_SHARE = 0.35
SPECULATION_BURST_S = 2.0
"""Likewise, for words that are looked for in a pause that may be the end of the turn."""

PROMPTED_WINDOW_S = 15.0
"""The shortest for words that are told a prompt or hotwords: in 8 s tiny.en left out one word of
eight that it was told, in 15 s none."""

PARTIAL_WINDOWS = (8.0,)
PARTIAL_TAIL_S = 0.5
"""Windows for them below the finals', and the silence in those; by `benchmarks/partials.py`."""


@dataclass
class _Asked:
    """What holds for every window of an utterance; only its rank may rise meanwhile."""

    owner: Hashable
    rank: int
    language: str | None
    context: tuple[int, ...]
    suppressed: tuple[int, ...]
    words: bool
    translate: bool
    temperature: float


class WhisperTranscriber(Renewable):
    """Owns the model. `load` and `warm` block; `transcribe` is for the event loop."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        metrics: Metrics,
        device: str = "auto",
        compute: str = "default",
        notes: Path | None = None,
        windows: tuple[float, ...] = WINDOWS_S,
        tail_s: float = TAIL_S,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._path, self._threads, self._device = path, threads, device
        self._compute, self._notes = compute, notes
        self._metrics = metrics
        self._windows = Windows(windows, tail_s)
        self._partial_windows = Windows(
            (*(w for w in PARTIAL_WINDOWS if w < windows[0]), *windows), PARTIAL_TAIL_S
        )
        roomy = tuple(w for w in windows if w >= PROMPTED_WINDOW_S)
        self._prompted_windows = Windows(roomy, tail_s)
        self._allowance = Allowance(PARTIAL_SHARE, PARTIAL_BURST_S)
        self._ahead = Allowance(SPECULATION_SHARE, SPECULATION_BURST_S)
        self._partials = 0
        self._speculations: defaultdict[Hashable, list[_Asked]] = defaultdict(list)
        self._model, self._loaded = WhisperModel(metrics=metrics), False
        self._features = LogMel(max_waiting_s=MAX_WAITING_S, metrics=metrics)
        self._batcher: Batcher[Window, Heard] = Batcher(
            "transcription",
            lambda batch: self._model.run(batch),
            max_batch=max_batch,
            max_cost=MAX_WAITING_S,
            cost=lambda window: window.seconds,
            key=lambda window: window.key,
            weight=lambda window: window.attempt.window_s,
            max_batch_s=MAX_BATCH_S,
            least_stuck_s=LEAST_STUCK_S,
            metrics=metrics,
        )
        metrics.gauges["transcription.audio_s"] = lambda: self._batcher.cost

    def load(self) -> None:
        model = WhisperModel(metrics=self._metrics) if self._loaded else self._model
        model.load(
            self._path,
            threads=self._threads,
            device=self._device,
            compute=self._compute,
            notes=self._notes,
        )
        self._features.load(model.extractor)
        self._model, self._loaded = model, True

    def warm(self) -> None:
        """One real pass, so that the first caller does not pay for it."""
        noise = np.random.default_rng(0).normal(0, 30, 2 * EAR_RATE_HZ).astype(np.int16)
        seconds = len(noise) / EAR_RATE_HZ
        attempt = Attempt(self._windows.first(seconds))
        self._model.run([Window(self._features.compute(noise), seconds, attempt, "en")])

    @property
    def waiting_s(self) -> float:
        """Seconds of callers' turns that wait to be transcribed."""
        return self._batcher.live_cost

    def _batchers(self) -> tuple[Batcher[Any, Any], ...]:
        return (self._features.batcher, self._batcher)

    @property
    def reach(self) -> Reach:
        model = self._model
        return Reach(model.languages, model.multilingual, self._windows.longest_s)

    @property
    def spare(self) -> bool:
        """Whether a partial would begin at once and is within their share of the time."""
        cost_s = self._batcher.predict_s(self._partial_windows.seconds[0]) * (1 + self._partials)
        spent_s = self._batcher.ran_s[PARTIAL]
        covered = self._allowance.covers(cost_s, at_s=time.perf_counter(), spent_s=spent_s)
        return covered and self._batcher.idle

    @property
    def free(self) -> bool:
        """Whether a speculation may begin: the model has nothing to do but partials and files, and
        speculations had less than their share of its time."""
        cost_s = self._batcher.predict_s(self._windows.seconds[0])
        spent_s = self._batcher.ran_s[SPECULATION]
        covered = self._ahead.covers(cost_s, at_s=time.perf_counter(), spent_s=spent_s)
        return covered and self._batcher.free_for(SPECULATION)

    def hurry(self, owner: Hashable) -> None:
        """The turn is over: this owner's speculations are finals from now on."""
        for asked in self._speculations.get(owner, ()):
            asked.rank = FINAL
        self._features.promote(owner)
        self._batcher.promote(owner)

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
            raise TranscriptionError(
                "the recogniser failed on this utterance", code=code_of(error)
            ) from error
        text = " ".join(passage.text for passage in passages)
        seconds = len(utterance.audio) / EAR_RATE_HZ
        return Transcript(text, language or "en", seconds, tuple(passages))

    async def _hear_all(
        self, utterance: Utterance, owner: Hashable
    ) -> tuple[list[Passage], str | None]:
        """One window at a time: between two of a long recording, others have their turn."""
        context = self._model.context(prompt=utterance.prompt, hotwords=utterance.hotwords)
        language = utterance.language if utterance.language in self._model.languages else None
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
        passages, start = [], 0
        with self._noted(asked):
            for part in split_long(utterance.audio, self._windows.longest_s):
                start_s, start = start / EAR_RATE_HZ, start + len(part)
                if len(part) < MIN_AUDIO_S * EAR_RATE_HZ:
                    continue
                attempt, heard = await self._hear(part, asked)
                if self._believed(heard.hypothesis, utterance):
                    passages.append(_passage(attempt, heard.hypothesis).moved(start_s))
                    asked.language = asked.language or heard.language
        return passages, asked.language

    @contextmanager
    def _noted(self, asked: _Asked) -> Iterator[None]:
        """Partials on their way count against their share; a speculation can be hurried."""
        speculative, partial = asked.rank == SPECULATION, asked.rank == PARTIAL
        self._partials += partial
        if speculative:
            self._speculations[asked.owner].append(asked)
        try:
            yield
        finally:
            self._partials -= partial
            if speculative:
                mine = self._speculations[asked.owner]
                mine.remove(asked)
                if not mine:
                    del self._speculations[asked.owner]

    async def _hear(self, audio: Int16, asked: _Asked) -> tuple[Attempt, Heard]:
        """One window's worth of audio, as often as its hypotheses are doubtful."""
        seconds = len(audio) / EAR_RATE_HZ
        features = await self._features.of(audio, owner=asked.owner, rank=asked.rank)
        tried: list[Tried] = []
        language = asked.language
        windows = self._prompted_windows if asked.context else self._windows
        if asked.rank == PARTIAL:
            windows = self._partial_windows
        attempt: Attempt | None = Attempt(windows.first(seconds), asked.temperature)
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
