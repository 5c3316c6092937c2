"""Uploads: their bounds, where they lie, and clients who leave; the engines are stand-ins."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime.batching import PARTIAL
from realtime.metrics import Metrics
from realtime.rest import speech as speaking
from realtime.rest import transcriptions as hearing
from realtime.rest.transcriptions import UploadLimits
from realtime.server import METRICS, make_app
from realtime.session_config import SessionConfig
from tests.rest.test_refusals import HEARING, SPEECH, form, refusal
from tests.sounds import written

KEY = "a-key-of-sixteen-and-more"
LIMITS = UploadLimits(mib=1, minutes=0.5)
LONG = written(np.ones(60 * 8_000, np.int16), 8_000, "flac")


def second(kind: str = "wav") -> bytes:
    return written(np.ones(8_000, np.int16), 8_000, kind)


class RealServer(TestServer):
    """Tells handlers nothing of clients who leave: aiohttp's own for tests would cancel them."""

    async def _make_runner(self, **options) -> web.BaseRunner:
        return await super()._make_runner(**{**options, "handler_cancellation": False})


@pytest.fixture
async def server(runtime, manners) -> AsyncIterator[TestServer]:
    config = SessionConfig(instructions="be kind")
    app = make_app(runtime, Metrics(), config, manners, uploads=LIMITS)
    async with RealServer(app) as started:
        yield started


@pytest.fixture
async def http(server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.make_url("/")) as session:
        yield session


async def until(is_true) -> None:
    for _ in range(500):
        if is_true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come true")


@pytest.mark.parametrize("first", [True, False])
async def test_the_file_may_be_the_first_field_or_the_last(http, runtime, first):
    made = aiohttp.FormData(default_to_multipart=True)
    for turn in (first, not first):
        if turn:
            made.add_field("file", io.BytesIO(second()), filename="a.wav")
        else:
            made.add_field("prompt", "Ann and Bob")
            made.add_field("temperature", "0.4")
    async with http.post(HEARING, data=made) as answer:
        assert answer.status == 200
    [asked] = runtime.transcriber.asked
    assert (asked.prompt, asked.temperature) == ("Ann and Bob", 0.4)


@pytest.mark.parametrize("name", ["keywords", "keywords[]", "keywords[0]"])
async def test_keywords_are_hotwords(http, runtime, name):
    async with http.post(HEARING, data=form(second(), **{name: "Banter"})) as answer:
        assert answer.status == 200
    assert runtime.transcriber.asked[0].hotwords == "Banter"


async def test_words_are_timed_only_where_they_are_told(http, runtime):
    for response_format in ("json", "verbose_json"):
        async with http.post(
            HEARING, data=form(second(), response_format=response_format)
        ) as answer:
            assert answer.status == 200
    assert [asked.words for asked in runtime.transcriber.asked] == [False, True]


@pytest.mark.parametrize("told", [True, False])
async def test_a_file_that_is_too_large_is_refused_with_the_setting(http, runtime, told):
    """With its length in the head at once; without, when that much has come."""
    data = form(bytes(3 << 20))
    if not told:
        whole = data()
        assert isinstance(whole, aiohttp.MultipartWriter)

        class Sink(io.BytesIO):
            async def write(self, part: bytes) -> None:  # type: ignore[override]
                io.BytesIO.write(self, part)

        sink = Sink()
        await whole.write(sink)

        async def chunks():
            for start in range(0, len(sink.getvalue()), 65_536):
                yield sink.getvalue()[start : start + 65_536]

        kind = {"Content-Type": whole.headers["Content-Type"]}
        asking = http.post(HEARING, data=chunks(), headers=kind)
    else:
        asking = http.post(HEARING, data=data)
    async with asking as answer:
        assert answer.status == 413
        error = await refusal(answer)
    assert (error["param"], error["code"]) == ("file", "too_large")
    assert "--upload-mib (BANTER_UPLOAD_MIB)" in error["message"]
    assert runtime.transcriber.asked == []


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_recording_that_is_too_long_is_refused_with_the_setting(http, runtime, stream):
    assert len(LONG) < 1 << 20
    async with http.post(HEARING, data=form(LONG, stream=stream)) as answer:
        assert answer.status == 413
        error = await refusal(answer)
    assert error["code"] == "too_long"
    assert "--upload-minutes (BANTER_UPLOAD_MINUTES)" in error["message"]
    assert runtime.transcriber.asked == []


async def test_a_long_text_is_refused_by_name(http):
    async with http.post(HEARING, data=form(second(), prompt="a" * 20_000)) as answer:
        assert answer.status == 413
        assert (await refusal(answer))["param"] == "prompt"


async def test_a_form_of_endless_fields_is_refused(http):
    async with http.post(HEARING, data=form(second(), x=["1"] * 100)) as answer:
        assert answer.status == 400
        await refusal(answer)


async def test_an_upload_that_stands_still_is_given_up(http, monkeypatch):
    monkeypatch.setattr("realtime.rest.upload.IDLE_S", 0.1)

    async def stalls():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
        await asyncio.sleep(30)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with http.post(HEARING, data=stalls(), headers=kind) as answer:
        assert answer.status == 408
        assert (await refusal(answer))["code"] == "timeout"


async def test_an_upload_that_takes_too_long_in_all_is_given_up(http, monkeypatch):
    monkeypatch.setattr("realtime.rest.upload.LEAST_TOTAL_S", 0.3)
    monkeypatch.setattr("realtime.rest.upload.SLOWEST_BYTES_PER_S", 1e12)
    monkeypatch.setattr("realtime.rest.upload.LEAST_BYTES_PER_S", 0)

    async def drips():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            yield b"a"
            await asyncio.sleep(0.02)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with http.post(HEARING, data=drips(), headers=kind) as answer:
        assert answer.status == 408
        error = await refusal(answer)
    assert error["code"] == "timeout"
    assert "longer than" in error["message"]


async def test_an_upload_that_drips_is_given_up_long_before_the_largest_would_be_there(
    http, monkeypatch
):
    monkeypatch.setattr("realtime.rest.upload.LEAST_TOTAL_S", 0.2)

    async def drips():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            yield b"a"
            await asyncio.sleep(0.02)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with http.post(HEARING, data=drips(), headers=kind) as answer:
        assert answer.status == 408
        assert "hardly anything" in (await refusal(answer))["message"]


@pytest.mark.parametrize("one_field", [True, False])
async def test_so_are_texts_that_drip(http, monkeypatch, one_field):
    monkeypatch.setattr("realtime.rest.upload.LEAST_TOTAL_S", 0.1)
    head = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'

    async def drips():
        yield head
        for _ in range(500):
            yield b"a" if one_field else b"a\r\n" + head
            await asyncio.sleep(0.02)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with http.post(HEARING, data=drips(), headers=kind) as answer:
        assert answer.status == 408
        assert "hardly anything" in (await refusal(answer))["message"]


async def test_a_speech_whose_text_does_not_come_is_given_up(http, monkeypatch):
    monkeypatch.setattr(speaking, "BODY_S", 0.2)

    async def stalls():
        yield b'{"input": '
        await asyncio.sleep(30)

    kind = {"Content-Type": "application/json"}
    async with http.post(SPEECH, data=stalls(), headers=kind) as answer:
        assert answer.status == 408
        assert (await refusal(answer))["code"] == "timeout"


async def sent(
    server, path: str, kind: str, *lines: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request as it is on the wire."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n".encode())
    writer.write(b"\r\n".join(lines))
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize(
    ("path", "kind"), [(SPEECH, "application/json"), (HEARING, "multipart/form-data; boundary=x")]
)
async def test_a_body_that_is_no_http_is_refused(server, path, kind):
    reader, writer = await sent(
        server, path, kind, b"Transfer-Encoding: chunked", b"", b"1", b"{", b"zz", b""
    )
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()


async def test_who_leaves_before_the_end_of_a_text_is_forgotten(server, caplog):
    _, writer = await sent(server, SPEECH, "application/json", b"Content-Length: 90", b"", b"{")
    writer.close()
    await until(lambda: server.app[METRICS].counts["speeches.gone"] == 1)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_who_takes_nothing_any_more_is_cut_off(server, runtime, monkeypatch):
    """No other head is written into the body that was begun."""
    monkeypatch.setattr("realtime.rest.event_stream.STALLED_S", 0.2)

    async def endless(line, *, owner):
        while True:
            yield np.ones(240_000, np.int16)

    runtime.voice.speak = endless
    body = b'{"input":"Hello.","response_format":"pcm"}'
    reader, writer = await sent(
        server, SPEECH, "application/json", b"Content-Length: %d" % len(body), b"", body
    )
    await until(lambda: server.app[METRICS].counts["speeches.gone"] == 1)
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            while piece := await reader.read(1 << 20):
                data += piece
    assert data.startswith(b"HTTP/1.1 200")
    assert b"499" not in data
    assert not data.endswith(b"0\r\n\r\n")
    writer.close()


async def test_what_takes_long_to_write_or_to_cut_is_done_on_the_pool(http, monkeypatch):
    threads: list[str] = []

    def watched(work):
        def watching(*given, **named):
            threads.append(threading.current_thread().name)
            return work(*given, **named)

        return watching

    monkeypatch.setattr(speaking, "pieces", watched(speaking.pieces))
    monkeypatch.setattr(hearing, "done_event", watched(hearing.done_event))
    monkeypatch.setattr(hearing, "json_body", watched(hearing.json_body))
    async with http.post(SPEECH, json={"input": "Hello."}) as answer:
        assert answer.status == 200
        await answer.read()
    for stream in ("true", "false"):
        data = form(second(), stream=stream, **{"include[]": "logprobs"})
        async with http.post(HEARING, data=data) as answer:
            assert answer.status == 200
            await answer.read()
    assert len(threads) == 3
    assert all(name.startswith("banter-sound") for name in threads)


async def test_speeches_wait_behind_live_callers(http, runtime):
    async with http.post(SPEECH, json={"input": "Hello."}) as answer:
        assert answer.status == 200
    assert [line.rank for line in runtime.voice.lines] == [PARTIAL]


async def test_nothing_of_an_upload_has_a_name_on_the_disk(http, runtime, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runtime.transcriber.gate = asyncio.Event()
    asking = asyncio.create_task(http.post(HEARING, data=form(second())))
    await until(lambda: runtime.transcriber.asked)
    assert list(tmp_path.iterdir()) == []
    runtime.transcriber.gate.set()
    assert (await asking).status == 200


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_who_leaves_ends_the_work(server, runtime, stream):
    cancelled = asyncio.Event()
    transcribe = runtime.transcriber.transcribe

    async def watched(utterance, *, owner):
        try:
            return await transcribe(utterance, owner=owner)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    runtime.transcriber.transcribe = watched
    runtime.transcriber.gate = asyncio.Event()
    async with aiohttp.ClientSession(server.make_url("/")) as leaving:
        asking = asyncio.create_task(leaving.post(HEARING, data=form(second(), stream=stream)))
        await until(lambda: runtime.transcriber.asked)
        asking.cancel()
    async with asyncio.timeout(10):
        await cancelled.wait()
    await until(lambda: server.app[METRICS].counts["files.gone"] == 1)


async def test_who_leaves_during_the_upload_is_forgotten(server, runtime):
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(
        f"POST {HEARING} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'.encode()
    )
    await writer.drain()
    writer.close()
    await until(lambda: server.app[METRICS].counts["files.gone"] == 1)
    assert runtime.transcriber.asked == []


async def test_who_stops_listening_ends_the_speech(server, runtime):
    begun = asyncio.Event()
    closed = asyncio.Event()

    async def endless(line, *, owner):
        try:
            while True:
                begun.set()
                yield np.ones(24_000, np.int16)
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    runtime.voice.speak = endless
    async with (
        aiohttp.ClientSession(server.make_url("/")) as leaving,
        leaving.post(SPEECH, json={"input": "Hello."}) as answer,
    ):
        assert answer.status == 200
        await begun.wait()
        answer.close()
    async with asyncio.timeout(10):
        await closed.wait()
    await until(lambda: server.app[METRICS].counts["speeches.gone"] == 1)


async def test_the_sound_begins_with_the_first_sentence(http, runtime):
    """The voice does not get the second one made before the first has arrived."""
    goes_on = asyncio.Event()

    async def speak(line, *, owner):
        runtime.voice.lines.append(line)
        if len(runtime.voice.lines) > 1:
            await goes_on.wait()
        yield np.full(24_000, 500, np.int16)

    runtime.voice.speak = speak
    body = {"input": "This is the first sentence. This is the second.", "response_format": "pcm"}
    async with http.post(SPEECH, json=body) as answer:
        first = await answer.content.readexactly(48_000)
        assert set(np.frombuffer(first, "<i2")) == {500}
        goes_on.set()
        rest = await answer.read()
    assert len(rest) == 48_000
    assert [line.text for line in runtime.voice.lines] == [
        "This is the first sentence.",
        "This is the second.",
    ]


async def test_too_many_at_once_are_told_when_to_come_again(http, runtime, monkeypatch):
    monkeypatch.setattr(hearing, "MAX_FILES", 1)
    monkeypatch.setattr(speaking, "MAX_SPEECHES", 1)
    runtime.transcriber.gate = runtime.voice.gate = asyncio.Event()
    first = [
        asyncio.create_task(http.post(HEARING, data=form(second()))),
        asyncio.create_task(http.post(SPEECH, json={"input": "Hello."})),
    ]
    await until(lambda: runtime.transcriber.asked and runtime.voice.lines)
    async with http.post(HEARING, data=form(second())) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
        assert (await refusal(answer))["type"] == "rate_limit_error"
    async with http.post(SPEECH, json={"input": "Hello."}) as answer:
        assert answer.status == 429
    runtime.transcriber.gate.set()
    assert [answer.status for answer in await asyncio.gather(*first)] == [200, 200]
    async with http.post(HEARING, data=form(second())) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", [HEARING, "/v1/audio/translations", SPEECH, "/v1/models"])
async def test_a_key_is_needed_where_the_server_has_one(runtime, manners, path):
    app = make_app(runtime, Metrics(), SessionConfig(instructions=""), manners, keys=[KEY])
    async with TestServer(app) as started, aiohttp.ClientSession(started.make_url("/")) as http:
        method = "GET" if path == "/v1/models" else "POST"
        async with http.request(method, path) as answer:
            assert answer.status == 401
            assert (await refusal(answer))["code"] == "missing_api_key"
        shown = {"Authorization": f"Bearer {KEY}"}
        async with http.request(method, path, headers=shown) as answer:
            assert answer.status in (200, 415)
