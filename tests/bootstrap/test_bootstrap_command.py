"""`python -m bootstrap`: lines, exit statuses, and a rehearsal that writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import bootstrap.__main__ as command
import bootstrap.profiles
from bootstrap import volume as layout
from bootstrap.plan import Plan


@pytest.fixture(autouse=True)
def _small_plan(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.profiles, "PLANS", {"embedded": plan})


def test_line_for_each_model(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--profile", "embedded", "--volume", str(filled)]) == 0
    assert capsys.readouterr().out == (
        f"whisper: {filled}/models/wheels/tiny-ear-1.0/tiny_ear/model\n"
        f"llm: {filled}/models/wheels/tiny-mind-1.0/tiny_mind/mind.gguf\n"
    )


def test_dry_run_says_what_is_missing_and_writes_nothing(
    volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--volume", str(volume), "--dry-run"]) == 3
    out = capsys.readouterr().out
    assert "llm: would fetch tiny-mind 1.0 (0.3 MB) to " in out
    assert "(not there)" in out
    assert "space: 17.0 MB needed, " in out
    assert not volume.exists()


def test_dry_run_with_check_finds_damage_and_leaves_it(
    filled: Path, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = layout.source_folder(filled, plan.sources[1]) / "tiny_mind/mind.gguf"
    spoiled.write_bytes(bytes(300_000))
    assert command.main(["--volume", str(filled), "--dry-run"]) == 0
    assert command.main(["--volume", str(filled), "--dry-run", "--check"]) == 3
    assert "mind.gguf has the wrong SHA-256" in capsys.readouterr().out
    assert spoiled.read_bytes() == bytes(300_000)


def test_failure_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--volume", "/dev/null/volume"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("bootstrap: Cannot put tiny-ear 1.0, tiny-mind 1.0 into /dev/null")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--profile", "gpuu"], ["--volume"], ["more"]])
def test_wrong_arguments_exit_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2


def test_default_volume_is_used_where_none_is_named(
    filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layout, "CONTAINER_VOLUME", filled)
    assert command.main([]) == 0
    assert str(filled) in capsys.readouterr().out


def test_help_names_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "3 a dry run" in " ".join(capsys.readouterr().out.split())
