"""Every error under `/v1` has OpenAI's body, whoever raised it; the engines are stand-ins."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from realtime.errors import Saturated, TranscriptionError, VoiceError
from realtime.rest.asked import FORMATS
from realtime.rest.speech import MAX_CHARS
from tests.sounds import written
from tests.test_sound_encoder import speech

SPEECH, HEARING = "/v1/audio/speech", "/v1/audio/transcriptions"
KEYS = {"message", "type", "param", "code"}


@pytest.fixture
async def http(server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.make_url("/")) as session:
        yield session


@pytest.fixture(scope="module")
def file() -> bytes:
    return written(speech(), 24_000, "wav")


def form(file: bytes | None, **fields: str | list[str]) -> aiohttp.FormData:
    """Text fields, then the file."""
    made = aiohttp.FormData(default_to_multipart=True)
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            made.add_field(name, value)
    if file is not None:
        sound = io.BytesIO(file)
        made.add_field("file", sound, filename="a.wav", content_type="audio/wav")
    return made


async def refusal(answer: aiohttp.ClientResponse) -> dict[str, str | None]:
    assert answer.content_type == "application/json"
    body = await answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == KEYS
    assert body["error"]["message"]
    return body["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
        ("GET", "/v1/models/some/body", 404, "model_not_found"),
        ("GET", SPEECH, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_addresses_and_methods(http, method, path, status, code):
    async with http.request(method, path) as answer:
        assert answer.status == status
        assert (await refusal(answer))["code"] == code
        assert (status == 405) == ("Allow" in answer.headers)


async def test_beyond_v1_errors_are_as_they_were(http):
    async with http.get("/nothing") as answer:
        assert (answer.status, answer.content_type) == (404, "text/plain")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"language": "klingon"}, "language"),
        ({"language": "de"}, "language"),
        ({"languages[]": ["de"]}, "language"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities"),
        (
            {"response_format": "verbose_json", "timestamp_granularities[]": ["letter"]},
            "timestamp_granularities",
        ),
        ({"include[]": ["everything"]}, "include"),
        ({"prompt": "a" * 4_097}, "prompt"),
        ({"keywords[]": ["a" * 2_000] * 3}, "keywords"),
        ({"stream": "maybe"}, "stream"),
        ({"stream": "true", "response_format": "srt"}, "stream"),
    ],
)
async def test_a_field_that_cannot_be_followed_is_named(http, runtime, file, fields, param):
    async with http.post(HEARING, data=form(file, **fields)) as answer:
        assert answer.status == 400
        error = await refusal(answer)
    assert error["param"] == param
    assert param in error["message"]
    assert runtime.transcriber.asked == []


@pytest.mark.parametrize("data", [None, b"", b"no sound at all " * 50])
async def test_a_file_that_is_missing_or_no_sound(http, data):
    async with http.post(HEARING, data=form(data, model="whisper-1")) as answer:
        assert answer.status == 400
        assert (await refusal(answer))["param"] == "file"


async def test_two_files(http, file):
    data = form(file)
    data.add_field("file", io.BytesIO(file), filename="b.wav")
    async with http.post(HEARING, data=data) as answer:
        assert answer.status == 400
        assert "one file" in (await refusal(answer))["message"]


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_file_comes_in_a_form(http, kind):
    async with http.post(HEARING, data=b"{}", headers={"Content-Type": kind}) as answer:
        assert answer.status == 415
        assert "multipart/form-data" in (await refusal(answer))["message"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=x", b"what is this"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"'),
        (
            "multipart/mixed; boundary=x",
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xfe\r\n--x--\r\n',
        ),
    ],
)
async def test_a_broken_form(http, kind, body):
    async with http.post(HEARING, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == 400
        await refusal(answer)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": "a" * (MAX_CHARS + 1)}, "input"),
        ({"input": "\U0001f600"}, "input"),
        ({"input": "a", "voice": 7}, "voice"),
        ({"input": "a", "voice": {"name": "x"}}, "voice"),
        ({"input": "a", "voice": "zoe"}, "voice"),
        ({"input": "a", "response_format": "midi"}, "response_format"),
        ({"input": "a", "speed": 0.1}, "speed"),
        ({"input": "a", "speed": "fast"}, "speed"),
        ({"input": "a", "stream_format": "drip"}, "stream_format"),
    ],
)
async def test_a_speech_that_cannot_be_made_names_its_field(http, runtime, body, param):
    async with http.post(SPEECH, json=body) as answer:
        assert answer.status == 400
        assert (await refusal(answer))["param"] == param
    assert runtime.voice.lines == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"input": "\xed\xa0\x80"}', b"[" * 90_000]
)
async def test_a_body_that_is_no_json_object(http, body):
    kind = {"Content-Type": "application/json"}
    async with http.post(SPEECH, data=body, headers=kind) as answer:
        assert answer.status == 400
        await refusal(answer)


async def test_a_body_of_another_kind_or_size(http):
    async with http.post(SPEECH, data={"input": "hello"}) as answer:
        assert answer.status == 415
        assert "application/json" in (await refusal(answer))["message"]
    large = io.BytesIO(json.dumps({"input": "a" * 2_000_000}).encode())
    kind = {"Content-Type": "application/json"}
    async with http.post(SPEECH, data=large, headers=kind) as answer:
        assert answer.status == 413
        await refusal(answer)


async def test_what_is_null_counts_as_left_out(http):
    body = {"input": "Hello.", "voice": None, "speed": None, "instructions": None, "x": 1}
    async with http.post(SPEECH, json=body) as answer:
        assert (answer.status, answer.content_type) == (200, "audio/mpeg")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            TranscriptionError("the recogniser failed on this utterance"),
            500,
            "transcription_failed",
        ),
        (Saturated("transcription", "too much is waiting"), 503, "saturated"),
        (RuntimeError("secret detail"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_recogniser_that_fails(http, runtime, file, error, status, code, stream):
    runtime.transcriber.texts = [error]
    async with http.post(HEARING, data=form(file, stream=stream)) as answer:
        assert answer.status == status
        assert ("Retry-After" in answer.headers) == (status == 503)
        told = await refusal(answer)
    assert (told["code"], told["type"]) == (code, "server_error")
    assert "secret" not in told["message"]


async def test_a_stream_that_fails_later_says_so_in_an_event(http, runtime):
    runtime.transcriber.texts = ["well begun", RuntimeError("secret detail")]
    long = written(np.ones(30 * 24_000, np.int16), 24_000, "wav")
    async with http.post(HEARING, data=form(long, stream="true")) as answer:
        assert answer.status == 200
        events = [line for line in (await answer.text()).split("\n\n") if line]
    told = json.loads(events[-1].removeprefix("data: "))
    assert told["type"] == "error"
    assert told["error"]["code"] == "internal_error"
    assert "secret" not in events[-1]


async def test_a_voice_that_fails(http, runtime):
    runtime.voice.error = VoiceError("the voice failed on this piece")
    async with http.post(SPEECH, json={"input": "Hello."}) as answer:
        assert answer.status == 500
        assert (await refusal(answer))["code"] == "voice_failed"


async def test_a_voice_that_fails_later_cuts_the_sound_off(http, runtime):
    """A sound that ends well would be taken for the whole of it."""
    speak = runtime.voice.speak

    async def once(line, *, owner):
        if runtime.voice.lines:
            raise VoiceError("the voice failed on this piece")
        async for audio in speak(line, owner=owner):
            yield audio

    runtime.voice.speak = once
    body = {"input": "This is the first sentence. And this the second.", "response_format": "pcm"}
    async with http.post(SPEECH, json=body) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    runtime.voice.lines.clear()
    async with http.post(SPEECH, json={**body, "stream_format": "sse"}) as answer:
        last = (await answer.text()).strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "voice_failed"


@pytest.mark.parametrize("response_format", FORMATS)
async def test_each_format_has_its_type(http, file, response_format):
    async with http.post(HEARING, data=form(file, response_format=response_format)) as answer:
        assert answer.status == 200
        assert answer.content_type == FORMATS[response_format]
        assert "hello there" in await answer.text()
