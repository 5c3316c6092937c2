"""The processor time of a process and of those that it started, as Linux counts it."""

from __future__ import annotations

import os
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
