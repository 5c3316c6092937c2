"""`banter doctor` as it is typed, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realtime.doctor import command, gpu, voice
from realtime.doctor.needs import GPU, NEEDS, VOICES
from realtime.errors import SettingsError
from realtime.settings import CHATTERBOX, Settings, read_settings

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


def settings(*arguments: str) -> Settings:
    return read_settings(arguments, {})


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "there", lambda: True)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "there", lambda: False)


def test_every_profile_and_every_voice_has_its_needs(no_gpu: None) -> None:
    assert set(NEEDS) == {"embedded", "gpu"}
    assert set(VOICES) == set(CHATTERBOX)
    plain = command.needs_of(settings("--profile", "embedded"))
    assert (plain.gpu, plain.chatterbox, "hibari" in plain.packages) == (None, False, True)
    spoken = command.needs_of(settings("--profile", "gpu"))
    assert spoken.chatterbox
    assert spoken.gpu
    assert spoken.gpu.memory_mib == 2_300 + 2_800 + 16 * 144
    assert "chatterbox" in spoken.packages


def test_a_voice_that_a_setting_chooses_is_looked_at_as_that_of_a_profile(no_gpu: None) -> None:
    chosen = command.needs_of(settings("--voice", "chatterbox", "--profile", "embedded"))
    assert chosen.chatterbox
    assert chosen.gpu is None
    assert chosen.memory_mib > NEEDS["embedded"].memory_mib + 3_000
    assert "hibari" not in chosen.packages
    kept = command.needs_of(settings("--voice", "embedded", "--profile", "gpu"))
    assert kept == GPU


def test_its_memory_is_what_the_settings_give_it(a_gpu: None) -> None:
    def gpu_mib(*arguments: str) -> int:
        needs = command.needs_of(settings("--profile", "embedded", *arguments))
        assert needs.gpu
        return needs.gpu.memory_mib

    turbo = gpu_mib("--voice", "chatterbox")
    more = gpu_mib("--voice", "chatterbox", "--voice-streams", "64")
    assert more - turbo == 48 * VOICES["chatterbox"].line_mib
    assert gpu_mib("--voice", "chatterbox-multilingual") > turbo
    assert gpu_mib("--voice", "chatterbox", "--voice-memory", "6") == 6 * 1_024
    on_cpu = settings("--profile", "embedded", "--voice", "chatterbox", "--device", "cpu")
    assert command.needs_of(on_cpu).gpu is None


def test_a_folder_of_weights_is_looked_into_and_nothing_fetched(tmp_path: Path) -> None:
    found = settings("--profile", "gpu", "--voice-folder", str(tmp_path))
    assert command.voice_of(found) == "chatterbox"
    assert command.planned_voice(found) == "none"
    assert "voice" in {check.subject for check in command.checks(found, GPU)}
    [finding] = voice.look(tmp_path)
    assert finding.level == "error"
    for name in ("ve.safetensors", "t3_turbo_v1.safetensors", "conds.pt"):
        (tmp_path / name).touch()
    [finding] = voice.look(tmp_path)
    assert finding.seen.endswith("turbo lacks s3gen_meanflow.safetensors")
    (tmp_path / "s3gen_meanflow.safetensors").touch()
    [finding] = voice.look(tmp_path)
    assert (finding.level, finding.seen.split()[-1]) == ("ok", "turbo")


def test_what_the_volume_lacks_is_fetched_for_the_voice_that_is_chosen(tmp_path: Path) -> None:
    _, report = doctor(
        *("realtime doctor", "--port", "0", "--profile", "embedded", "--volume", str(tmp_path)),
        *("--voice", "chatterbox-english"),
    )
    [models] = [f for f in report["findings"] if f["subject"] == "models"]
    assert "ResembleAI/chatterbox@5bb1f6ee" in models["seen"]
    assert "--voice english" in models["remedy"]
