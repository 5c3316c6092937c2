"""`banter doctor` as it is typed, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.profiles import PLANS
from realtime.doctor import command
from realtime.doctor.needs import NEEDS
from realtime.errors import SettingsError
from realtime.settings import Settings, read_settings

ROOT = Path(__file__).parent.parent.parent
SUBJECTS = [
    *("settings", "python", "memory", "open files", "gpu", "torch", "ctranslate2", "webrtcvad"),
    *("packages", "watermark", "volume", "volume's disk", "models", "disk", "port", "microphone"),
]


def doctor(module: str, *arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
    ended = subprocess.run(
        [sys.executable, "-m", *module.split(), "--json", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)


def accept(settings: Settings) -> None:
    """Any settings will do."""


def test_this_machine_is_well(models: dict[str, Path]) -> None:
    status, report = doctor("realtime doctor", "--port", "0", "--profile", "embedded")
    assert [f["subject"] for f in report["findings"]] == SUBJECTS
    assert [f for f in report["findings"] if f["level"] == "error"] == []
    assert (status, report["ok"], report["profile"]) == (0, True, "embedded")


def test_the_doctor_outlives_what_the_server_would_die_of(tmp_path: Path) -> None:
    (tmp_path / "webrtcvad.py").write_text("import os; os.abort()")
    status, report = doctor("realtime.doctor", "--port", "0", PYTHONPATH=str(tmp_path))
    ill = [f for f in report["findings"] if f["level"] == "error"]
    assert [f["subject"] for f in ill] == ["webrtcvad"]
    assert "killed by SIGABRT" in ill[0]["seen"]
    assert status == 1


def test_settings_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--port", "many"], {}, accept) == 1
    assert "'many' is not a port" in capsys.readouterr().out


def test_settings_that_cannot_even_be_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "realtime.settings", None)
    assert command.main([], {}, accept) == 1
    assert "make setup" in capsys.readouterr().out


def test_settings_that_the_server_would_not_start_with() -> None:
    def refuse(settings: Settings) -> None:
        raise SettingsError("--host: 0.0.0.0 without an API key")

    finding = command.judge_settings(read_settings([], {}), refuse)
    assert (finding.level, finding.seen) == ("error", "--host: 0.0.0.0 without an API key")
    assert command.judge_settings(read_settings([], {}), accept).level == "ok"


def test_the_endpoint_is_asked_only_where_it_replies() -> None:
    def subjects(*arguments: str) -> set[str]:
        settings = read_settings(arguments, {})
        return {check.subject for check in command.checks(settings, NEEDS["embedded"])}

    openai = ("--replier", "openai", "--llm-url", "http://localhost:1/v1")
    assert subjects(*openai) - subjects() == {"language model"}


def test_help_names_its_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"], {}, accept) == 0
    assert "Exit status" in capsys.readouterr().out


def test_every_profile_has_its_needs() -> None:
    assert set(NEEDS) == set(PLANS)
    assert NEEDS["gpu"].gpu is not None
    assert NEEDS["embedded"].gpu is None
