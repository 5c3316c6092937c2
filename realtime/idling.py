"""Nobody says anything: some time after the reply was played, the assistant speaks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.partials import Own
from realtime.response import Response


class Idling:
    """`start` when a response has ended, `stop` when anything else happens; `over` is called with
    the time in which nothing did."""

    def __init__(self, *, own: Own, over: Callable[[int], None]) -> None:
        self._own, self._over = own, over
        self._wait: asyncio.Task[None] | None = None

    def start(self, response: Response, idle_ms: int) -> None:
        """Wait, from the end of a response's playback on."""
        self.stop()
        self._wait = self._own(self._wait_out(response, idle_ms))

    def stop(self) -> None:
        """Wait no more."""
        if self._wait and self._wait is not asyncio.current_task():
            self._wait.cancel()

    async def _wait_out(self, response: Response, idle_ms: int) -> None:
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(response.playout.ahead_s(now_s) + idle_ms / 1000)
        self._over(idle_ms)
