"""What was heard of a whole recording, and the bodies that OpenAI's API tells it in. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from realtime.hypothesis import compression_ratio
from realtime.languages import language_name
from realtime.timing import Passage, Segment, Word, segments_of

FRAMES_PER_S = 100
AUDIO_TOKENS_PER_S = 10
"""OpenAI's count, for `usage`."""


@dataclass
class Recorded:
    """A recording's words, as far as it has been heard."""

    language: str = "en"
    seconds: float = 0.0
    passages: list[Passage] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(passage.text for passage in self.passages)

    @property
    def words(self) -> list[Word]:
        return [word for passage in self.passages for word in passage.words]

    @property
    def segments(self) -> list[Segment]:
        return list(segments_of(self.passages))


def json_body(heard: Recorded, *, logprobs: bool = False) -> dict[str, Any]:
    """`response_format=json`."""
    body: dict[str, Any] = {"text": heard.text, "usage": duration_usage(heard)}
    if logprobs:
        body["logprobs"] = word_logprobs(heard.words)
    return body


def verbose_body(
    heard: Recorded, *, task: str = "transcribe", granularities: Collection[str] = ("segment",)
) -> dict[str, Any]:
    """`response_format=verbose_json`. Segments are left out where only words were asked for."""
    body: dict[str, Any] = {
        "task": task,
        "language": language_name("en" if task == "translate" else heard.language),
        "duration": round(heard.seconds, 2),
        "text": heard.text,
        "usage": duration_usage(heard),
    }
    if "segment" in granularities or not granularities:
        body["segments"] = [_segment(n, segment) for n, segment in enumerate(heard.segments)]
    if "word" in granularities:
        body["words"] = [
            {"word": w.text.strip(), "start": round(w.start_s, 2), "end": round(w.end_s, 2)}
            for w in heard.words
        ]
    return body


def delta_event(text: str, words: Iterable[Word] | None) -> dict[str, Any]:
    """`transcript.text.delta`; the deltas joined are the text. `words` are told where asked for."""
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": text}
    if words is not None:
        event["logprobs"] = word_logprobs(words)
    return event


def done_event(heard: Recorded, *, logprobs: bool = False) -> dict[str, Any]:
    """`transcript.text.done`."""
    audio = round(heard.seconds * AUDIO_TOKENS_PER_S)
    text = sum(len(word.tokens) for word in heard.words) or len(heard.text.split())
    usage = {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
        "output_tokens": text,
        "total_tokens": audio + text,
    }
    event: dict[str, Any] = {"type": "transcript.text.done", "text": heard.text, "usage": usage}
    if logprobs:
        event["logprobs"] = word_logprobs(heard.words)
    return event


def duration_usage(heard: Recorded) -> dict[str, Any]:
    """`usage` by the length of the audio."""
    return {"type": "duration", "seconds": round(heard.seconds, 2)}


def word_logprobs(words: Iterable[Word]) -> list[dict[str, Any]]:
    """One entry a word, whose log-probability is the sum over its tokens."""
    return [
        {"token": w.text, "bytes": list(w.text.encode()), "logprob": round(w.log_probability, 4)}
        for w in words
    ]


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    passage = segment.passage
    return {
        "id": number,
        "seek": round(passage.start_s * FRAMES_PER_S),
        "start": round(segment.start_s, 2),
        "end": round(segment.end_s, 2),
        "text": f" {segment.text}",
        "tokens": list(segment.tokens),
        "temperature": passage.temperature,
        "avg_logprob": round(passage.log_probability, 4),
        "compression_ratio": round(compression_ratio(segment.text), 4),
        "no_speech_prob": round(passage.no_speech, 4),
    }
