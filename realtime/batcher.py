"""Many sessions, one thread that owns an engine: jobs gather while it is busy and run as a batch.

An idle worker starts at once; work accumulates only while it runs, so nobody waits for a window to
fill. Whose job is next is the fair queue's answer. A job whose waiter is gone is dropped before it
costs anything. An engine's error reaches every waiter of its batch, a full queue refuses with
`Saturated`, and a worker thread that dies takes its batch's waiters with it and is replaced: nobody
waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from realtime.errors import Saturated, StageError
from realtime.fair_queue import FairQueue
from realtime.metrics import Metrics

Job = TypeVar("Job")
Result = TypeVar("Result")

log = logging.getLogger("banter.batcher")


@dataclass
class _Ticket(Generic[Job, Result]):
    job: Job
    owner: Hashable
    waiter: asyncio.Future[Result]
    since: float


class Batcher(Generic[Job, Result]):
    """A bounded queue, one thread, and an engine's `run(batch) -> results`.

    A batch holds one job of an owner at most: a caller with a backlog lengthens nobody's batch.

    `run` returns one result a job, in order; an exception in a result's place goes to that job's
    waiter alone. `cost` says what a job weighs against `max_cost` (for audio: seconds).
    """

    def __init__(
        self,
        stage: str,
        run: Callable[[Sequence[Job]], Sequence[Result | BaseException]],
        *,
        max_batch: int,
        max_cost: float,
        cost: Callable[[Job], float] = lambda job: 1.0,
        metrics: Metrics | None = None,
    ) -> None:
        self.stage = stage
        self.max_batch = max_batch
        self._run = run
        self._cost = cost
        self._metrics = metrics or Metrics()
        self._queue: FairQueue[_Ticket[Job, Result]] = FairQueue(max_cost)
        self._wake = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """True while the worker thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Jobs in the queue, without the batch that runs."""
        return len(self._queue)

    def start(self) -> None:
        """Start the worker; results are delivered on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"banter-{self.stage}", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop after the batch that runs; those still waiting get a `StageError`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread:
            await asyncio.to_thread(self._thread.join)
        error = StageError("the server is going away", code="shutting_down")
        while (ticket := self._queue.pop()) is not None:
            _settle([(ticket, error)])

    async def submit(self, job: Job, *, owner: Hashable, rank: int = 0) -> Result:
        """Wait for this job's result. Cancelling the wait drops the job if it has not begun.

        Raises:
            Saturated: the queue is full.
            Exception: what the engine raised for it.
        """
        if self._closing or self._loop is None:
            raise StageError("the server is going away", code="shutting_down")
        waiter: asyncio.Future[Result] = self._loop.create_future()
        ticket = _Ticket(job, owner, waiter, time.perf_counter())
        with self._wake:
            if not self._queue.push(ticket, owner=owner, cost=self._cost(job), rank=rank):
                self._metrics.count(f"{self.stage}.refused")
                raise Saturated(
                    self.stage, f"too much is waiting for {self.stage}; try again later"
                )
            self._wake.notify()
        return await waiter

    def _work(self) -> None:
        batch: list[_Ticket[Job, Result]] = []
        try:
            while (batch := self._next_batch()) or not self._closing:
                if batch:
                    self._deliver(batch, self._results(batch))
        except BaseException:  # the thread is lost; its waiters and the queue must not be
            log.exception("the %s worker died and is replaced", self.stage)
            self._metrics.count(f"{self.stage}.worker_died")
            self._deliver(batch, [StageError(f"the {self.stage} worker died")] * len(batch))
            if self._loop and not self._closing:
                self._loop.call_soon_threadsafe(self.start)

    def _next_batch(self) -> list[_Ticket[Job, Result]]:
        with self._wake:
            while not len(self._queue) and not self._closing:
                self._wake.wait()
            batch: list[_Ticket[Job, Result]] = []
            while not self._closing and len(batch) < self.max_batch:
                ticket = self._queue.pop(without={t.owner for t in batch})
                if ticket is None:
                    break
                if not ticket.waiter.cancelled():
                    batch.append(ticket)
            return batch

    def _results(self, batch: list[_Ticket[Job, Result]]) -> Sequence[Result | BaseException]:
        begun = time.perf_counter()
        for ticket in batch:
            self._metrics.observe(f"{self.stage}.wait_ms", (begun - ticket.since) * 1e3)
        try:
            results = self._run([ticket.job for ticket in batch])
        except Exception as error:
            log.exception("%s failed on a batch of %d", self.stage, len(batch))
            results = [error] * len(batch)
        self._metrics.observe(f"{self.stage}.run_ms", (time.perf_counter() - begun) * 1e3)
        self._metrics.observe(f"{self.stage}.batch", len(batch))
        return results

    def _deliver(
        self, batch: list[_Ticket[Job, Result]], results: Sequence[Result | BaseException]
    ) -> None:
        pairs = list(zip(batch, results, strict=True))
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, pairs)


def _settle(pairs: Sequence[tuple[_Ticket[Job, Result], Result | BaseException]]) -> None:
    for ticket, result in pairs:
        if ticket.waiter.done():
            continue
        if isinstance(result, BaseException):
            ticket.waiter.set_exception(result)
        else:
            ticket.waiter.set_result(result)
