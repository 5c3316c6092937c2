"""What a process holds, counted by name: tasks of the loop, threads, open files."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SETTLED_S = 5.0
"""What is closing has this long to be closed."""

LOOKS = 5
"""As often as nothing has changed, nothing is closing any more."""


@dataclass(frozen=True)
class Held:
    """Equal to another where nothing was left over and nothing is missing."""

    tasks: Counter[str]
    threads: Counter[str]
    files: Counter[str]


def held() -> Held:
    """What is held now."""
    return Held(
        tasks=Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks()),
        threads=Counter(_without_numbers(thread.name) for thread in threading.enumerate()),
        files=Counter(_files()),
    )


async def at_rest() -> Held:
    """What is held when nothing is being opened or closed."""
    seen = [held()]
    for _ in range(int(SETTLED_S / 0.005)):
        await asyncio.sleep(0.005)
        seen = [*seen[1 - LOOKS :], held()]
        if len(seen) == LOOKS and all(each == seen[0] for each in seen):
            return seen[0]
    raise AssertionError("it does not come to rest")


async def settled(before: Held) -> Held:
    """What is held once that is what was held before; else, what is held in the end."""
    for _ in range(int(SETTLED_S / 0.005)):
        if held() == before:
            break
        await asyncio.sleep(0.005)
    return held()


def _files() -> list[str]:
    """What each descriptor leads to; where the system does not say, that it is one."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return ["file"] * len(os.listdir("/dev/fd"))
    found = []
    for link in folder.iterdir():
        try:
            found.append(_without_numbers(os.readlink(link)))
        except FileNotFoundError:
            continue  # the one that lists the folder
    return found


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "N", name)
