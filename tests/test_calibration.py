"""The start-up measurement on real engines, and what is left of it when one fails."""

from __future__ import annotations

import aiohttp

from realtime.calibration import calibrate
from realtime.capacity import FEWEST, MOST
from realtime.threads import thread_budget
from tests.fakes import FakeRuntime


async def test_a_started_server_has_measured_its_engines(echo_url):
    async with aiohttp.ClientSession() as http, http.get(f"{echo_url}/status") as answer:
        body = await answer.json()
    costs_ms = body["capacity"]["turn_cpu_ms"]
    assert set(costs_ms) == {"hearing", "transcription", "voice", "end_of_turn"}  # no echo
    assert all(cost > 0 for cost in costs_ms.values())
    assert FEWEST <= body["capacity"]["max_sessions"] <= MOST
    assert body["sessions"]["max"] == body["capacity"]["max_sessions"]


async def test_an_embedded_language_model_is_measured_too(server_url):
    async with aiohttp.ClientSession() as http, http.get(f"{server_url}/status") as answer:
        assert (await answer.json())["capacity"]["turn_cpu_ms"]["reply"] > 0


async def test_an_engine_that_fails_leaves_the_fewest(runtime: FakeRuntime, caplog):
    runtime.voice.error = RuntimeError("no voice today")
    capacity = await calibrate(runtime, "be kind", thread_budget())
    assert (capacity.sessions, dict(capacity.costs)) == (FEWEST, {})
    assert "no voice today" in caplog.text


async def test_every_local_stage_is_asked_once_at_least(runtime: FakeRuntime):
    capacity = await calibrate(runtime, "be kind", thread_budget())
    assert set(capacity.costs) == {"hearing", "transcription", "voice"}
    assert len(runtime.voice.pieces) == 1
    assert len(runtime.transcriber.heard) == 3
    assert runtime.replier.prompts == []
