"""Volumes: which one is the default, and what a finished copy looks like."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import bootstrap
from bootstrap import volume as layout
from bootstrap.plan import Plan


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a container's volume and without settings."""
    monkeypatch.setattr(layout, "CONTAINER_VOLUME", tmp_path / "absent")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path / "home"


def test_container_volume_is_the_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.setattr(layout, "CONTAINER_VOLUME", home)
    assert bootstrap.default_volume() == home


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that root cannot write")
def test_container_volume_that_cannot_be_written_is_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "CONTAINER_VOLUME", Path("/proc/sys"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert bootstrap.default_volume() == home / ".local/share/banter"


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "home/.local/share/banter"),
        ("linux", {"XDG_DATA_HOME": "ROOT/xdg"}, "xdg/banter"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "home/.local/share/banter"),
        ("darwin", {"XDG_DATA_HOME": "ROOT/xdg"}, "home/Library/Application Support/banter"),
        ("win32", {"LOCALAPPDATA": "ROOT/local"}, "local/banter"),
        ("win32", {"LOCALAPPDATA": ""}, "home/AppData/Local/banter"),
    ],
)
def test_user_data_folder_of_each_system(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    environment: dict[str, str],
    expected: str,
) -> None:
    root = home.parent
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("ROOT", str(root)))
    assert bootstrap.default_volume() == root / expected


def test_user_without_a_home_is_told_to_name_a_volume(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(bootstrap.BootstrapError, match="Name a volume"):
        bootstrap.default_volume()


def test_manifest_names_files_sizes_and_hashes(filled: Path, plan: Plan) -> None:
    [ear, _] = plan.sources
    manifest = json.loads((layout.source_folder(filled, ear) / "manifest.json").read_text())
    assert manifest["distribution"] == "tiny-ear"
    assert manifest["files"] == [
        {"path": file.path, "size_bytes": file.size_bytes, "sha256": file.sha256}
        for file in ear.files
    ]
