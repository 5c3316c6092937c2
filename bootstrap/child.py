"""Child processes that do not outlive the caller: started in a session of their own, and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from bootstrap.errors import BootstrapError

LINE_LIMIT_BYTES = 1 << 24
"""The longest line that is read from a child."""


async def start(
    arguments: Sequence[str],
    environment: dict[str, str],
    *,
    what: str,
    stdin: int = asyncio.subprocess.DEVNULL,
    stderr: int = asyncio.subprocess.STDOUT,
    keep: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start this Python, with its output in a pipe; it inherits the descriptors in `keep`.

    Raises:
        BootstrapError: there is no Python to start; `what` says what it was for.
    """
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,
            limit=LINE_LIMIT_BYTES,
            pass_fds=() if sys.platform == "win32" else tuple(keep),
        )
    except OSError as error:
        raise BootstrapError(
            f"Python ({sys.executable!r}) cannot be started to {what}: {error.strerror}",
            "Run the server with a complete Python",
        ) from error


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs, with its own children, and wait for its end."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-status}" if status < 0 else f"failed with status {status}"
