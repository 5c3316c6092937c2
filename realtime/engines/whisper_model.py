"""Whisper's weights and one pass through them: a batch of windows in, a hypothesis for each out.

Everything is decided before: a `Window` holds its features, how it is decoded, and the tokens that
precede it. Windows of one batch share `key`, because CTranslate2 takes one window length, one
temperature, one list of suppressed tokens and one place of `<|startoftranscript|>` a call; language
and the tokens themselves may differ from row to row.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime.audio import Float32
from realtime.engines.compute_type import compute_type
from realtime.engines.features import FRAMES_PER_S, Extractor, filled
from realtime.errors import TranscriptionError
from realtime.fallback import Attempt
from realtime.fault import code_of
from realtime.hypothesis import Hypothesis, max_tokens
from realtime.metrics import Metrics
from realtime.recognition import WHISPER_S
from realtime.timing import Word, without_pauses

log = logging.getLogger("banter.whisper")

MAX_LENGTH = 448
MAX_CONTEXT = MAX_LENGTH // 2 - 1
"""Tokens of hotwords and prompt together; of a longer prompt the end is kept, as Whisper does."""

SAMPLES = 5
"""Texts that are sampled at a temperature above 0; the most probable is kept."""

OPENING_MARKS = "\"'“¿([{-"
CLOSING_MARKS = "\"'.\u3002,\uff0c!\uff01?\uff1f:\uff1a”)]}\u3001"
"""Marks that faster-whisper hands to the word after and before them."""

ENCODE_FRAMES = int(WHISPER_S * FRAMES_PER_S)
"""Frames that the encoder is given at once on a CPU: two windows of 15 s, or one of 30. A batch of
8 goes in slices: its attention matrices, 108 MB, fit neither into the caches nor into what glibc
keeps. Eight windows of 15 s took 850 to 970 ms in one call and 235 to 250 in four, with the same
result to the last bit."""


@dataclass(frozen=True, eq=False)
class Window:
    """One window to decode."""

    features: Float32
    """[mels, frames] of the audio; silence fills the rest of the window."""
    seconds: float
    attempt: Attempt
    language: str | None
    context: tuple[int, ...] = ()
    """Tokens before `<|startoftranscript|>`; see `WhisperModel.context`."""
    suppressed: tuple[int, ...] = (-1,)
    words: bool = False
    """Whether to find out when each word was said."""
    translate: bool = False

    @property
    def key(self) -> Hashable:
        """Words are aligned with one start of the transcript for a batch, and so with one task and
        one language: where that has yet to be found out, the window goes alone."""
        start = self.words and (self.language or id(self))
        task = self.words and self.translate
        return (self.attempt, len(self.context), self.suppressed, start, self.words, task)


@dataclass(frozen=True)
class Heard:
    """What became of one window."""

    hypothesis: Hypothesis
    language: str


class WhisperModel:
    """Loaded by any thread, run by one at a time."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics

    def load(
        self,
        path: Path,
        *,
        threads: int,
        device: str,
        compute: str = "default",
        notes: Path | None = None,
    ) -> None:
        """From a folder in CTranslate2 form; `device` auto is the GPU where there is one. For
        `compute` and `notes` see `compute_type`."""
        import ctranslate2
        import faster_whisper
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._whisper = faster_whisper.WhisperModel(
            str(path),
            device=device,
            compute_type=compute_type(compute, path, device=device, threads=threads, notes=notes),
            cpu_threads=threads,
            num_workers=1,
            local_files_only=True,
        )
        self._at_once = ENCODE_FRAMES if device == "cpu" else None
        multilingual = self.multilingual = bool(self._whisper.model.is_multilingual)
        self.languages = frozenset(self._whisper.supported_languages)
        self._new_tokenizer: Callable[[str, str], Any] = lambda language, task: Tokenizer(
            self._whisper.hf_tokenizer,
            multilingual,
            task=task if multilingual else None,
            language=language if multilingual else None,
        )
        self._tokenizers: dict[tuple[str, str], Any] = {}
        english = self._tokenizer("en")
        self._suppress: Callable[[Sequence[int]], list[int]] = lambda tokens: list(
            get_suppressed_tokens(english, list(tokens))
        )

    @property
    def extractor(self) -> Extractor:
        """Audio to log-mel features, as these weights want them."""
        extractor: Extractor = self._whisper.feature_extractor
        return extractor

    def context(self, *, prompt: str = "", hotwords: str = "") -> tuple[int, ...]:
        """Tokens that a window is preceded by: hotwords, then the prompt, `MAX_CONTEXT` at most."""
        tokenizer = self._tokenizer("en")
        encode = tokenizer.encode
        told = [encode(f" {text.strip()}") if text.strip() else [] for text in (hotwords, prompt)]
        first = told[0][:MAX_CONTEXT]
        tokens = [*first, *told[1][max(0, len(told[1]) - (MAX_CONTEXT - len(first))) :]]
        return (tokenizer.sot_prev, *tokens) if tokens else ()

    def run(self, batch: Sequence[Window]) -> list[Heard | BaseException]:
        """Decode windows that share `key`.

        A batch that fails is tried again one by one, so that one window cannot fail the others'.
        """
        try:
            return list(self._decode(batch))
        except Exception as error:
            self._metrics.count("transcription.failed")
            log.exception("the recogniser failed on %d windows", len(batch))
            if len(batch) > 1:
                return [self.run([window])[0] for window in batch]
            failed = TranscriptionError(
                "the recogniser failed on this utterance", code=code_of(error)
            )
            failed.__cause__ = error
            return [failed]

    def _decode(self, batch: Sequence[Window]) -> Iterable[Heard]:
        attempt = batch[0].attempt
        encoded = self._encode(filled([w.features for w in batch], attempt.window_s))
        languages = self._languages(batch, encoded)
        tokenizers = [
            self._tokenizer(language, "translate" if w.translate else "transcribe")
            for w, language in zip(batch, languages, strict=True)
        ]
        prompts = [
            [*w.context, *t.sot_sequence, t.no_timestamps]
            for w, t in zip(batch, tokenizers, strict=True)
        ]
        results = self._whisper.model.generate(
            encoded,
            prompts,
            max_length=_max_length(max(max_tokens(w.seconds) for w in batch), len(prompts[0])),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppress(batch[0].suppressed),
            **_sampling(attempt.temperature),
        )
        written = [result.sequences_ids[0] for result in results]
        words = self._words(batch, encoded, tokenizers[0], written)
        for window, result, tokenizer, language, said in zip(
            batch, results, tokenizers, languages, words, strict=True
        ):
            yield Heard(_hypothesis(result, tokenizer, window.seconds, said), language)

    def _words(
        self, batch: Sequence[Window], encoded: Any, tokenizer: Any, written: Sequence[list[int]]
    ) -> list[tuple[Word, ...]]:
        """When each word was said, from where the decoder looks as it writes it."""
        if not batch[0].words:
            return [()] * len(batch)
        found = self._whisper.find_alignment(
            tokenizer,
            [[token for token in tokens if token < tokenizer.eot] for tokens in written],
            encoded,
            [int(window.seconds * FRAMES_PER_S) for window in batch],
        )
        return [_aligned(row, window.seconds) for row, window in zip(found, batch, strict=True)]

    def _encode(self, features: Float32) -> Any:
        """Features of a batch to what the decoder attends to, [batch, frames / 2, width]."""
        from ctranslate2 import StorageView

        self._metrics.count("transcription.encodes")
        step = max(1, (self._at_once or ENCODE_FRAMES * len(features)) // features.shape[2])
        if step >= len(features):
            return self._whisper.encode(features)
        slices = (features[n : n + step] for n in range(0, len(features), step))
        parts = [np.asarray(self._whisper.encode(part)) for part in slices]
        return StorageView.from_array(np.concatenate(parts))

    def _languages(self, batch: Sequence[Window], encoded: Any) -> list[str]:
        if not self.multilingual:
            return ["en"] * len(batch)
        if all(window.language for window in batch):
            return [window.language or "en" for window in batch]
        ranked = self._whisper.model.detect_language(encoded)
        return [w.language or r[0][0][2:-2] for w, r in zip(batch, ranked, strict=True)]

    def _tokenizer(self, language: str, task: str = "transcribe") -> Any:
        if (language, task) not in self._tokenizers:
            self._tokenizers[language, task] = self._new_tokenizer(language, task)
        return self._tokenizers[language, task]


def _max_length(tokens: int, prompt: int) -> int:
    """What to ask CTranslate2 for: of n it writes n / 2 tokens, or what n leaves after the prompt,
    whichever is less."""
    return min(MAX_LENGTH, max(2 * tokens, tokens + prompt))


def _sampling(temperature: float) -> dict[str, Any]:
    """Greedy at 0; above, the best of several samples, as in faster-whisper."""
    if not temperature:
        return {"beam_size": 1}
    return {
        "beam_size": 1,
        "num_hypotheses": SAMPLES,
        "sampling_topk": 0,
        "sampling_temperature": temperature,
    }


def _hypothesis(result: Any, tokenizer: Any, seconds: float, words: tuple[Word, ...]) -> Hypothesis:
    tokens = result.sequences_ids[0]
    return Hypothesis(
        text=tokenizer.decode(tokens).strip(),
        tokens=len(tokens),
        log_probability=result.scores[0] * len(tokens) / (len(tokens) + 1),
        no_speech=result.no_speech_prob,
        seconds=seconds,
        words=words,
    )


def _aligned(row: list[dict[str, Any]], seconds: float) -> tuple[Word, ...]:
    """faster-whisper's words of one window; marks go with the word that they belong to."""
    from faster_whisper.transcribe import merge_punctuations

    merge_punctuations(row, OPENING_MARKS, CLOSING_MARKS)
    words = [
        Word(
            word["word"],
            float(word["start"]),
            float(word["end"]),
            tuple(word["tokens"]),
            len(word["tokens"]) * math.log(max(float(word["probability"]), 1e-10)),
        )
        for word in row
        if word["word"].strip()
    ]
    return without_pauses(words, seconds)
