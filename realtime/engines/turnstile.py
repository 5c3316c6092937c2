"""The way in to the language model: `Slots`, with futures for those who wait, and a clock.

A caller is admitted to a place in line, waits for its turn to read, and may be stopped within it;
then it waits again. What reads and says nothing for `silent_s` is overtaken: it may be stuck.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from realtime.errors import Saturated
from realtime.metrics import Metrics
from realtime.slots import REPLY, Slots


class GaveWay(Exception):
    """Others read now. Wait for the next turn, and read on."""


class Turnstile:
    """Used on one event loop; `slots` says who may do what."""

    def __init__(self, slots: Slots[Place], *, silent_s: float, metrics: Metrics) -> None:
        self.slots, self.silent_s, self.metrics = slots, silent_s, metrics
        metrics.gauges["reply.depth"] = lambda: slots.waiting

    @asynccontextmanager
    async def admit(self, *, owner: Hashable, rank: int = REPLY) -> AsyncIterator[Place]:
        """A place in line; whatever it holds is free again at the end of the context.

        Raises:
            Saturated: too many wait already.
        """
        place = Place(self)
        if not self.slots.ask(place, owner=owner, rank=rank):
            self.metrics.count("reply.refused")
            raise Saturated("reply", "too many replies are waiting; try again later")
        try:
            self.update()
            yield place
        finally:
            place.leave()

    def update(self) -> None:
        """Stop those who are in the way; let those begin whose turn it is."""
        for place in self.slots.in_the_way():
            place.stop()
        while reader := self.slots.begin():
            reader.begin()


class Place:
    """One caller's place: in line, reading, or writing."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile
        self._silence: asyncio.TimerHandle | None = None
        self._scope: asyncio.Timeout | None = None
        self._stopped = False
        self._stand()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Wait for the turn; the context is the reading. What follows it is the writing.

        Raises:
            GaveWay: others wait; what was read until now need not be read again.
        """
        await self._begins
        self._turnstile.metrics.observe("reply.wait_ms", (time.perf_counter() - self._since) * 1e3)
        try:
            async with asyncio.timeout(0 if self._stopped else None) as self._scope:
                self._listen()
                yield
        except TimeoutError:
            if not (self._scope and self._scope.expired()):
                raise
            self._turnstile.metrics.count("reply.gave_way")
            self._turnstile.slots.give_way(self)
            self._stand()
            self._turnstile.update()
            raise GaveWay from None
        finally:
            self._scope = None
            if self._silence:
                self._silence.cancel()
        self._turnstile.slots.wrote(self)
        self._listen()
        self._turnstile.update()

    def advanced(self, *, left: bool) -> None:
        """Some of the prompt was read; `left` if it is worth while to stop here."""
        self._listen()
        if left:
            self._turnstile.slots.has_read(self)
            self._turnstile.update()

    def well_begun(self) -> None:
        """So much is written that nobody waits for it any more."""
        self._turnstile.slots.well_begun(self)
        self._turnstile.update()

    def leave(self) -> None:
        """Give up whatever it holds."""
        if self._silence:
            self._silence.cancel()
        self._turnstile.slots.leave(self)
        self._turnstile.update()

    def begin(self) -> None:
        """Told by the turnstile: it may read."""
        if self._begins.cancelled():  # its waiter is gone, and leaves in this turn of the loop
            self._turnstile.slots.leave(self)
        else:
            self._begins.set_result(None)

    def stop(self) -> None:
        """Told by the turnstile: it must not read on."""
        if not self._stopped:
            self._stopped = True
            if self._scope:
                self._scope.reschedule(asyncio.get_running_loop().time())

    def _stand(self) -> None:
        self._begins: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._since = time.perf_counter()
        self._stopped = False

    def _listen(self) -> None:
        """Notice the silence of something stuck, from now on."""
        if self._silence:
            self._silence.cancel()
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(self._turnstile.silent_s, self.well_begun)
