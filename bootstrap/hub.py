"""Fetch repositories of the hub, from the side of the server: a child process does it.

The hub's client blocks, keeps threads that nothing can stop, and reads its settings when it is
imported. In a child it can be killed at any moment, and the server never imports it. The child
(bootstrap.fetch) inherits the volume's lock, so that nobody writes beside it even if it outlives
us for a moment; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bootstrap import child, libraries
from bootstrap.cache import Snapshot, snapshot_from_json
from bootstrap.errors import BootstrapError
from bootstrap.order import Item, Order
from bootstrap.progress import Progress
from bootstrap.state import DOWNLOADING, State

ATTEMPTS = 5
DELAY_S = 1.0
WORKERS = 4
TAIL_BYTES = 32_768
"""Of what a child that failed without a word left on its standard error."""

log = logging.getLogger("banter.bootstrap")


async def fetch(
    items: Sequence[Item], volume: Path, state: State, *, reserve_bytes: int, lock: int
) -> list[Snapshot]:
    """Fetch what the items lack; returns their snapshots, verified and synced, but not marked.

    `lock` is the descriptor that holds the volume's lock. Cancelling kills the child and waits for
    its end; what has arrived stays, and the next call goes on from there.

    Raises:
        BootstrapError: it cannot be done.
    """
    order = Order(volume, tuple(items), reserve_bytes, ATTEMPTS, DELAY_S, WORKERS)
    process = await child.start(
        ["-m", "bootstrap.fetch"],
        _environment(volume),
        what="fetch models",
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        keep=[lock],
    )
    messages = Messages(", ".join(item.source.title for item in items), state)
    try:
        async with asyncio.TaskGroup() as tasks:
            tail = tasks.create_task(_tail(process))
            await _send(process, order)
            await messages.follow(process)
        status = await process.wait()
    finally:
        await child.end(process)
        messages.close()
    log.debug("bootstrap.fetch said:\n%s", tail.result())
    return messages.result(status, tail.result())


def _environment(volume: Path) -> dict[str, str]:
    """Ours; with the volume's folders, this very package, and no words but those we ask for."""
    ours = str(Path(__file__).parents[1])
    paths = [ours, *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {
        **os.environ,
        **libraries.folders(volume),
        **quiet,
        "PYTHONPATH": os.pathsep.join(paths),
    }


async def _send(process: asyncio.subprocess.Process, order: Order) -> None:
    """Give the child its order. A child that is gone already says why on its standard error."""
    assert process.stdin is not None
    with suppress(ConnectionError):
        process.stdin.write(order.as_line().encode())
        await process.stdin.drain()


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what it writes to its standard error."""
    assert process.stderr is not None
    tail = b""
    while piece := await process.stderr.read(TAIL_BYTES):
        tail = (tail + piece)[-TAIL_BYTES:]
    return tail.decode(errors="replace")


class Messages:
    """What the child tells, one object a line: `plan`, `progress`, `log`, `done` or `failed`."""

    def __init__(self, names: str, state: State) -> None:
        self._names = names
        self._state = state
        self._progress: Progress | None = None
        self._last: dict[str, Any] = {}

    async def follow(self, process: asyncio.subprocess.Process) -> None:
        """Until the child closes its output."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._take(json.loads(line))

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.clear()

    def result(self, status: int, tail: str) -> list[Snapshot]:
        """What was fetched.

        Raises:
            BootstrapError: the child failed, with or without a word.
        """
        if self._last.get("is") == "done":
            return [snapshot_from_json(each) for each in self._last["snapshots"]]
        if self._last.get("is") == "failed":
            raise BootstrapError(self._last["cause"], self._last["remedy"])
        words = tail.strip().splitlines()[-1:] or ["it said nothing"]
        raise BootstrapError(
            f"Cannot fetch {self._names}: the fetching process {child.ending(status)}: {words[0]}",
            "Start again, it goes on from there; if it stays, report this",
        )

    def _take(self, message: dict[str, Any]) -> None:
        match message["is"]:
            case "plan":
                self._begin(message["total_bytes"], message["done_bytes"])
            case "progress":
                if self._progress is not None:
                    self._progress.update(message["done_bytes"])
            case "log":
                self.close()
                log.warning("%s", message["text"])
            case _:
                self._last = message

    def _begin(self, total_bytes: int, done_bytes: int) -> None:
        self._progress = Progress(
            self._names, total_bytes, self._state, DOWNLOADING, begun_bytes=done_bytes
        )
        log.info("%s: %s", self._names, self._progress.words(done_bytes))
