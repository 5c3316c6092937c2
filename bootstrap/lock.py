"""One process at a time changes a volume: an exclusive lock on a file, which dies with its holder.

The file stays; only the lock on it counts. While it is held it says by whom, for those who wait.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bootstrap.errors import BootstrapError

POLL_S = 0.2
REMIND_S = 30.0

log = logging.getLogger("banter.bootstrap")

if sys.platform == "win32":
    import msvcrt

    _FAR_BYTE = 1 << 20  # a locked range cannot be read by others, and the holder's name must be

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@asynccontextmanager
async def held(path: Path) -> AsyncIterator[int]:
    """Hold the lock for the body, waiting as long as another has it. Cancelling ends the wait.

    Yields the descriptor: a process that inherits it (not on Windows) holds the lock, too.

    Raises:
        OSError: the file cannot be made or opened.
        BootstrapError: the file system has no such locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        await _acquire(descriptor, path)
        _say(descriptor, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        try:
            yield descriptor
        finally:
            _say(descriptor, "")
    finally:
        os.close(descriptor)


async def _acquire(descriptor: int, path: Path) -> None:
    """Poll for the lock: flock(2) itself would block a thread that nothing can cancel."""
    clock = asyncio.get_running_loop().time
    told, told_at = "", 0.0
    while not _try_or_explain(descriptor, path):
        holder = _holder(descriptor)
        if holder != told or clock() - told_at >= REMIND_S:
            log.info("waiting for %s, held by %s", path, holder)
            told, told_at = holder, clock()
        await asyncio.sleep(POLL_S)


def _try_or_explain(descriptor: int, path: Path) -> bool:
    """Try once.

    Raises:
        BootstrapError: the file system has no locks to give.
    """
    try:
        return _try_lock(descriptor)
    except OSError as error:
        raise BootstrapError(
            f"{path} cannot be locked: {error.strerror}", "Use a volume whose file system has flock"
        ) from error


def _say(descriptor: int, text: str) -> None:
    """Replace the file's text. It only informs, so a full disk must not matter here."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode())


def _holder(descriptor: int) -> str:
    """Who holds the lock, in words. Empty text: it was just taken or is about to be given back."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        said = json.loads(os.read(descriptor, 4096))
        return f"process {said['pid']} on {said['host']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
