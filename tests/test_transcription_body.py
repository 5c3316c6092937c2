"""The bodies, against the models of OpenAI's library."""

from __future__ import annotations

import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
)

from realtime.timing import Passage, Word
from realtime.transcription_body import Recorded, delta_event, done_event, json_body, verbose_body

WORDS = (Word(" Hello", 0.104, 0.5, (7, 8), -0.2), Word(" you.", 0.5, 0.9, (9,), -0.1))
LATER = (Word(" Bye.", 12.0, 12.5, (5,), -0.3),)


@pytest.fixture
def heard() -> Recorded:
    first = Passage(0.0, 10.0, "Hello you.", WORDS, 0.2, -0.15, 0.01)
    return Recorded("de", 13.0, [first, Passage(10.0, 13.0, "Bye.", LATER, 0.0, -0.3, 0.02)])


def test_json(heard):
    assert json_body(heard) == {
        "text": "Hello you. Bye.",
        "usage": {"type": "duration", "seconds": 13.0},
    }
    Transcription.model_validate(json_body(heard, logprobs=True), strict=True)


def test_log_probabilities_are_told_for_each_word(heard):
    told = json_body(heard, logprobs=True)["logprobs"]
    assert [entry["token"] for entry in told] == [" Hello", " you.", " Bye."]
    assert bytes(told[1]["bytes"]).decode() == " you."
    assert told[0]["logprob"] == -0.2


def test_verbose_json(heard):
    body = verbose_body(heard, granularities=("segment", "word"))
    TranscriptionVerbose.model_validate(body, strict=True)
    assert (body["language"], body["duration"], body["task"]) == ("german", 13.0, "transcribe")
    first, second = body["segments"]
    assert (first["id"], first["seek"], first["start"], first["end"]) == (0, 0, 0.1, 0.9)
    assert (second["id"], second["seek"], second["start"]) == (1, 1000, 12.0)
    assert first["text"] == " Hello you."
    assert first["tokens"] == [7, 8, 9]
    assert (first["temperature"], first["avg_logprob"], first["no_speech_prob"]) == (
        0.2,
        -0.15,
        0.01,
    )
    assert body["words"][0] == {"word": "Hello", "start": 0.1, "end": 0.5}


def test_only_what_was_asked_for_is_told(heard):
    assert "words" not in verbose_body(heard)
    only_words = verbose_body(heard, granularities=("word",))
    assert "segments" not in only_words
    assert len(only_words["words"]) == 3


def test_a_translation_is_in_english(heard):
    body = verbose_body(heard, task="translate")
    assert (body["task"], body["language"]) == ("translate", "english")


def test_events(heard):
    delta = delta_event("Hello you.", WORDS)
    TranscriptionTextDeltaEvent.model_validate(delta, strict=True)
    assert len(delta["logprobs"]) == 2
    assert "logprobs" not in delta_event("Hello you.", None)
    done = done_event(heard, logprobs=True)
    TranscriptionTextDoneEvent.model_validate(done, strict=True)
    assert done["text"] == "Hello you. Bye."
    assert done["usage"]["total_tokens"] == 130 + 4


def test_nothing_heard_is_an_empty_text():
    body = verbose_body(Recorded())
    assert (body["text"], body["segments"], body["duration"]) == ("", [], 0.0)
