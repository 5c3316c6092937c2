"""`bootstrap.json` on a volume: how far a run is, for a probe that cannot reach the port yet.

The holder of the volume's lock writes it, and only when something has changed, so `changed_at` is
the time of the last progress. A run that finds the volume complete writes nothing, unless the file
still tells of a run that failed or was killed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bootstrap import disk
from bootstrap import volume as layout
from bootstrap.errors import BootstrapError

STATE_FORMAT = 1
CHECKING, DOWNLOADING = "checking", "downloading"
COMPLETE, FAILED, STOPPED = "complete", "failed", "stopped"


class State:
    """The file of one run. It only informs: what keeps it from being written does not matter."""

    def __init__(self, volume: Path, profile: str, clock: Callable[[], float] = time.time) -> None:
        self._path = layout.state_path(volume)
        self._profile = profile
        self._clock = clock
        self._said: dict[str, Any] = {}

    def say(
        self,
        state: str,
        *,
        what: str = "",
        done_bytes: int = 0,
        total_bytes: int = 0,
        cause: str = "",
        remedy: str = "",
    ) -> None:
        """Write it, unless it says the same already."""
        text = {
            "format": STATE_FORMAT,
            "state": state,
            "profile": self._profile,
            "what": what,
            "done_bytes": done_bytes,
            "total_bytes": total_bytes,
            "cause": cause,
            "remedy": remedy,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        if text == self._said:
            return
        self._said = text
        whole = json.dumps({**text, "changed_at": round(self._clock(), 3)}, indent=2) + "\n"
        with suppress(OSError):
            disk.write_atomically(self._path, whole)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say how the body ended."""
        try:
            yield
        except BootstrapError as error:
            self.say(FAILED, cause=error.cause, remedy=error.remedy)
            raise
        except BaseException:
            self.say(STOPPED)
            raise
        self.say(COMPLETE)


def correct(volume: Path, profile: str) -> None:
    """The volume is complete: an earlier run that left another word and is over is outdated."""
    try:
        said = json.loads(layout.state_path(volume).read_bytes())
        state, host, pid = said["state"], said["host"], int(said["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    killed = state in (CHECKING, DOWNLOADING) and host == socket.gethostname() and not _lives(pid)
    if state in (FAILED, STOPPED) or killed:
        State(volume, profile).say(COMPLETE)


def _lives(pid: int) -> bool:
    """Whether there is such a process, whoever's it is."""
    if sys.platform == "win32":
        return True  # asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
