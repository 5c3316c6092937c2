"""`/metrics`: what is in it, how it is bounded, and who is let near it."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from realtime.admission import CODES
from realtime.errors import BanterError, TranscriptionError
from realtime.exposition import MOST_VALUES, Exposition, Sessions
from realtime.metric_families import FAMILIES, table
from realtime.metrics import Metrics
from realtime.metrics_routes import metrics_listener
from realtime.server import EXPOSITION, SUPERVISOR, make_app
from realtime.session_config import SessionConfig
from realtime.supervisor import Outage
from tests.conftest import ROOT
from tests.fakes import FakeRuntime

KEY = "a-key-of-the-server-1"


def exposition(metrics: Metrics) -> Exposition:
    return Exposition(
        metrics,
        sessions=lambda: Sessions(open=2, max=8, opened=5, draining=False),
        alive=lambda: {"whisper": True, "voice": False},
        version="1.2.3",
    )


def shown(metrics: Metrics) -> dict[str, float]:
    """Every sample, as `name{label=value,…}`."""
    body, _ = exposition(metrics).render()
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_a_series_is_a_histogram_in_seconds_of_all_its_values() -> None:
    metrics = Metrics()
    for ms in (40, 420, 480, 20_000):
        metrics.observe("turn.audio_ms", ms)
    found = shown(metrics)
    name = "banter_time_to_first_audio_seconds"
    assert found[f"{name}_count"] == found[name + "_bucket{le=+Inf}"] == 4
    assert found[name + "_bucket{le=0.4}"] == 1
    assert found[name + "_bucket{le=0.5}"] == found[name + "_bucket{le=10.0}"] == 3
    assert found[f"{name}_sum"] == pytest.approx(20.94)


def test_stages_waits_and_batches_have_the_stage_as_their_label() -> None:
    metrics = Metrics()
    metrics.observe("transcription.features.run_ms", 30)
    metrics.observe("transcription.wait_ms", 3)
    metrics.observe("transcription.batch", 4)
    metrics.gauges["transcription.depth"] = lambda: 7
    found = shown(metrics)
    assert found["banter_stage_seconds_sum{stage=transcription_features}"] == pytest.approx(0.03)
    assert found["banter_queue_wait_seconds_sum{stage=transcription}"] == pytest.approx(0.003)
    assert found["banter_batch_size_sum{stage=transcription}"] == 4
    assert found["banter_queue_depth{stage=transcription}"] == 7


def test_what_was_counted_has_a_metric_of_its_own() -> None:
    metrics = Metrics()
    for name, times in {
        "turns.over.answered": 3,
        "interruptions.barge_in": 2,
        "refused.missing_api_key": 4,
        "voice.refused": 1,
        "audio.dropped_samples": 32_000,
        "audio.unsent_ms": 250,
        "transcription.filtered": 6,
        "speculation.hit": 5,
        "speculation.wasted_ms.text": 1_500,
        "transcription.restarts": 2,
        "voice.restarts": 1,
        "traces.lost.queue_full": 9,
    }.items():
        metrics.count(name, times)
    metrics.failed(TranscriptionError("no words of a caller here"))
    found = shown(metrics)
    assert found["banter_turns_total{outcome=answered}"] == 3
    assert found["banter_interruptions_total{kind=barge_in}"] == 2
    assert found["banter_refusals_total{cause=missing_api_key}"] == 4
    assert found["banter_refusals_total{cause=voice_queue_full}"] == 1
    assert found["banter_dropped_audio_seconds_total{cause=input_buffer_full}"] == 2
    assert found["banter_dropped_audio_seconds_total{cause=unsent}"] == 0.25
    assert found["banter_hallucinations_filtered_total"] == 6
    assert found["banter_speculations_total{outcome=hit}"] == 5
    assert found["banter_speculation_wasted_seconds_total{stage=text}"] == 1.5
    assert found["banter_engine_restarts_total{engine=whisper}"] == 2
    assert found["banter_engine_restarts_total{engine=voice}"] == 1
    assert found["banter_traces_lost_total{cause=queue_full}"] == 9
    failed = "banter_errors_total{code=transcription_failed,stage=transcription}"
    assert found[failed] == 1
    assert found["banter_events_total{event=turns.over.answered}"] == 3


def test_what_is_now_is_asked_for() -> None:
    found = shown(Metrics())
    assert (found["banter_sessions"], found["banter_sessions_max"]) == (2, 8)
    assert found["banter_sessions_opened_total"] == 5
    assert found["banter_engine_up{engine=whisper}"] == 1
    assert found["banter_engine_up{engine=voice}"] == 0
    assert found["banter_build_info{version=1.2.3}"] == 1
    assert found["process_resident_memory_bytes"] > 0


def test_the_first_of_its_kind_is_seen_as_a_rise() -> None:
    metrics = Metrics()
    metrics.observe("voice.run_ms", 5)
    metrics.expect("turn.audio_ms")
    metrics.clear()
    found = shown(metrics)
    assert found["banter_stage_seconds_count{stage=voice}"] == 0
    assert found["banter_time_to_first_audio_seconds_count"] == 0
    assert found["banter_turns_total{outcome=failed}"] == 0
    for code in CODES.values():
        assert found[f"banter_refusals_total{{cause={code}}}"] == 0


def test_labels_are_bounded_in_form_and_number() -> None:
    metrics = Metrics()
    metrics.count('refused.a caller"s\nown words')
    metrics.count("refused.and another's")
    for number in range(2 * MOST_VALUES):
        metrics.count(f"refused.cause_{number}")
    found = {name: value for name, value in shown(metrics).items() if "refusals" in name}
    assert len(found) <= MOST_VALUES
    assert sum(found.values()) == 2 * MOST_VALUES + 2
    assert not any("own words" in name for name in found)


def test_every_family_is_named_as_prometheus_wants_it_and_is_in_the_docs() -> None:
    for family in FAMILIES:
        assert not family.name.endswith("_total")
        assert not family.known or len(family.labels) == 1
    metrics = Metrics()
    metrics.gauges["voice.lines"] = lambda: 1
    body, _ = exposition(metrics).render()
    typed = {line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")}
    absent = {family.full_name for family in FAMILIES} - typed
    assert absent == {"banter_gpu_memory_bytes"}
    assert table() in (ROOT / "docs" / "metrics.md").read_text()


def test_open_metrics_is_spoken_to_who_asks_for_it() -> None:
    body, kind = exposition(Metrics()).render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@dataclass
class FakeCuda:
    """As torch's, on a card of 1,000 bytes of which somebody else has 300."""

    initialized: bool = True
    lost: bool = False

    def is_initialized(self) -> bool:
        return self.initialized

    def mem_get_info(self) -> tuple[int, int]:
        if self.lost:
            raise RuntimeError("CUDA error: the device is gone")
        return 500, 1_000

    def memory_allocated(self) -> int:
        return 150

    def memory_reserved(self) -> int:
        return 200


@pytest.mark.parametrize(
    ("cuda", "kinds"),
    [
        (FakeCuda(), {"allocated": 150, "reserved": 200, "used": 500, "total": 1_000}),
        (FakeCuda(initialized=False), {}),
        (FakeCuda(lost=True), {}),
    ],
)
def test_gpu_memory_is_told_where_torch_uses_a_gpu(
    monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda, kinds: dict[str, int]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    found = {name: value for name, value in shown(Metrics()).items() if "gpu_memory" in name}
    assert found == {f"banter_gpu_memory_bytes{{kind={kind}}}": n for kind, n in kinds.items()}


# --- who may ask --------------------------------------------------------------------------------


def app_of(runtime: FakeRuntime, manners, *, keys: tuple[str, ...] = ()) -> web.Application:
    return make_app(runtime, Metrics(), SessionConfig(), manners, keys=keys)


async def test_without_keys_this_machine_alone_is_answered(server: TestServer) -> None:
    url = server.make_url("/metrics")
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            assert response.status == 200
            assert response.content_type == "text/plain"
            assert "banter_sessions 0.0" in await response.text()
        async with http.get(url, headers={"X-Forwarded-For": "203.0.113.9"}) as response:
            assert response.status == 403
            error = (await response.json())["error"]
            assert error["code"] == "metrics_not_allowed"
            assert "--metrics-port" in error["message"]


async def test_with_keys_one_is_needed_and_refusals_are_counted(runtime, manners) -> None:
    app = app_of(runtime, manners, keys=(KEY,))
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = server.make_url("/metrics")
        async with http.get(url) as response:
            assert response.status == 401
        for _ in range(2):
            async with http.get(url, headers={"Authorization": "Bearer not-this-one"}) as response:
                assert response.status == 401
        far = {"Authorization": f"Bearer {KEY}", "X-Forwarded-For": "203.0.113.9"}
        async with http.get(url, headers=far) as response:
            assert response.status == 200
            lines = (await response.text()).splitlines()
    assert 'banter_refusals_total{cause="missing_api_key"} 1.0' in lines
    assert 'banter_refusals_total{cause="invalid_api_key"} 2.0' in lines
    assert 'banter_http_responses_total{status="401"} 3.0' in lines


async def test_a_prober_who_is_told_that_all_is_full_is_not_refused(runtime, manners) -> None:
    runtime.dead = {"voice"}
    app = app_of(runtime, manners)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        async with http.get(server.make_url("/health")) as response:
            assert response.status == 503
        async with http.get(server.make_url("/nothing")) as response:
            assert response.status == 404
        async with http.get(server.make_url("/metrics")) as response:
            text = await response.text()
    assert 'status="503"} 1.0' in text
    assert 'status="404"} 1.0' in text
    assert "http_503" not in text


@pytest.fixture
def port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        number: int = holder.getsockname()[1]
        return number


async def test_a_listener_of_its_own_asks_for_no_key_and_has_nothing_else(
    runtime, manners, port: int
) -> None:
    app = app_of(runtime, manners, keys=(KEY,))
    app.cleanup_ctx.append(metrics_listener(exposition(Metrics()), "127.0.0.1", port))
    async with TestServer(app), aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert response.status == 200
            assert "banter_sessions 2.0" in await response.text()
        async with http.get(f"http://127.0.0.1:{port}/status") as response:
            assert response.status == 404
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


async def test_it_has_bounds_of_its_own_and_is_no_page_s_of_the_web(
    runtime, manners, port: int, monkeypatch, caplog
) -> None:
    monkeypatch.setattr("realtime.metrics_routes.MAX_SCRAPERS", 1)
    app = app_of(runtime, manners)
    app.cleanup_ctx.append(metrics_listener(exposition(Metrics()), "127.0.0.1", port))
    async with TestServer(app), aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/metrics"
        for headers in ({"Host": "rebound.example"}, {"Origin": "https://evil.example"}):
            async with http.get(url, headers=headers) as response:
                assert response.status == 403
        async with http.get(url, headers={"Host": f"localhost:{port}"}) as response:
            assert response.status == 200
        caplog.clear()  # that connection is kept open
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        writer.close()
        await http.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics \x00secret\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
    assert not caplog.records


async def test_an_engine_that_is_begun_anew_is_not_up(runtime, manners) -> None:
    runtime.parts_ = dict.fromkeys(("voice", "transcription", "end_of_turn"))
    app = app_of(runtime, manners)
    supervisor = app[SUPERVISOR]

    def up() -> dict[str, float]:
        body, _ = app[EXPOSITION].render()
        return {
            sample.labels["engine"]: sample.value
            for family in text_string_to_metric_families(body.decode())
            if family.name == "banter_engine_up"
            for sample in family.samples
        }

    fine = dict.fromkeys(("speech_detector", "whisper", "replier", "voice", "end_of_turn"), 1)
    assert up() == fine
    for stage in ("transcription", "end_of_turn"):
        supervisor.outages[stage] = Outage(stage, "stuck", 0.0)
    assert up() == {**fine, "whisper": 0, "end_of_turn": 0}
    runtime.dead = {"replier"}
    assert up() == {**fine, "whisper": 0, "end_of_turn": 0, "replier": 0}


async def test_a_port_that_is_taken_ends_the_start_by_its_name(runtime, manners) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        app = app_of(runtime, manners)
        app.cleanup_ctx.append(metrics_listener(exposition(Metrics()), "127.0.0.1", taken))
        with pytest.raises(BanterError, match=r"--metrics-port .*cannot listen on 127.0.0.1"):
            await web.AppRunner(app).setup()


def test_the_monitoring_page_names_files_that_are_there() -> None:
    for name in ("prometheus.yml", "alerts.yml", "grafana/banter.json", "compose.monitoring.yml"):
        assert (Path(ROOT) / "deploy" / name).is_file()
        assert f"deploy/{name}" in (ROOT / "docs" / "monitoring.md").read_text()
