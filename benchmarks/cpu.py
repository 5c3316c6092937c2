"""The processor time of a process and of those that it started, and of all others, by Linux."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PARENT, TIMES = 1, slice(11, 15)
"""Fields of /proc/PID/stat after the name: the parent; user and system time, own and of children
that have ended."""


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold spaces and brackets itself."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it and live."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it ended while we looked
            children.setdefault(int(stat_fields(int(entry.name))[PARENT]), []).append(
                int(entry.name)
            )
    found = [pid]
    while found:
        yield (each := found.pop())
        found += children.get(each, [])


def cpu_seconds(pid: int | None) -> float | None:
    """Processor seconds so far; None for no process, one that has ended, or a system without
    /proc.
    """
    if pid is None or not PROC.is_dir():
        return None
    ticks = 0
    for each in family(pid):
        try:
            ticks += sum(map(int, stat_fields(each)[TIMES]))
        except (OSError, IndexError):
            if each == pid:
                return None
    return ticks / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float | None:
    """Processor seconds that all processes of the machine have used since its start, all cores
    together; None where the system does not tell."""
    try:
        ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, *others = (int(tick) for tick in ticks)
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


class Others:
    """How much of the machine processes take that are not this one or its children."""

    def __init__(self) -> None:
        self._begun_s = time.perf_counter()
        self._before = self._taken_s()

    @property
    def cores(self) -> float | None:
        """On average since it was made; None where the system does not tell."""
        taken_s = self._taken_s()
        if taken_s is None or self._before is None:
            return None
        passed_s = time.perf_counter() - self._begun_s
        return round(max(0.0, (taken_s - self._before) / passed_s), 2)

    def _taken_s(self) -> float | None:
        busy_s, own = busy_seconds(), os.times()
        return None if busy_s is None else busy_s - sum(own[:4])
