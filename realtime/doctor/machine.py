"""The machine itself: Python, memory, and how many files a process may have open."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from realtime.doctor.finding import Finding, error, ok, warning

NEWEST_TESTED = (3, 13)

DESCRIPTORS_AT_REST = 64
"""The engines, the log, the listener; 21 were seen."""

DESCRIPTORS_PER_SESSION = 2
"""Its socket, and the connection that its reply comes through."""

FEW_SESSIONS = 8


def python(version: tuple[int, int], title: str) -> Finding:
    """Whether it is one of those that Banter is tested with; an older one does not get here."""
    if version > NEWEST_TESTED:
        newest = ".".join(map(str, NEWEST_TESTED))
        return warning("python", f"{title}: newer than what is tested", f"use Python {newest}")
    return ok("python", title)


def read_memory(root: Path = Path("/")) -> tuple[int, int] | None:
    """(all, available) in MiB, of the machine or of the control group that bounds this process,
    whichever has less; None where the system does not say."""
    found = _machine_memory(root)
    if found is None:
        return None
    for folder in _groups(root):
        limit, used = _group_memory(folder)
        if limit is not None:
            found = min(found[0], limit), min(found[1], max(0, limit - used))
    return found[0] >> 20, found[1] >> 20


def _machine_memory(root: Path) -> tuple[int, int] | None:
    words = [line.split() for line in _text(root / "proc/meminfo").splitlines()]
    rows = {row[0]: int(row[1]) << 10 for row in words if len(row) > 1}
    if "MemTotal:" not in rows or "MemAvailable:" not in rows:
        return None
    return rows["MemTotal:"], rows["MemAvailable:"]


def _groups(root: Path) -> list[Path]:
    """The memory control groups of this process, its own and those above: each may have a limit."""
    folders = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        own = top / path.lstrip("/")
        folders += [own, *(folder for folder in own.parents if folder.is_relative_to(top))]
    return folders


def _group_memory(folder: Path) -> tuple[int | None, int]:
    """(limit or None, what is used and cannot be taken back) in bytes; both versions of cgroups."""
    limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
    if not limit.strip().isdigit():  # not there, or `max`
        return None, 0
    stat = dict(line.split(None, 1) for line in _text(folder / "memory.stat").splitlines())
    cached = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
    return int(limit), max(0, int(used or 0) - cached)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def memory(found: tuple[int, int] | None, needed_mib: int) -> Finding:
    """`found` as `read_memory` returns it."""
    subject = "memory"
    if found is None:
        return ok(subject, f"this system does not say; about {needed_mib} MiB are needed")
    total, available = found
    seen = f"{available:,} of {total:,} MiB available, about {needed_mib:,} needed"
    if total < needed_mib:
        return error(
            subject, seen, "use a machine, or give the container a limit, with more memory"
        )
    if available < needed_mib:
        return warning(subject, seen, "end what else runs here, or the server may be killed")
    return ok(subject, seen)


def descriptor_limits() -> tuple[int, int] | None:
    """(soft, hard) limit of open files of this process; None where there is none, as on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return soft, sys.maxsize if hard == resource.RLIM_INFINITY else hard


def descriptors(limits: tuple[int, int] | None, sessions: int | None) -> Finding:
    """Whether the limit lets in as many callers as the settings do; None: they set no bound."""
    subject = "open files"
    if limits is None:
        return ok(subject, "this system sets no limit")
    soft, hard = limits
    room = max(0, soft - DESCRIPTORS_AT_REST) // DESCRIPTORS_PER_SESSION
    wanted = sessions or FEW_SESSIONS
    allowed = "" if sessions is None else f"; the settings let in {sessions:,}"
    seen = f"{soft:,} allowed, room for about {room:,} callers{allowed}"
    if room >= wanted:
        return ok(subject, seen)
    needed = DESCRIPTORS_AT_REST + DESCRIPTORS_PER_SESSION * wanted
    if needed <= hard:
        return warning(subject, seen, f"ulimit -n {needed} before the start")
    remedy = f"raise the hard limit: docker run --ulimit nofile={needed}, or LimitNOFILE={needed}"
    return warning(subject, seen, remedy)


def look(needed_mib: int, sessions: int | None) -> Sequence[Finding]:
    """All of this group; reads a few small files."""
    title = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        python(sys.version_info[:2], title),
        memory(read_memory(), needed_mib),
        descriptors(descriptor_limits(), sessions),
    ]
