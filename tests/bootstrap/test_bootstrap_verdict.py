"""Verdicts: what counts as whole, on the volume and in the environment."""

from __future__ import annotations

import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import bootstrap
from bootstrap import verdict
from bootstrap import volume as layout
from bootstrap.plan import Plan, Source
from bootstrap.verdict import Finding

Spoil = Callable[[Path], object]


def look(volume: Path, source: Source, *, check: bool = False) -> Finding:
    return verdict.look(volume, source, check, threading.Event())


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


MODEL = "tiny_ear/model/model.bin"
SPOILED: list[tuple[str, Spoil, str]] = [
    (MODEL, lambda path: path.write_bytes(b"short"), "has 5 bytes instead of 400000"),
    (MODEL, lambda path: path.unlink(), "No such file"),
    (MODEL, replace_by_folder, "is not a file"),
    ("manifest.json", lambda path: path.unlink(), "never marked"),
    ("manifest.json", lambda path: path.write_text("{"), "never marked"),
    ("manifest.json", lambda path: path.write_text("{}"), "never marked"),
    ("manifest.json", replace_by_folder, "never marked"),
]


def test_filled_volume_is_whole(filled: Path, plan: Plan) -> None:
    for source in plan.sources:
        folder = layout.source_folder(filled, source)
        assert look(filled, source, check=True) == Finding(folder, "on the volume")


def test_empty_volume_is_not(volume: Path, plan: Plan) -> None:
    assert look(volume, plan.sources[0]) == Finding(None, "not there")


@pytest.mark.parametrize(("name", "spoil", "note"), SPOILED)
def test_damage_that_is_found_cheaply(
    filled: Path, plan: Plan, name: str, spoil: Spoil, note: str
) -> None:
    [ear, mind] = plan.sources
    spoil(layout.source_folder(filled, ear) / name)
    found = look(filled, ear)
    assert found.root is None
    assert note in found.note
    assert look(filled, mind).root is not None


def test_damage_of_the_same_size_needs_the_check(filled: Path, plan: Plan) -> None:
    [ear, _] = plan.sources
    flip_last_byte(layout.source_folder(filled, ear) / MODEL)
    assert look(filled, ear).root is not None
    assert look(filled, ear, check=True) == Finding(None, f"{MODEL} has the wrong SHA-256")


@pytest.fixture
def site(plan: Plan, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages on the path of this interpreter, with the wheels installed in it."""
    folder = tmp_path / "site"
    for archive in wheels.glob("tiny_*.whl"):
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if ".." not in name]
            opened.extractall(folder, names)
    monkeypatch.syspath_prepend(folder)
    return folder


async def test_installed_wheel_is_used_in_place_and_never_imported(
    site: Path, volume: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nothing/may/be/run")
    for check in (False, True):
        assert await bootstrap.ensure(plan, volume, check=check) == {
            "whisper": site / "tiny_ear/model",
            "llm": site / "tiny_mind/mind.gguf",
        }
    assert not layout.is_taken(volume)
    assert not [name for name in sys.modules if name.startswith("tiny_")]


def test_installed_wheel_of_another_version_is_not_used(
    site: Path, volume: Path, plan: Plan
) -> None:
    metadata = site / "tiny_ear-1.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert look(volume, plan.sources[0]).root is None


def test_installed_wheel_with_a_truncated_file_is_not_used(
    site: Path, volume: Path, plan: Plan
) -> None:
    (site / MODEL).write_bytes(b"short")
    assert look(volume, plan.sources[0]).root is None


def test_volume_comes_before_the_environment(site: Path, filled: Path, plan: Plan) -> None:
    [ear, _] = plan.sources
    assert look(filled, ear).note == "on the volume"
    (layout.source_folder(filled, ear) / MODEL).unlink()
    assert look(filled, ear) == Finding(site, "installed in this environment")
