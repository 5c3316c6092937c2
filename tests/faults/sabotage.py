"""What goes wrong in an engine's thread, on the job of one caller and on no other.

It stands between a batcher and its engine. The engine stays the real one: it is only kept from
doing this one job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from realtime.batcher import Batcher
from realtime.batching import FINAL
from tests.street import until
from tests.weights import PATIENCE_S

Act = Callable[["Sabotage"], None]
"""Called on the engine's thread, in place of the engine; may raise."""


class Sabotage:
    """Armed with `strike`; `mend` ends it."""

    def __init__(self, batcher: Batcher[Any, Any]) -> None:
        self._submit, self._run, self._queue = batcher.submit, batcher._run, batcher._queue
        self._max_batch = self._queue.max_batch
        self._victim: Hashable = None
        self._act: Act | None = None
        self._alone = False
        self._jobs: list[Any] = []
        self.struck = threading.Event()
        self.release = threading.Event()
        batcher.submit = self.submit  # type: ignore[method-assign]
        batcher._run = self.run

    def strike(self, victim: Hashable, act: Act, *, alone: bool) -> None:
        """From now on it happens to the victim's jobs; `alone`: once, in a batch of its own."""
        self.struck.clear()
        self.release.clear()
        self._victim, self._act, self._alone = victim, act, alone
        if alone:
            self._queue.max_batch = 1

    def mend(self) -> None:
        self._victim = self._act = None
        self._queue.max_batch = self._max_batch
        self._jobs.clear()
        self.release.set()

    async def submit(self, job: Any, *, owner: Hashable, rank: int = FINAL) -> Any:
        if self._act and owner == self._victim and rank == FINAL:
            self._jobs.append(job)
        return await self._submit(job, owner=owner, rank=rank)

    def run(self, batch: Sequence[Any]) -> Any:
        act = self._act
        hit = any(job is each for job in batch for each in self._jobs)
        if act and hit and not (self._alone and len(batch) > 1):  # it may have been put together
            if self._alone:
                self._act = None
            self.struck.set()
            act(self)
        return self._run(batch)


def slow(sabotage: Sabotage) -> None:
    """Some times as long as usual, and not so long that it is taken to be lost."""
    time.sleep(0.3)


def stuck(sabotage: Sabotage) -> None:
    """It does not come back before the test is over."""
    assert sabotage.release.wait(PATIENCE_S)


def raising(error: BaseException) -> Act:
    def act(sabotage: Sabotage) -> None:
        raise error

    return act


async def struck(sabotage: Sabotage) -> None:
    """Until it has happened."""
    await until(sabotage.struck.is_set)
