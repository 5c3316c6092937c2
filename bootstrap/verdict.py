"""Is a source whole, and where? Reads only: no lock, request, write, or import of a model package.

The volume is asked before the environment: what has a manifest was verified byte by byte when it
came, an installed package is known by its sizes alone.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bootstrap import cache, disk, volume, wheel
from bootstrap.plan import HubRepository, Plan, PlannedFile, Source, Wheel


@dataclass(frozen=True)
class Finding:
    """What is known about one source."""

    root: Path | None
    """The folder that the planned paths are relative to; None: it has to be fetched."""
    note: str
    """For people: where it was found, or what is wrong."""


async def survey(plan: Plan, place: Path, *, check: bool) -> dict[Source, Finding]:
    """A finding for each source of a plan. `check` reads and hashes every file, in a thread."""
    if not check:
        return look_at_all(plan, place, False, threading.Event())
    return await disk.in_thread(partial(look_at_all, plan, place, True))


def look_at_all(
    plan: Plan, place: Path, check: bool, stop: threading.Event
) -> dict[Source, Finding]:
    """The same, blocking."""
    return {source: look(place, source, check, stop) for source in plan.sources}


def look(place: Path, source: Source, check: bool, stop: threading.Event) -> Finding:
    """Find one source on the volume, else in the environment."""
    if isinstance(source, HubRepository):
        return _look_in_cache(place, source, check, stop)
    return _look_for_wheel(place, source, check, stop)


def _look_for_wheel(place: Path, source: Wheel, check: bool, stop: threading.Event) -> Finding:
    """A wheel's files, unpacked on the volume or installed."""
    folder = volume.source_folder(place, source)
    damage = fault(folder, source.files, check, stop)
    if damage is None and volume.has_manifest(place, source):
        return Finding(folder, "on the volume")
    installed = wheel.installed_root(source)
    if installed is not None and fault(installed, source.files, check, stop) is None:
        return Finding(installed, "installed in this environment")
    if not folder.exists():
        return Finding(None, "not there")
    return Finding(None, damage or "never marked as whole")


def _look_in_cache(
    place: Path, source: HubRepository, check: bool, stop: threading.Event
) -> Finding:
    """A repository's files in the hub's cache on the volume."""
    repository = volume.source_folder(place, source)
    snapshot = cache.read_manifest(repository, source)
    if snapshot is None:
        return Finding(None, "never marked as whole" if repository.exists() else "not there")
    root = cache.snapshot_folder(repository, snapshot.commit)
    damage = fault(root, snapshot.planned, check, stop)
    return Finding(root, "on the volume") if damage is None else Finding(None, damage)


def fault(
    root: Path, files: Iterable[PlannedFile], check: bool, stop: threading.Event
) -> str | None:
    """The first thing that is wrong with files below `root`, in words, or None."""
    return next((words for _, words in faults(root, files, check, stop)), None)


def faults(
    root: Path, files: Iterable[PlannedFile], check: bool, stop: threading.Event
) -> Iterator[tuple[PlannedFile, str]]:
    """Each file below `root` that something is wrong with, and what, in words."""
    for file in files:
        words = _file_fault(root / file.path, file, check, stop)
        if words is not None:
            yield file, words


def _file_fault(path: Path, file: PlannedFile, check: bool, stop: threading.Event) -> str | None:
    """What is wrong with one file, or None. One that cannot be read is as bad as a missing one."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{file.path} is not a file"
        if status.st_size != file.size_bytes:
            return f"{file.path} has {status.st_size} bytes instead of {file.size_bytes}"
        if check and _sha256_of(path, file, stop) != file.sha256:
            return f"{file.path} has the wrong SHA-256"
    except OSError as error:
        return f"{file.path}: {error.strerror or error}"
    return None


def _sha256_of(path: Path, file: PlannedFile, stop: threading.Event) -> str:
    """SHA-256 of a file's content, in hex."""
    with open(path, "rb") as reader:
        return disk.copy_hashed(reader, None, file.size_bytes, stop)[1]
