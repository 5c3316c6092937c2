"""Slow work on files: read and hash in pieces that can be stopped, write so that it lasts.

The functions here block. `in_thread` runs them beside the event loop; each long one is given the
event that asks it to stop, so that a cancelled caller waits for one piece, not for a whole model.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

PIECE_BYTES = 1 << 20

Result = TypeVar("Result")


class Stopped(Exception):
    """The caller was cancelled; the work ended early and its result is of no use."""


async def in_thread(work: Callable[[threading.Event], Result]) -> Result:
    """Run `work(stop)` in a thread. When cancelled, ask it to stop and wait until it has.

    Waiting matters: the thread writes below a folder that the caller is about to remove, and under
    a lock that the caller is about to give back.
    """
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not report it as lost
        raise


def copy_hashed(
    reader: IO[bytes], writer: IO[bytes] | None, limit_bytes: int, stop: threading.Event
) -> tuple[int, str]:
    """Read to the end, writing along where there is a writer: (bytes seen, SHA-256 in hex).

    Reading ends once there is more than `limit_bytes`: a lying archive cannot fill the disk.

    Raises:
        Stopped: `stop` was set.
        OSError: reading or writing failed.
    """
    digest = hashlib.sha256()
    seen_bytes = 0
    while seen_bytes <= limit_bytes and (piece := reader.read(PIECE_BYTES)):
        if stop.is_set():
            raise Stopped
        seen_bytes += len(piece)
        digest.update(piece)
        if writer is not None:
            writer.write(piece)
    return seen_bytes, digest.hexdigest()


def sync_file(file: IO[bytes]) -> None:
    """Push what was written to the disk itself."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Push a folder's entries (names, renames) to the disk."""
    if sys.platform == "win32":
        return  # Windows cannot open a folder for this, and orders its renames itself
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees all of it or none."""
    draft = path.with_name(path.name + ".draft")
    with open(draft, "wb") as file:
        file.write(text.encode())
        sync_file(file)
    os.replace(draft, path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, as far as that goes; absence is fine.

    What cannot be removed now (a killed run's pip may still write there) is tried again by the next
    run that has something to install.
    """
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def size_of(folder: Path) -> int:
    """Bytes in all files below a folder that may be changing meanwhile."""
    total_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total_bytes += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total_bytes


def megabytes(size_bytes: int) -> str:
    """For people: decimal megabytes with one digit."""
    return f"{size_bytes / 1e6:.1f} MB"
