"""What lies in a source's place and is not known to be whole: mark it, or move it out of the way.

Under the volume's lock only. What is whole but lacks the mark (a run was killed just before it, or
somebody copied the files here) is hashed and marked, without a network.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from functools import partial
from pathlib import Path

from bootstrap import cache, disk, verdict
from bootstrap import volume as layout
from bootstrap.cache import CachedFile, Snapshot
from bootstrap.plan import HubRepository, PlannedFile, Source, Wheel

log = logging.getLogger("banter.bootstrap")

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


async def is_whole_after_all(volume: Path, source: Source, note: str) -> bool:
    """Whether a source needed only the mark. If not, a damaged wheel is out of the way.

    A repository is repaired file by file, by the process that fetches. `note` says what is wrong.
    """
    if isinstance(source, Wheel):
        return await _repair_wheel(volume, source, note)
    folder = layout.source_folder(volume, source)
    if not source.files or cache.read_manifest(folder, source) is not None:
        return False
    return await disk.in_thread(partial(_adopt, folder, source))


async def _repair_wheel(volume: Path, source: Wheel, note: str) -> bool:
    folder = layout.source_folder(volume, source)
    if not layout.is_taken(folder):
        return False
    if await disk.in_thread(partial(_has_right_hashes, folder, source.files)):
        layout.mark(volume, source)
        log.info("%s: all files in %s are whole; marked", source.title, folder)
        return True
    aside = layout.set_aside(volume, source)
    log.warning("%s: %s; set aside in %s", source.title, note, aside)
    return False


def _has_right_hashes(root: Path, files: tuple[PlannedFile, ...], stop: threading.Event) -> bool:
    return verdict.fault(root, files, True, stop) is None


def _adopt(folder: Path, source: HubRepository, stop: threading.Event) -> bool:
    """Mark a snapshot that is whole by the plan's hashes, whoever brought it here."""
    root = cache.snapshot_folder(folder, source.revision)
    if verdict.fault(root, source.files, False, stop) is not None:
        return False
    blobs = {file.path: Path(os.path.realpath(root / file.path)).name for file in source.files}
    if not all(_HASH.fullmatch(blob) for blob in blobs.values()):
        return False
    if not _has_right_hashes(root, source.files, stop):
        return False
    for file in source.files:
        with open(root / file.path, "rb") as reader:
            os.fsync(reader.fileno())
    files = tuple(
        CachedFile(file.path, blobs[file.path], file.size_bytes, file.sha256)
        for file in source.files
    )
    cache.mark(folder, source, Snapshot(source.revision, files))
    log.info("%s: all files in %s are whole; marked", source.title, root)
    return True
