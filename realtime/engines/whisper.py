"""faster-whisper's model behind the `Transcriber` seam: one thread, whole batches.

Utterances of all sessions are grouped by window; each group is one `encode` and one `generate`
through CTranslate2. A hypothesis that loops is tried once more with a window of 30 s, alone with
its like.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.audio import EAR_RATE_HZ, Float32, to_float32
from realtime.batcher import Batcher
from realtime.engines import Transcript, Utterance
from realtime.errors import StageError, TranscriptionError
from realtime.metrics import Metrics
from realtime.recognition import (
    WINDOWS_S,
    Hypothesis,
    max_tokens,
    split_long,
    window_for,
)

log = logging.getLogger("banter.whisper")

MAX_BATCH = 8
MAX_WAITING_S = 600.0
"""Audio seconds that may wait; beyond that a new utterance is refused (`transcription.failed`)."""

MIN_AUDIO_S = 0.1
MAX_LENGTH = 448
FRAMES_PER_S = 100


@dataclass(frozen=True)
class _Part:
    """One window's worth of an utterance."""

    audio: Float32
    language: str | None

    @property
    def seconds(self) -> float:
        return len(self.audio) / EAR_RATE_HZ


class WhisperTranscriber:
    """Owns the model. `load` and `warm` block; `transcribe` is for the event loop."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        metrics: Metrics,
        device: str = "cpu",
        compute: str = "int8",
    ) -> None:
        self._path, self._threads = path, threads
        self._device, self._compute = device, compute
        self._metrics = metrics
        self._batcher: Batcher[Utterance, Transcript] = Batcher(
            "transcription",
            self.run,
            max_batch=MAX_BATCH,
            max_cost=MAX_WAITING_S,
            cost=lambda u: len(u.audio) / EAR_RATE_HZ,
            metrics=metrics,
        )

    def load(self) -> None:
        import faster_whisper
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        self._model = faster_whisper.WhisperModel(
            str(self._path),
            device=self._device,
            compute_type=self._compute,
            cpu_threads=self._threads,
            num_workers=1,
            local_files_only=True,
        )
        self._multilingual: bool = self._model.model.is_multilingual
        self._languages_known = frozenset(self._model.supported_languages)
        self._tokenizers: dict[str, Any] = {}
        self._new_tokenizer: Callable[[str], Any] = lambda language: Tokenizer(
            self._model.hf_tokenizer,
            self._multilingual,
            task="transcribe" if self._multilingual else None,
            language=language if self._multilingual else None,
        )
        self._suppressed = list(get_suppressed_tokens(self._tokenizer("en"), [-1]))

    def warm(self) -> None:
        """One real pass, so that the first caller does not pay for it."""
        noise = np.random.default_rng(0).normal(0, 30, 2 * EAR_RATE_HZ)
        self.run([Utterance(noise.astype(np.int16))])

    def start(self) -> None:
        self._batcher.start()

    @property
    def alive(self) -> bool:
        return self._batcher.alive

    async def close(self) -> None:
        await self._batcher.close()

    async def transcribe(self, utterance: Utterance, *, owner: Hashable) -> Transcript:
        """The words of one utterance.

        Raises:
            TranscriptionError: the recogniser failed.
            Saturated: too much audio is waiting.
        """
        language = utterance.language if utterance.language in self._languages_known else None
        found = []
        try:
            # one window at a time: between two of a long recording, others have their turn
            for part in split_long(utterance.audio):
                job = Utterance(part, language)
                found.append(await self._batcher.submit(job, owner=owner))
                language = language or found[0].language
        except StageError:
            raise
        except Exception as error:
            log.exception("the recogniser failed")
            raise TranscriptionError("the recogniser failed on this utterance") from error
        text = " ".join(t.text for t in found if t.text)
        return Transcript(text, found[0].language, len(utterance.audio) / EAR_RATE_HZ)

    def run(self, batch: Sequence[Utterance]) -> list[Transcript | BaseException]:
        """Transcribe single windows on the owner thread; an error stays with its group."""
        parts = {
            n: _Part(to_float32(utterance.audio), utterance.language)
            for n, utterance in enumerate(batch)
            if len(utterance.audio) >= MIN_AUDIO_S * EAR_RATE_HZ
        }
        heard = dict(zip(parts, self._decode(list(parts.values())), strict=True))
        return [self._transcript(u, heard.get(n)) for n, u in enumerate(batch)]

    def _transcript(
        self, utterance: Utterance, found: tuple[Hypothesis, str] | BaseException | None
    ) -> Transcript | BaseException:
        if isinstance(found, BaseException):
            return found
        seconds = len(utterance.audio) / EAR_RATE_HZ
        if found is None:
            return Transcript("", utterance.language or "en", seconds)
        hypothesis, language = found
        if hypothesis.silent or hypothesis.phantom:
            self._metrics.count("transcription.filtered")
            return Transcript("", language, seconds)
        return Transcript(hypothesis.text, language, seconds)

    def _decode(self, parts: list[_Part]) -> list[tuple[Hypothesis, str] | BaseException]:
        groups: dict[float, list[int]] = defaultdict(list)
        for n, part in enumerate(parts):
            groups[window_for(part.seconds)].append(n)
        heard: dict[int, tuple[Hypothesis, str] | BaseException] = {}
        for window_s in WINDOWS_S:
            members = groups[window_s]
            for n, found in zip(
                members, self._group([parts[n] for n in members], window_s), strict=True
            ):
                doubtful = not isinstance(found, BaseException) and found[0].loops
                if doubtful and window_s != WINDOWS_S[-1]:
                    self._metrics.count("transcription.retried")
                    groups[WINDOWS_S[-1]].append(n)
                heard[n] = found
        return [heard[n] for n in range(len(parts))]

    def _group(
        self, parts: list[_Part], window_s: float
    ) -> list[tuple[Hypothesis, str] | BaseException]:
        if not parts:
            return []
        try:
            return list(self._generate(parts, window_s))
        except Exception as error:
            self._metrics.count("transcription.failed")
            log.exception("the recogniser failed on %d utterances", len(parts))
            failed = TranscriptionError("the recogniser failed on this utterance")
            failed.__cause__ = error
            return [failed] * len(parts)

    def _generate(self, parts: list[_Part], window_s: float) -> list[tuple[Hypothesis, str]]:
        """One encode and one generate for parts that share a window."""
        features = np.stack([self._features(part.audio, window_s) for part in parts])
        encoded = self._model.encode(features)
        languages = self._languages(parts, encoded)
        tokenizers = [self._tokenizer(language) for language in languages]
        longest = max(max_tokens(part.seconds) for part in parts)
        results = self._model.model.generate(
            encoded,
            [[*t.sot_sequence, t.no_timestamps] for t in tokenizers],
            beam_size=1,
            # CTranslate2 takes half of max_length as its bound on new tokens
            max_length=min(MAX_LENGTH, 2 * longest),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
        )
        self._metrics.count("transcription.encodes")
        return [
            (_hypothesis(result, tokenizer, part.seconds), language)
            for result, tokenizer, part, language in zip(
                results, tokenizers, parts, languages, strict=True
            )
        ]

    def _features(self, audio: Float32, window_s: float) -> Float32:
        """Log-mel features [mels, frames] of the audio and silence up to the window's end."""
        extractor = self._model.feature_extractor
        padding = int(window_s * EAR_RATE_HZ) - len(audio)
        features: Float32 = extractor(audio, padding=max(0, padding))
        return features[:, : int(window_s * FRAMES_PER_S)]

    def _languages(self, parts: list[_Part], encoded: Any) -> list[str]:
        if not self._multilingual:
            return ["en"] * len(parts)
        if all(part.language for part in parts):
            return [part.language or "en" for part in parts]
        ranked = self._model.model.detect_language(encoded)
        return [p.language or r[0][0][2:-2] for p, r in zip(parts, ranked, strict=True)]

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            self._tokenizers[language] = self._new_tokenizer(language)
        return self._tokenizers[language]


def _hypothesis(result: Any, tokenizer: Any, seconds: float) -> Hypothesis:
    tokens = result.sequences_ids[0]
    return Hypothesis(
        text=tokenizer.decode(tokens).strip(),
        tokens=len(tokens),
        log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
        no_speech=result.no_speech_prob,
        seconds=seconds,
    )
