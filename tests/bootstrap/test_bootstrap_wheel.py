"""Unpacking: only planned files, only planned bytes."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest
from fake_index import make_wheel, noise

from bootstrap import wheel as wheels
from bootstrap.disk import Stopped
from bootstrap.errors import BootstrapError
from bootstrap.plan import PlannedFile, Wheel


@pytest.fixture
def parcel(tmp_path: Path) -> Wheel:
    contents = {"parcel/a.bin": noise(3_000_000, 3), "parcel/b.txt": b"b", "../evil": b"evil"}
    return make_wheel(tmp_path, "parcel", contents)


def unpack(wheel: Wheel, folder: Path, *, stop: bool = False) -> None:
    event = threading.Event()
    if stop:
        event.set()
    wheels.unpack(wheel, folder / "parcel-1.0-py3-none-any.whl", folder / "in/here", event)


def replan(wheel: Wheel, **changes: object) -> Wheel:
    """The same wheel, with another idea of its first file."""
    [first, *others] = wheel.files
    return dataclasses.replace(wheel, files=(dataclasses.replace(first, **changes), *others))


def test_only_planned_files_are_written(parcel: Wheel, tmp_path: Path) -> None:
    unpack(parcel, tmp_path)
    there = sorted(path for path in (tmp_path / "in").rglob("*") if path.is_file())
    assert there == [tmp_path / "in/here/parcel/a.bin", tmp_path / "in/here/parcel/b.txt"]
    assert there[0].stat().st_size == 3_000_000


@pytest.mark.parametrize("size_bytes", [10, 2_999_999, 3_000_001])
def test_file_of_another_size_is_refused(parcel: Wheel, tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(BootstrapError, match=rf"not the planned {size_bytes} bytes"):
        unpack(replan(parcel, size_bytes=size_bytes), tmp_path)


def test_no_more_is_written_than_shows_the_lie(parcel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="not the planned"):
        unpack(replan(parcel, size_bytes=10), tmp_path)
    assert (tmp_path / "in/here/parcel/a.bin").stat().st_size < 2_000_000


def test_file_with_another_hash_is_refused(parcel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match=r"Refusing parcel 1\.0: .*a\.bin has SHA-256 "):
        unpack(replan(parcel, sha256="0" * 64), tmp_path)


def test_file_that_the_wheel_lacks_is_named(parcel: Wheel, tmp_path: Path) -> None:
    wheel = dataclasses.replace(parcel, files=(PlannedFile("parcel/c", 1, "0" * 64),))
    with pytest.raises(BootstrapError, match="no parcel/c in the wheel"):
        unpack(wheel, tmp_path)


@pytest.mark.parametrize("cut", [0, 100, 2_000_000, -30])
def test_damaged_archive_is_refused(parcel: Wheel, tmp_path: Path, cut: int) -> None:
    archive = tmp_path / "parcel-1.0-py3-none-any.whl"
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(BootstrapError, match="cannot be unpacked"):
        unpack(parcel, tmp_path)


def test_archive_with_a_broken_member_is_refused(parcel: Wheel, tmp_path: Path) -> None:
    archive = tmp_path / "parcel-1.0-py3-none-any.whl"
    content = bytearray(archive.read_bytes())
    content[1_000_000:1_000_100] = bytes(100)
    archive.write_bytes(content)
    with pytest.raises(BootstrapError, match="cannot be unpacked"):
        unpack(parcel, tmp_path)


def test_unpacking_stops_when_asked(parcel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        unpack(parcel, tmp_path, stop=True)
