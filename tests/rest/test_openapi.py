"""The description of the endpoints against the server, by requests made from it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from realtime.engines.sound_encoder import FORMATS as SOUNDS
from realtime.metrics import Metrics
from realtime.rest.asked import FIELDS, FORMATS
from realtime.rest.openapi import document
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.fakes import FakeRuntime, FakeTranscriber, FakeVoice

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server around stand-ins, on a thread and a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server")
    thread.start()

    async def start() -> TestServer:
        runtime = FakeRuntime(None, FakeTranscriber(), voice=FakeVoice(seconds=0.01))
        app = make_app(runtime, Metrics(), SessionConfig(instructions=""), Manners(pacing=None))
        server = TestServer(app)
        await server.start_server()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    yield str(server.make_url("/")).rstrip("/")
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


OPERATIONS = [
    (path, method, mode)
    for path, methods in document()["paths"].items()
    for method in methods
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if method == "post" or mode is GenerationMode.POSITIVE  # nothing is wrong to a plain GET
]


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_the_server_does_what_its_description_says(url, path, method, mode):
    """To what is described, and to what is not: no failure, and an answer of a described kind."""
    operation = schemathesis.openapi.from_url(f"{url}/openapi.json")[path][method]

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(checks=CHECKS)

    ask()


def test_the_description_has_what_the_handlers_know():
    paths = document()["paths"]
    hearing = paths["/v1/audio/transcriptions"]["post"]
    form = hearing["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"] is FIELDS
    assert form["properties"]["response_format"]["enum"] == list(FORMATS)
    assert set(hearing["responses"]["200"]["content"]) == {*FORMATS.values(), "text/event-stream"}
    sounds = paths["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert {kind.content_type for kind in SOUNDS.values()} < set(sounds)
    speech = document()["components"]["schemas"]["SpeechRequest"]
    assert speech["required"] == ["input"]
    assert set(speech["properties"]["response_format"]["enum"]) == set(SOUNDS)
