"""An engine that can be begun anew beside its callers: a fresh model in a fresh thread.

    abandon     on the loop: the threads that do not work are given up; their batches fail, now
    renew       a fresh model is loaded and warmed on a thread of its own, then the engine's threads
                start, and what waited is served

The old thread cannot be stopped while it is inside a library. It keeps its model until it comes
back; then it ends, and what it made is dropped.
"""

from __future__ import annotations

from typing import Any

from realtime.aside import in_thread
from realtime.batcher import Batcher


class Renewable:
    """For an engine whose threads are those of its `_batchers`, and whose `load`, called again,
    puts a fresh model in the old one's place and leaves the old one as it is."""

    def _batchers(self) -> tuple[Batcher[Any, Any], ...]:
        raise NotImplementedError

    def load(self) -> None:
        raise NotImplementedError

    def warm(self) -> None:
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """True while all its threads run and none is stuck."""
        return all(batcher.alive for batcher in self._batchers())

    @property
    def trouble(self) -> str:
        """Why it has to be begun anew; empty while it works."""
        return next((b.trouble for b in self._batchers() if b.trouble), "")

    @property
    def lost_device(self) -> str:
        """What was said when the GPU was lost to this process; empty while it was not."""
        return next((b.lost_device for b in self._batchers() if b.lost_device), "")

    @property
    def abandoned(self) -> int:
        """Threads that were given up and have not come back."""
        return sum(batcher.abandoned for batcher in self._batchers())

    def supervise(self) -> None:
        """Somebody looks for trouble from now on, and sees to it."""
        for batcher in self._batchers():
            batcher.supervised = True

    def start(self) -> None:
        """Start the threads that do not run; results are delivered on the running event loop."""
        for batcher in self._batchers():
            if not (batcher.alive or batcher.trouble):
                batcher.start()

    async def close(self) -> None:
        """Stop after what runs."""
        for batcher in self._batchers():
            await batcher.close()

    def abandon(self, why: str) -> None:
        """Give up the threads that do not work."""
        for batcher in self._batchers():
            if batcher.trouble:
                batcher.retire(why)

    async def renew(self) -> None:
        """A fresh model, and threads where there are none.

        Raises:
            Exception: what `load` or `warm` raised; it may be tried again.
        """
        await in_thread(self._load_and_warm)
        self.start()

    def _load_and_warm(self) -> None:
        self.load()
        self.warm()
