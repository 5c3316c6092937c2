"""A turn's trace: from a real server to a file and to a receiver of OTLP; and what is lost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from realtime.metrics import Metrics
from realtime.stretch import Making, Stretch
from realtime.tracing import Tracer
from realtime.turn_report import TurnReport
from tests.client import Client, clip, quiet
from tests.conftest import ROOT, run_server

STAGES = {"listen", "endpoint", "transcribe", "reply", "speak"}
CHUNK_BYTES = 24_000 // 50 * 2


@dataclass
class Receiver:
    """What a collector takes: `POST /v1/traces`, Protocol Buffers."""

    status: int = 200
    spans: list[Any] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        said = ExportTraceServiceRequest.FromString(await request.read())
        await self.open.wait()
        for resource in said.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        self.came.set()
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(status=self.status, body=body, content_type="application/x-protobuf")


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver()
    made.open.set()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    async with TestServer(app) as server:
        yield made, str(server.make_url("")).rstrip("/")


def report() -> TurnReport:
    """Speech ended at 100 s of the loop's clock, and the reply at 103 s."""
    return TurnReport(
        session_id="sess_1",
        item_id="item_1",
        response_id="resp_1",
        outcome="answered",
        speculated=True,
        end_of_speech_s=100.0,
        over_s=103.0,
        speech_s=2.0,
        decision_s=0.3,
        transcript_s=0.25,
        text_s=0.4,
        audio_s=0.5,
        sound_s=2.0,
        transcribe=Stretch(100.1, None, 100.25),
        making=Making(Stretch(100.26, 100.3, 101.0), Stretch(100.35, 100.4, None)),
    )


def tracer(metrics: Metrics, *, endpoint: str = "", file: Path | None = None) -> Tracer:
    return Tracer(endpoint=endpoint, file=file, version="1", model="m", metrics=metrics)


def in_file(path: Path) -> list[dict[str, Any]]:
    """Every span in a file of OTLP's JSON."""
    return [
        span
        for line in path.read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


@pytest.mark.pace
async def test_a_spoken_turn_is_a_trace_in_the_file_and_at_the_receiver(
    models: dict[str, Path], receiver: tuple[Receiver, str], tmp_path: Path
) -> None:
    received, endpoint = receiver
    file = tmp_path / "traces.jsonl"
    running = run_server(
        "--pacing",
        "off",
        "--max-sessions",
        "2",
        "--otel-endpoint",
        endpoint,
        "--otel-file",
        str(file),
    )
    url = await asyncio.to_thread(next, running)
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(f"{url}/v1/realtime", max_msg_size=0))
        created = await client.until("session.created")
        said = quiet(0.2) + clip("ls_6930_0000")[: 24_000 * 2 * 3] + quiet(1.5)
        for start in range(0, len(said), CHUNK_BYTES):
            await client.socket.send_bytes(said[start : start + CHUNK_BYTES])
            await asyncio.sleep(0.015)
        done = await client.until("response.done")
        await client.socket.close()
    await asyncio.to_thread(next, running, None)  # it ends, and writes what waited
    spans = {span["name"]: span for span in in_file(file)}
    assert set(spans) == {"turn"} | STAGES
    turn = spans["turn"]
    seen = attributes(turn)
    assert seen["session.id"] == created["session"]["id"]
    assert seen["gen_ai.response.id"] == done["response"]["id"]
    assert seen["banter.turn.outcome"] == "answered"
    assert seen["banter.turn.audio_ms"] > seen["banter.turn.decision_ms"] > 0
    for name in STAGES:
        span = spans[name]
        assert (span["traceId"], span["parentSpanId"]) == (turn["traceId"], turn["spanId"])
        begun, ended = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert int(turn["startTimeUnixNano"]) <= begun < ended <= int(turn["endTimeUnixNano"])
    assert spans["listen"]["endTimeUnixNano"] == spans["endpoint"]["startTimeUnixNano"]
    assert attributes(spans["reply"])["gen_ai.operation.name"] == "chat"
    written = file.read_text()
    [heard] = client.of("response.output_audio_transcript.done")
    assert heard["transcript"] not in written
    assert {(s.name, s.span_id.hex(), s.start_time_unix_nano) for s in received.spans} == {
        (s["name"], s["spanId"], int(s["startTimeUnixNano"])) for s in spans.values()
    }


async def test_what_a_collector_refuses_is_counted(receiver: tuple[Receiver, str]) -> None:
    received, endpoint = receiver
    received.status = 400
    metrics = Metrics()
    made = tracer(metrics, endpoint=endpoint)
    made.over(report())
    made.over(report())
    await made.close()
    assert received.came.is_set()
    assert metrics.counts["traces.lost.export_failed"] == 2


async def test_what_finds_no_room_is_counted_and_nobody_waits(
    receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received, endpoint = receiver
    received.open.clear()
    monkeypatch.setattr("realtime.tracing.EVERY_MS", 1.0)
    metrics = Metrics()
    made = tracer(metrics, endpoint=endpoint)
    monkeypatch.setattr("realtime.tracing.MAX_WAITING", 20)
    for _ in range(10):
        made.over(report())
    assert metrics.counts["traces.lost.queue_full"] == 7
    received.open.set()
    await made.close()
    assert sum(span.name == "turn" for span in received.spans) == 3
    assert metrics.counts["traces.lost.export_failed"] == 0


async def test_what_a_sampler_leaves_out_takes_no_room_and_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    metrics = Metrics()
    made = tracer(metrics, file=tmp_path / "traces.jsonl")
    monkeypatch.setattr("realtime.tracing.MAX_WAITING", 20)
    for _ in range(10):
        made.over(report())
    assert [each.waiting for each in made._exporters] == [0]
    await made.close()
    assert not metrics.counts


async def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(
    receiver: tuple[Receiver, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received, endpoint = receiver
    received.open.clear()
    monkeypatch.setattr("realtime.tracing.SEND_S", 0.3)
    monkeypatch.setattr("realtime.tracing.CLOSE_S", 0.1)
    metrics = Metrics()
    made = tracer(metrics, endpoint=endpoint)
    made.over(report())
    async with asyncio.timeout(10):
        await made.close()
    received.open.set()
    assert metrics.counts["traces.lost.export_failed"] == 1


async def test_a_file_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    made = tracer(metrics, file=tmp_path / "gone" / "traces.jsonl")
    made.over(report())
    await made.close()
    assert metrics.counts["traces.lost.export_failed"] == 1


async def test_a_stage_that_did_not_end_ends_with_the_turn(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    made = tracer(Metrics(), file=file)
    made.over(report())
    await made.close()
    spans = {span["name"]: span for span in in_file(file)}
    assert spans["speak"]["endTimeUnixNano"] == spans["turn"]["endTimeUnixNano"]
    lasted = {
        name: round((int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"])) / 1e6)
        for name, s in spans.items()
    }
    assert lasted == {
        **{"turn": 5_000, "listen": 2_000, "endpoint": 300},
        **{"transcribe": 150, "reply": 740, "speak": 2_650},
    }


def test_nothing_of_it_is_loaded_where_it_is_not_wanted() -> None:
    asked = (
        "import sys, realtime.__main__, realtime.doctor.command; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
