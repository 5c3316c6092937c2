"""Memory in and out of containers, files that may be open, and the Python that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.doctor import machine
from realtime.doctor.finding import Level

MIB = 1 << 20


def plant(root: Path, **files: str) -> Path:
    for name, text in {"proc/meminfo": meminfo(16_000, 9_000), **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def meminfo(total_mib: int, available_mib: int) -> str:
    return (
        f"MemTotal:       {total_mib << 10} kB\nMemFree:         1000 kB\n"
        f"MemAvailable:   {available_mib << 10} kB\nHugePages_Total:       0\n"
    )


def test_the_memory_of_a_machine(tmp_path: Path) -> None:
    assert machine.read_memory(plant(tmp_path)) == (16_000, 9_000)


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert machine.read_memory(tmp_path) is None
    assert machine.memory(None, 800).level is Level.OK


def test_a_container_has_what_its_group_leaves_it(tmp_path: Path) -> None:
    """Version 2: the limit stands above the process's own group; the cache can be taken back."""
    files = {
        "proc/self/cgroup": "0::/box/inner\n",
        "sys/fs/cgroup/box/inner/memory.max": "max\n",
        "sys/fs/cgroup/box/memory.max": f"{2_000 * MIB}\n",
        "sys/fs/cgroup/box/memory.current": f"{1_500 * MIB}\n",
        "sys/fs/cgroup/box/memory.stat": f"anon 5\ninactive_file {700 * MIB}\n",
    }
    assert machine.read_memory(plant(tmp_path, **files)) == (2_000, 1_200)


def test_an_older_container(tmp_path: Path) -> None:
    """Version 1, mounted so that the path in the table does not exist here."""
    files = {
        "proc/self/cgroup": "9:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{1_000 * MIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{400 * MIB}\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    }
    assert machine.read_memory(plant(tmp_path, **files)) == (1_000, 600)


@pytest.mark.parametrize(
    ("found", "level"),
    [((16_000, 9_000), "ok"), ((16_000, 500), "warning"), ((512, 500), "error")],
)
def test_memory_against_what_is_needed(found: tuple[int, int], level: str) -> None:
    finding = machine.memory(found, 800)
    assert finding.level == level
    assert "about 800 needed" in finding.seen


@pytest.mark.parametrize(
    ("limits", "sessions", "level", "remedy"),
    [
        (None, 100, "ok", ""),
        ((1_024, 1_024), None, "ok", ""),
        ((1_024, 1_024), 400, "ok", ""),
        ((1_024, 524_288), 1_000, "warning", "ulimit -n 2064"),
        ((1_024, 4_096), 10_000, "warning", "nofile=20064"),
        ((64, 64), None, "warning", "nofile=80"),
    ],
)
def test_open_files_against_callers(
    limits: tuple[int, int] | None, sessions: int | None, level: str, remedy: str
) -> None:
    finding = machine.descriptors(limits, sessions)
    assert finding.level == level
    assert remedy in finding.remedy


def test_the_limits_of_this_process_are_read() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert machine.descriptor_limits() in ((soft, hard), None)


def test_a_python_that_nobody_has_tried() -> None:
    assert machine.python((3, 11), "3.11.7").level is Level.OK
    assert machine.python((3, 99), "3.99.0").level is Level.WARNING
