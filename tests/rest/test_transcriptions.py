"""`/v1/audio/transcriptions` and `/translations` through OpenAI's client, with real models."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soxr
from openai import BadRequestError, OpenAI

from benchmarks.words import word_errors
from tests.sounds import CONTAINERS, SENTENCE, recording, written

JFK = (
    "And so my fellow Americans ask not what your country can do for you "
    "ask what you can do for your country"
)
CLIPS = ("jfk", "lj001_0004", "lj001_0016", "lj001_0029", "ls_1221_0002", "ls_61_0000")


def close(text: str, said: str, most: float = 0.15) -> bool:
    return (word_errors(said, text).rate or 0.0) <= most


@pytest.fixture(scope="module")
def jfk() -> bytes:
    return written(*recording("jfk"), "wav")


def at_16_khz(name: str) -> np.ndarray:
    audio, rate_hz = recording(name)
    return (soxr.resample(audio / 32_768, rate_hz, 16_000) * 32_767).astype(np.int16)


def test_json_has_the_text_and_how_long_it_was(openai, jfk):
    told = openai.audio.transcriptions.create(model="whisper-1", file=("a.wav", jfk))
    assert close(told.text, JFK)
    assert told.usage.type == "duration"
    assert told.usage.seconds == pytest.approx(11, abs=0.1)


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", "Systran/faster-whisper-small", "x"])
def test_any_model_name_is_taken(openai, jfk, model):
    told = openai.audio.transcriptions.create(model=model, file=("a.wav", jfk))
    assert close(told.text, JFK)


def test_text_is_the_text_alone(openai, jfk):
    raw = openai.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", jfk), response_format="text"
    )
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert close(raw.parse().strip(), JFK)


def stamps(subtitles: str) -> list[tuple[float, float]]:
    def seconds(stamp: str) -> float:
        hours, minutes, rest = stamp.replace(",", ".").split(":")
        return int(hours) * 3_600 + int(minutes) * 60 + float(rest)

    pairs = re.findall(r"(\S+) --> (\S+)", subtitles)
    return [(seconds(a), seconds(b)) for a, b in pairs]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_have_the_words_in_rising_times(openai, jfk, kind):
    told = openai.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", jfk), response_format=kind
    )
    assert told.startswith("WEBVTT\n\n" if kind == "vtt" else "1\n00:00:")
    times = [second for pair in stamps(told) for second in pair]
    assert times == sorted(times)
    assert 0 <= times[0] < 2
    assert 9 < times[-1] <= 11
    lines = [line for line in told.splitlines() if re.search("[a-z]", line)]
    assert close(" ".join(lines), JFK)


def test_verbose_json_tells_segments_and_words(openai, jfk):
    told = openai.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", jfk),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert close(told.text, JFK)
    assert (told.language, told.duration) == ("english", pytest.approx(11, abs=0.1))
    assert " ".join(word.word for word in told.words) == told.text
    assert "".join(segment.text for segment in told.segments).strip() == told.text
    starts = [word.start for word in told.words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end <= told.duration for word in told.words)
    [first, *_] = told.segments
    assert first.tokens
    assert -1 < first.avg_logprob < 0
    assert 0 <= first.no_speech_prob < 0.6
    assert 0.5 < first.compression_ratio < 2.4


def test_plain_names_of_lists_are_understood_as_bracketed_ones(openai, jfk):
    told = openai.post(
        "/audio/transcriptions",
        cast_to=dict,
        body={"response_format": "verbose_json", "timestamp_granularities": "word"},
        files=[("file", ("a.wav", jfk))],
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    assert "segments" not in told
    assert told["words"][0]["word"] == "And"


def test_words_are_told_where_they_are_said(openai):
    """Two clips with three seconds of silence between them."""
    first, second = at_16_khz("ls_6930_0000"), at_16_khz("lj001_0004")
    silence = np.zeros(3 * 16_000, np.int16)
    file = written(np.concatenate([first, silence, second]), 16_000, "wav")
    told = openai.audio.transcriptions.create(
        model="whisper-1",
        file=("a.wav", file),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    alone = openai.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", written(second, 16_000, "wav"))
    )
    count = len(alone.text.split())
    ends_s, begins_s = len(first) / 16_000, (len(first) + len(silence)) / 16_000
    assert told.words[-count - 1].end < ends_s + 0.7
    assert told.words[-count].start > begins_s - 0.7


def test_a_long_file_is_heard_to_its_end_over_many_windows(openai):
    parts = [at_16_khz(name) for name in CLIPS] * 2
    file = written(np.concatenate(parts), 16_000, "flac")
    told = openai.audio.transcriptions.create(
        model="whisper-1", file=("long.flac", file), response_format="verbose_json"
    )
    singly = " ".join(
        openai.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", written(part, 16_000, "wav"))
        ).text
        for part in parts[: len(CLIPS)]
    )
    assert told.duration == pytest.approx(sum(map(len, parts)) / 16_000, abs=0.1)
    assert len({segment.seek for segment in told.segments}) > 3
    assert close(told.text, f"{singly} {singly}")
    ends = [segment.end for segment in told.segments]
    assert ends == sorted(ends)
    assert ends[-1] > told.duration - 2


def test_a_stream_tells_the_text_window_by_window(openai):
    file = written(np.concatenate([at_16_khz(name) for name in CLIPS]), 16_000, "wav")
    events = list(
        openai.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=("a.wav", file), stream=True, include=["logprobs"]
        )
    )
    *deltas, done = events
    assert len(deltas) > 2
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert "".join(p.token for event in deltas for p in event.logprobs).split() == done.text.split()
    assert all(entry.logprob <= 0 for entry in done.logprobs)
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


def test_a_stream_ends_with_done(openai, jfk):
    with openai.audio.transcriptions.with_streaming_response.create(
        model="x", file=("a.wav", jfk), stream=True
    ) as raw:
        assert raw.headers["content-type"] == "text/event-stream"
        lines = [line for line in raw.iter_lines() if line.strip()]
    assert lines[-1].strip() == "data: [DONE]"


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_kind_of_file_is_heard(openai, kind):
    file = written(*recording("jfk"), kind)
    told = openai.audio.transcriptions.create(model="whisper-1", file=(f"a.{kind}", file))
    assert close(told.text, JFK, 0.3)


def test_a_prompt_sets_the_spelling(openai, spoken):
    plain = openai.audio.transcriptions.create(model="x", file=("a.wav", spoken))
    shouted = openai.audio.transcriptions.create(
        model="x", file=("a.wav", spoken), prompt="THE RAIN IN SPAIN. A BRIGHT DAY. AN OLD TOWN."
    )
    assert plain.text != plain.text.upper()
    assert close(plain.text, SENTENCE)
    assert close(shouted.text, SENTENCE)


def test_silence_has_no_words(openai):
    file = written(np.zeros(5 * 16_000, np.int16), 16_000, "wav")
    told = openai.audio.transcriptions.create(
        model="x", file=("a.wav", file), response_format="verbose_json"
    )
    assert (told.text, told.segments) == ("", [])


# OpenAI has marked the whole endpoint as deprecated; people's programs use it all the same.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_english_speech_is_its_own_translation(openai, jfk):
    told = openai.audio.translations.with_raw_response.create(
        model="whisper-1", file=("a.wav", jfk), response_format="verbose_json"
    ).http_response.json()
    assert close(told["text"], JFK)
    assert (told["task"], told["language"]) == ("translate", "english")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize("endpoint", ["transcriptions", "translations"])
def test_a_language_that_the_recogniser_does_not_know_names_the_setting(openai, jfk, endpoint):
    with pytest.raises(BadRequestError) as refused:
        getattr(openai.audio, endpoint).create(
            model="x", file=("a.wav", jfk), extra_body={"language": "de"}
        )
    assert refused.value.param == "language"
    assert "--whisper small (BANTER_WHISPER=small)" in refused.value.message


@pytest.mark.parametrize("language", ["en", "en-US", "English"])
def test_its_own_language_is_taken_by_any_name(openai, jfk, language):
    told = openai.audio.transcriptions.create(
        model="x", file=("a.wav", jfk), language=language, response_format="verbose_json"
    )
    assert told.language == "english"


def test_models_are_listed_and_shown(openai: OpenAI):
    names = [model.id for model in openai.models.list()]
    assert names[:2] == ["tiny.en", "hibari"]
    assert {"whisper-1", "tts-1", "gpt-realtime"} <= set(names)
    assert openai.models.retrieve("tiny.en").owned_by == "banter"
    assert openai.models.retrieve("gpt-4o-mini-tts").object == "model"
