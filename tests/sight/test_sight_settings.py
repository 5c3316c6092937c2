"""The settings of the log, the metrics and the traces; and a start that they stop."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.errors import SettingsError
from realtime.settings import read_settings
from tests.conftest import ROOT


def test_nothing_is_opened_or_sent_unless_it_is_asked_for() -> None:
    settings = read_settings([], {})
    assert settings.metrics_port is None
    assert settings.metrics_host == "127.0.0.1"
    assert settings.otel_endpoint == ""
    assert settings.otel_file is None
    assert settings.log_format == "text"


def test_what_is_asked_for(tmp_path: Path) -> None:
    given = {
        "BANTER_METRICS_PORT": "9464",
        "BANTER_OTEL_ENDPOINT": "http://collector:4318/",
        "BANTER_OTEL_FILE": str(tmp_path / "traces.jsonl"),
        "BANTER_LOG_FORMAT": "json",
    }
    settings = read_settings([], given)
    assert settings.metrics_port == 9464
    assert settings.otel_endpoint == "http://collector:4318"
    assert settings.otel_file == tmp_path / "traces.jsonl"
    assert settings.log_format == "json"


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--metrics-port", "many", "is not a port"),
        ("--otel-endpoint", "collector:4318", "is not an http or https address"),
        ("--otel-file", "/nowhere/at/all/traces.jsonl", "in a folder that is there"),
        ("--log-format", "xml", "is not one of text, json"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_name(flag: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"{flag} .*{said}"):
        read_settings([flag, value], {})


def test_a_metrics_port_that_is_taken_ends_the_start(models: dict[str, Path]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        command = [sys.executable, "-m", "realtime", "--port", "0", "--metrics-port", port]
        command += ["--replier", "echo", "--max-sessions", "1"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert f"--metrics-port (BANTER_METRICS_PORT): cannot listen on 127.0.0.1:{port}" in (
        ended.stderr
    )
