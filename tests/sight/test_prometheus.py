"""A real Prometheus scrapes a real server; the dashboard's queries and the alerts are put to it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from realtime.admission import CODES
from tests.client import Client, clip, quiet
from tests.conftest import ROOT, run_server

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "banter.json").read_text())
RULES = DEPLOY / "alerts.yml"
CHUNK_BYTES = 24_000 // 50 * 2
SCRAPED_S = 30.0

NEEDS_A_CAUSE = {
    "GPU memory",
    "Errors, by stage and code",
}
"""Panels that are rightly empty on a machine without a GPU where nothing has gone wrong."""

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="no prometheus here; on Debian and Ubuntu: apt-get install prometheus",
)


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries(panel: dict[str, Any]) -> list[str]:
    """As Grafana sends them: its variables have values by then."""
    values = {"$__rate_interval": "10s", "$instance": ".*"}
    asked = [target["expr"] for target in panel["targets"]]
    for name, value in values.items():
        asked = [query.replace(name, value) for query in asked]
    return asked


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in alerts()}


def free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


def promtool(*arguments: str, given: str | None = None) -> str:
    command = ["promtool", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def spoken_url(models: dict[str, Path]) -> Iterator[str]:
    yield from run_server("--replier", "echo", "--max-sessions", "1")


@pytest.fixture
def prometheus(spoken_url: str, tmp_path: Path) -> Iterator[str]:
    """Its address; it scrapes the server twice a second, as `deploy/prometheus.yml` has it else."""
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [spoken_url.split("//")[1]]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    promtool("check", "config", str(file))
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


async def ask(http: aiohttp.ClientSession, url: str, query: str) -> list[dict[str, Any]]:
    async with http.get(f"{url}/api/v1/query", params={"query": query}) as response:
        said = await response.json()
    assert said["status"] == "success", f"{query}: {said}"
    found: list[dict[str, Any]] = said["data"]["result"]
    return found


async def until(http: aiohttp.ClientSession, url: str, query: str) -> None:
    """Ask until there is an answer; Prometheus may not even listen yet."""
    async with asyncio.timeout(SCRAPED_S):
        while True:
            try:
                if await ask(http, url, query):
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


async def speak(http: aiohttp.ClientSession, url: str) -> None:
    """One turn, at the pace of speech, and its reply; a second caller meanwhile is refused."""
    socket = await http.ws_connect(f"{url}/v1/realtime", max_msg_size=0)
    client = Client(socket)
    await client.until("session.created")
    async with http.get(f"{url}/v1/realtime") as refused:
        assert refused.status == 503
    said = quiet(0.2) + clip("ls_6930_0000")[: 24_000 * 2 * 3] + quiet(1.5)
    for start in range(0, len(said), CHUNK_BYTES):
        await socket.send_bytes(said[start : start + CHUNK_BYTES])
        await asyncio.sleep(0.015)
    await client.until("response.done")
    await socket.close()


@pytest.mark.pace
@needs_prometheus
async def test_the_dashboard_shows_a_spoken_turn_and_every_query_is_one(
    prometheus: str, spoken_url: str
) -> None:
    async with aiohttp.ClientSession() as http:
        await until(http, prometheus, 'banter_turns_total{outcome="answered"} == 0')
        await speak(http, spoken_url)
        await until(http, prometheus, "rate(banter_time_to_first_audio_seconds_count[10s]) > 0")
        await until(http, prometheus, 'banter_turns_total{outcome="answered"} == 1')
        refused = 'banter_refusals_total{cause="max_sessions_reached"} == 1'
        await until(http, prometheus, refused)
        empty = [
            (panel["title"], query)
            for panel in panels()
            for query in queries(panel)
            if not shows(await ask(http, prometheus, query)) and not may_be_empty(panel)
        ]
        assert empty == []
        for rule in alerts():
            firing = await ask(http, prometheus, rule["expr"])
            assert firing or rule["alert"] not in FIRING, rule["alert"]
        async with http.get(f"{prometheus}/api/v1/rules") as response:
            loaded = (await response.json())["data"]["groups"][0]["rules"]
        assert [(rule["name"], rule.get("lastError")) for rule in loaded] == [
            (rule["alert"], None) for rule in alerts()
        ]


FIRING = {"BanterFull"}
"""A caller was refused."""


def shows(found: list[dict[str, Any]]) -> bool:
    """Some value that can be drawn."""
    return any(each["value"][1] != "NaN" for each in found)


def may_be_empty(panel: dict[str, Any]) -> bool:
    return panel["title"] in NEEDS_A_CAUSE


@needs_prometheus
def test_promtool_finds_nothing_to_say_of_the_rules_and_configurations() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))
    for name in ("prometheus.yml", "prometheus.compose.yml"):
        promtool("check", "config", str(DEPLOY / name))


@needs_prometheus
def test_whoever_finds_no_room_or_no_engine_is_told_of(tmp_path: Path) -> None:
    causes = [CODES[reason] for reason in ("saturated", "share", "busy", "unavailable")]
    others = ["missing_api_key", CODES["key"]]
    told = {
        "exp_labels": {"severity": "warning", "instance": "one"},
        "exp_annotations": ALERTS["BanterFull"]["annotations"]
        | {"summary": "one refused 20 callers in 10 minutes"},
    }
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {
                    "series": f'banter_refusals_total{{instance="one",cause="{cause}"}}',
                    "values": "0+2x20",
                }
            ],
            "alert_rule_test": [
                {
                    "eval_time": "20m",
                    "alertname": "BanterFull",
                    "exp_alerts": [told] if cause in causes else [],
                }
            ],
        }
        for cause in (*causes, *others)
    ]
    file = tmp_path / "full.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", str(file))


@needs_prometheus
async def test_promtool_finds_nothing_to_say_of_the_metrics(spoken_url: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{spoken_url}/metrics", headers={"Accept": "text/plain"}) as response,
    ):
        assert response.status == 200
        assert not promtool("check", "metrics", given=await response.text())


def test_every_metric_that_is_asked_for_is_in_the_table() -> None:
    from realtime.metric_families import FAMILIES

    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    known = {
        family.full_name + suffix
        for family in FAMILIES
        for suffix in suffixes.get(family.kind, ("",))
    }
    asked = " ".join(query for panel in panels() for query in queries(panel))
    asked += " ".join(rule["expr"] for rule in alerts())
    named = set(re.findall(r"banter_\w+", asked))
    assert named
    assert named <= known


def test_the_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
