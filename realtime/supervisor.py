"""Looks after the engines while the server serves: one that is lost is begun anew, in its place.

Every `TICK_S` each engine is asked whether it is in trouble. One that says so twice in a row (after
the whole process stood still, everything looks stuck once) is given up: what it worked on fails, a
fresh model is loaded in a fresh thread, and what waited is served by that. Sockets stay open. What
cannot be mended from within ends the process: a GPU that is lost to it, and an engine that
`Restarts` gives up; then the code says which, and whoever started the process starts another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from realtime.fault import device_lost
from realtime.metrics import Metrics
from realtime.restarts import Restarts

log = logging.getLogger("banter.supervisor")

TICK_S = 0.25
LOADED_WITHIN_S = 180.0
MOST_WAITS = 3
"""A fresh model that is not there after so long is waited for again, since its thread cannot be
stopped and must not have a second one beside it; after so many times it will not come."""

MOST_ABANDONED = 3
"""Threads or servers of one engine that were given up and did not come back: each keeps a model,
and a process that collects them runs out of memory."""

DEVICE_LOST = 70
ENGINE_LOST = 71
"""Exit codes of the process."""


class _NeverThere(Exception):
    """A load that does not end. Not a `TimeoutError`, which an engine may raise itself."""


class Restartable(Protocol):
    """What is asked of an engine: all on the event loop, none of it blocks."""

    @property
    def alive(self) -> bool: ...
    @property
    def trouble(self) -> str: ...
    @property
    def lost_device(self) -> str: ...
    @property
    def abandoned(self) -> int: ...
    def supervise(self) -> None: ...
    def abandon(self, why: str) -> None: ...
    async def renew(self) -> None: ...


@dataclass(frozen=True)
class Outage:
    """An engine that does not work now, by its stage, and why."""

    stage: str
    reason: str
    since_s: float

    def __str__(self) -> str:
        return f"{self.stage} is being restarted: {self.reason}"


@dataclass(frozen=True)
class Loss:
    """Why the process has to end, and with which exit code."""

    code: int
    reason: str


class Supervisor:
    """`changed` is told of the outages whenever one begins or ends; `lost` is called once."""

    def __init__(
        self,
        engines: Mapping[str, Restartable],
        metrics: Metrics,
        *,
        changed: Callable[[Mapping[str, Outage]], None],
        lost: Callable[[Loss], None],
        tick_s: float = TICK_S,
    ) -> None:
        self._engines, self._metrics, self._tick_s = engines, metrics, tick_s
        self._changed, self._tell_loss = changed, lost
        self.outages: dict[str, Outage] = {}
        self.restarted: dict[str, int] = dict.fromkeys(engines, 0)
        self.loss: Loss | None = None
        self._seen: set[str] = set()
        self._restarts = {stage: Restarts() for stage in engines}
        self._mending: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def down(self) -> frozenset[str]:
        """Stages that do not work now; all of a process that has to end."""
        return frozenset(self._engines if self.loss else self.outages)

    @property
    def abandoned(self) -> int:
        """Threads and servers that were given up and have not ended."""
        return sum(engine.abandoned for engine in self._engines.values())

    def start(self) -> None:
        """Look after the engines, which have been started, until `stop`."""
        for engine in self._engines.values():
            engine.supervise()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more; a restart under way is left."""
        tasks = [task for task in (self._watching, *self._mending.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def report(self) -> dict[str, Any]:
        """For `/status`: restarts so far, threads or servers that were given up and hold memory
        still, and what is down now."""
        return {
            "restarted": self.restarted,
            "abandoned": {stage: engine.abandoned for stage, engine in self._engines.items()},
            "down": {stage: outage.reason for stage, outage in self.outages.items()},
        }

    async def _watch(self) -> None:
        while self.loss is None:
            await asyncio.sleep(self._tick_s)
            for stage, engine in self._engines.items():
                try:
                    self._look(stage, engine)
                except Exception:  # who looks after the engines is looked after by nobody
                    log.exception("%s could not be looked after", stage)

    def _look(self, stage: str, engine: Restartable) -> None:
        if said := engine.lost_device:
            self._lose(Loss(DEVICE_LOST, f"{stage} has lost the GPU: {said}"))
            return
        if stage in self.outages:
            return
        trouble = engine.trouble
        if trouble and stage in self._seen:
            self._seen.discard(stage)
            self._begin(stage, engine, trouble)
        elif trouble:
            self._seen.add(stage)
        else:
            self._seen.discard(stage)

    def _begin(self, stage: str, engine: Restartable, reason: str) -> None:
        log.error("%s is lost and begun anew: %s", stage, reason)
        self._metrics.count(f"{stage}.restarts")
        self.outages[stage] = Outage(stage, reason, time.monotonic())
        self._changed(self.outages)
        engine.abandon(reason)
        task = asyncio.create_task(self._mend(stage, engine))
        self._mending[stage] = task
        task.add_done_callback(lambda _: self._mending.pop(stage, None))

    async def _mend(self, stage: str, engine: Restartable) -> None:
        """Restart until it works, or there is to be no more of it."""
        while True:
            if engine.abandoned >= MOST_ABANDONED:
                reason = f"{stage} was lost {engine.abandoned} times and did not come back"
                self._lose(Loss(ENGINE_LOST, f"{reason}: {self.outages[stage].reason}"))
                return
            pause_s = self._restarts[stage].pause_s(time.monotonic())
            if pause_s is None:
                reason = f"{stage} was lost again and again: {self.outages[stage].reason}"
                self._lose(Loss(ENGINE_LOST, reason))
                return
            await asyncio.sleep(pause_s)
            try:
                await _renewed(stage, engine)
            except _NeverThere as error:
                self._lose(Loss(ENGINE_LOST, str(error)))
                return
            except Exception as error:
                log.exception("%s could not be begun anew", stage)
                if device_lost(error):
                    reason = f"{stage} has lost the GPU: {type(error).__name__}: {error}"
                    self._lose(Loss(DEVICE_LOST, reason))
                    return
                continue
            outage = self.outages.pop(stage)
            self.restarted[stage] += 1
            log.warning("%s works again after %.1f s", stage, time.monotonic() - outage.since_s)
            self._changed(self.outages)
            return

    def _lose(self, loss: Loss) -> None:
        if self.loss is None:
            log.critical("the process has to end: %s", loss.reason)
            self.loss = loss
            self._tell_loss(loss)


async def _renewed(stage: str, engine: Restartable) -> None:
    """Begin an engine anew, once, however long that takes.

    Raises:
        _NeverThere: it is not there yet and will not come.
        Exception: it failed; it may be tried again.
    """
    loading = asyncio.create_task(engine.renew())
    try:
        for _ in range(MOST_WAITS):
            if (await asyncio.wait({loading}, timeout=LOADED_WITHIN_S))[0]:
                break
            log.error("%s is not there after another %g s", stage, LOADED_WITHIN_S)
        else:
            raise _NeverThere(f"{stage} is not there after {MOST_WAITS * LOADED_WITHIN_S:g} s")
    finally:
        loading.cancel()
        await asyncio.wait({loading})
    loading.result()
    if not (engine.alive or engine.trouble):
        raise RuntimeError(f"{stage} was begun anew and does not run")
