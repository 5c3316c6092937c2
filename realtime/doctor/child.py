"""Runs a program, or probe.py, in a process of its own: a crash and a hang there are facts here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from realtime.aside import in_thread

PROBE = Path(__file__).with_name("probe.py")
PROBE_LIMIT_S = 45.0
KILL_S = 1.0
"""How long a killed process is waited for: one that is stuck in a driver never goes."""


@dataclass(frozen=True)
class Ended:
    """How a program ended. `status` is None where it had to be killed, negative for a signal."""

    status: int | None
    output: str
    errors: str


@dataclass(frozen=True)
class Probed:
    """What a probe saw; or `trouble`, in words, where it did not get to say so."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""


async def probe(
    name: str,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    limit_s: float = PROBE_LIMIT_S,
) -> Probed:
    """Run the probe of that name. Secrets go in `variables`: others can see command lines."""
    # -P: the folder of the script, ours, must not hide other people's modules.
    command = [sys.executable, "-P", str(PROBE), name, *arguments]
    return read(await run(command, limit_s=limit_s, variables=variables), limit_s)


def read(ended: Ended, limit_s: float) -> Probed:
    """What a probe's output and end say."""
    said: list[dict[str, Any]] = [
        json.loads(line[1:]) for line in ended.output.split("\n") if line.startswith("\x1e")
    ]
    steps = [line["step"] for line in said if "step" in line]
    doing = f" while it was at {steps[-1]}" if steps else ""
    facts = next((line["facts"] for line in said if "facts" in line), None)
    if facts is not None:
        return Probed(facts)  # how it ended after that matters to nobody
    if ended.status is None:
        return Probed(trouble=f"no answer within {limit_s:g} s{doing}")
    if ended.status < 0:
        return Probed(trouble=f"it was killed by {signal_name(-ended.status)}{doing}")
    last = (ended.errors.strip().splitlines() or ["no reason given"])[-1]
    return Probed(trouble=f"it ended with status {ended.status}{doing}: {last}")


def signal_name(number: int) -> str:
    """`SIGSEGV` for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def run(
    command: Sequence[str], *, limit_s: float, variables: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end, or for `limit_s`. Cancelling kills it.

    In a thread: with asyncio's own child processes, an interruption while they start hangs the end
    of `asyncio.run` (Python 3.11).

    Raises:
        OSError: it cannot be started.
    """
    child = _Child()
    try:
        return await in_thread(partial(child.run, command, limit_s, variables or {}))
    finally:
        child.abandon()


class _Child:
    """A process that a thread waits for, and that the loop may end at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._abandoned = False

    def run(self, command: Sequence[str], limit_s: float, variables: Mapping[str, str]) -> Ended:
        """Blocks for `limit_s` and `KILL_S` at most."""
        with self._lock:
            if self._abandoned:
                return Ended(None, "", "")
            # Our own commands, without a shell.
            process = self._process = subprocess.Popen(  # nosec B603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, **variables},
            )
        try:
            output, errors = process.communicate(timeout=limit_s)
            return Ended(process.returncode, _text(output), _text(errors))
        except subprocess.TimeoutExpired:
            self.abandon()
        try:  # what it has said until now is worth having
            output, errors = process.communicate(timeout=KILL_S)
        except subprocess.TimeoutExpired as stuck:
            return Ended(None, _text(stuck.output), _text(stuck.stderr))
        return Ended(None, _text(output), _text(errors))

    def abandon(self) -> None:
        """Kill it and what it started, or keep it from starting."""
        with self._lock:
            self._abandoned = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)


def _text(said: bytes | None) -> str:
    return (said or b"").decode(errors="replace")
