"""`/v1/audio/speech` through OpenAI's client, with real models: what was said is heard again."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest
from openai import BadRequestError

from benchmarks.words import word_errors
from tests.sounds import SENTENCE, written
from tests.test_sound_encoder import BEGINS

TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def heard(openai, data: bytes) -> str:
    return openai.audio.transcriptions.create(model="whisper-1", file=("a", data)).text


def says(openai, data: bytes) -> bool:
    return (word_errors(SENTENCE, heard(openai, data)).rate or 0.0) <= 0.15


@pytest.mark.parametrize("kind", BEGINS)
def test_every_kind_says_what_was_written(openai, kind):
    answer = openai.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format=kind
    )
    assert answer.response.headers["content-type"] == TYPES[kind]
    assert answer.response.headers["transfer-encoding"] == "chunked"
    data = answer.read()
    assert data.startswith(BEGINS[kind])
    assert says(openai, data)


def test_pcm_is_24_khz_and_has_no_head(openai):
    answer = openai.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format="pcm"
    )
    assert answer.response.headers["content-type"] == "audio/pcm"
    samples = np.frombuffer(answer.read(), "<i2")
    assert says(openai, written(samples, 24_000, "wav"))


def test_without_a_format_it_is_mp3(openai):
    answer = openai.audio.speech.create(model="tts-1", voice="nova", input="Hello there.")
    assert answer.response.headers["content-type"] == "audio/mpeg"
    assert answer.read().startswith(BEGINS["mp3"])


def test_a_wav_says_that_its_length_is_not_known(spoken):
    assert struct.unpack("<I", spoken[4:8]) == (0xFFFFFFFF,)
    assert struct.unpack("<I", spoken[40:44]) == (0xFFFFFFFF,)
    channels, rate_hz = struct.unpack("<HI", spoken[22:28])
    assert (channels, rate_hz) == (1, 24_000)


def test_events_carry_the_same_sound(openai):
    with openai.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="coral",
        input=SENTENCE,
        response_format="wav",
        stream_format="sse",
    ) as raw:
        assert raw.headers["content-type"] == "text/event-stream"
        events = [
            json.loads(line.removeprefix("data: ")) for line in raw.iter_lines() if line.strip()
        ]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert says(openai, b"".join(base64.b64decode(event["audio"]) for event in deltas))
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_speed_shortens_it(openai, spoken):
    fast = openai.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format="wav", speed=1.5
    ).read()
    assert len(fast) < 0.8 * len(spoken)
    assert says(openai, fast)


def test_a_speed_that_nobody_understands_is_refused(openai):
    with pytest.raises(BadRequestError) as refused:
        openai.audio.speech.create(model="tts-1", voice="alloy", input="Hello.", speed=3)
    assert refused.value.param == "speed"
    assert "0.25 to 1.5" in refused.value.message


@pytest.mark.parametrize("voice", ["alloy", "marin", "default", {"id": "default"}])
def test_known_names_mean_a_voice(openai, voice):
    answer = openai.audio.speech.create(model="x", voice=voice, input="Hello.")
    assert len(answer.read()) > 1_000


def test_an_unknown_voice_is_told_which_there_are(openai):
    with pytest.raises(BadRequestError) as refused:
        openai.audio.speech.create(model="x", voice="zoe", input="Hello.")
    assert refused.value.param == "voice"
    assert "there are default" in refused.value.message


def test_what_cannot_be_said_is_left_out(openai):
    said = "# Hello\n\n**Good morning** to [you](https://example.com). \U0001f600"
    data = openai.audio.speech.create(
        model="x", voice="alloy", input=said, response_format="wav"
    ).read()
    assert "good morning" in heard(openai, data).lower()
