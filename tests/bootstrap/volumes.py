"""What several stories need: to compare volumes, to run the command, to give it an odd disk."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fake_index import WAIT_S
from small_models import COMMITS, EAR, FILES, VOICE, VOICE_FILES

Snapshot = dict[str, tuple[int, ...]]


def snapshot(volume: Path) -> Snapshot:
    """Everything about everything on a volume that a write would change."""
    found = {}
    for path in [volume, *sorted(volume.rglob("*"))]:
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a child."""
    out, err = child.communicate(timeout=WAIT_S)
    return child.returncode, out, err


def read_only(own_mounts: list[str], volume: Path, arguments: list[str]) -> list[str]:
    """The command, run where the volume is mounted read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return [*own_mounts, "sh", "-c", script, str(volume), *arguments]


def small(own_mounts: list[str], volume: Path, size: str, arguments: list[str]) -> list[str]:
    """The command, run where the volume is a small disk."""
    volume.mkdir()
    script = f'mount -t tmpfs -o size={size} none "$0" && exec "$@"'
    return [*own_mounts, "sh", "-c", script, str(volume), *arguments]


def repository(volume: Path, name: str) -> Path:
    """A repository's folder in the hub's cache."""
    return volume / "models/huggingface/hub" / f"models--{name.replace('/', '--')}"


def root(volume: Path, name: str) -> Path:
    """The folder that the engine opens."""
    return repository(volume, name) / "snapshots" / COMMITS[name]


def fetched_models(volume: Path) -> dict[str, Path]:
    """Role -> path of `fake_hub.hub_plan`."""
    return {"whisper": root(volume, EAR), "voice": root(volume, VOICE)}


def told(volume: Path) -> str:
    """What the command prints for them."""
    return "".join(f"{role}: {path}\n" for role, path in fetched_models(volume).items())


def broken(volume: Path) -> list[str]:
    """Files that an engine could open and that are not what they must be."""
    wanted = {
        root(volume, EAR): ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"),
        root(volume, VOICE): VOICE_FILES,
    }
    names = {root(volume, EAR): EAR, root(volume, VOICE): VOICE}
    return [
        f"{folder / path}"
        for folder, paths in wanted.items()
        for path in paths
        if (folder / path).exists() and (folder / path).read_bytes() != FILES[names[folder]][path]
    ]


def left_over(volume: Path) -> list[str]:
    """What no finished run leaves lying about."""
    patterns = ("*.incomplete", "*.xet", "*.draft")
    return [str(path) for pattern in patterns for path in volume.rglob(pattern)]


def arrived_bytes(volume: Path) -> int:
    """What lies there of files that are not whole yet."""
    return sum(path.stat().st_size for path in volume.rglob("*.incomplete"))


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that a child process does."""
    give_up_at = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)
