"""Many sessions, one thread that owns an engine: jobs gather while it is busy and run as a batch.

Which jobs run together is `batching.BatchQueue`'s answer; here are the thread, the clock and those
who wait. A job whose waiter is gone is taken out before it costs anything. An engine's error
reaches every waiter of its batch, a full queue refuses with `Saturated`, a worker thread that dies
takes its batch's waiters with it and is replaced, and one that does not come back is given up:
nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from realtime.batching import FILE, FINAL, BatchQueue
from realtime.errors import Saturated, StageError
from realtime.fair_queue import Waiting
from realtime.metrics import Metrics

Job = TypeVar("Job")
Result = TypeVar("Result")

log = logging.getLogger("banter.batcher")

STUCK_S = 60.0
"""An engine that works on one batch for longer than this is taken to be lost, and its stage says
so: a thread inside a library cannot be stopped."""

LIVE_S = 10.0
"""For so long after a job that somebody waited for, the engine is taken to be in live use."""

FILE_REST = 3.0
"""In live use, an engine that worked on files leaves them alone for so many times as long as that
took: whoever comes then finds it free, and the processor's cores too."""


@dataclass(eq=False)
class _Ticket(Generic[Job, Result]):
    job: Job
    owner: Hashable
    waiter: asyncio.Future[Result]
    since: float


class Batcher(Generic[Job, Result]):
    """A bounded queue, one thread, and an engine's `run(batch) -> results`.

    `run` returns one result a job, in order; an exception in a result's place goes to that job's
    waiter alone. `cost` says what a job weighs against `max_cost`, which bounds what waits (for
    audio: seconds); jobs of one batch share `key`; `weight` is what a job adds to the time of a
    run, which `max_batch_s` bounds.
    """

    def __init__(
        self,
        stage: str,
        run: Callable[[Sequence[Job]], Sequence[Result | BaseException]],
        *,
        max_batch: int,
        max_cost: float,
        cost: Callable[[Job], float] = lambda job: 1.0,
        key: Callable[[Job], Hashable] = lambda job: None,
        weight: Callable[[Job], float] = lambda job: 1.0,
        max_batch_s: float | None = None,
        stuck_s: float = STUCK_S,
        metrics: Metrics | None = None,
    ) -> None:
        self.stage = stage
        self._run, self._stuck_s = run, stuck_s
        self._cost, self._key, self._weight = cost, key, weight
        self._metrics = metrics or Metrics()
        self._queue: BatchQueue[_Ticket[Job, Result]] = BatchQueue(max_batch, max_cost, max_batch_s)
        self._wake = threading.Condition()
        self._closing = False
        self._begun: float | None = None
        self._running = FINAL
        self._live_at, self._files_at = float("-inf"), 0.0
        self.ran_s: defaultdict[int, float] = defaultdict(float)
        """Seconds that the engine worked so far, by rank."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """True while the worker thread runs and is not stuck in a batch."""
        return self._thread is not None and self._thread.is_alive() and not self._stuck

    @property
    def _stuck(self) -> bool:
        begun = self._begun
        return begun is not None and time.perf_counter() - begun > self._stuck_s

    @property
    def waiting(self) -> int:
        """Jobs in the queue, without the batch that runs."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """True while nothing runs and nothing waits: a job would start at once."""
        return self._begun is None and not len(self._queue)

    def free_for(self, rank: int) -> bool:
        """True while nothing of this rank or a more urgent one runs or waits."""
        most_urgent = self._queue.most_urgent
        waits = most_urgent is not None and most_urgent <= rank
        return not waits and (self._begun is None or self._running > rank)

    def predict_s(self, weight: float) -> float:
        """How long a run of this weight takes, by the last runs; 0 before the first."""
        return self._queue.pace.predict_s(weight)

    def promote(self, owner: Hashable) -> None:
        """The speculations of this owner that wait here are finals from now on."""
        with self._wake:
            self._queue.promote(owner)

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
        if self._thread and not self._stuck:
            await asyncio.to_thread(self._thread.join, self._stuck_s)
        error = StageError("the server is going away", code="shutting_down")
        while batch := self._queue.next_batch():
            _settle([(entry.job, error) for entry in batch])

    async def submit(self, job: Job, *, owner: Hashable, rank: int = FINAL) -> Result:
        """Wait for this job's result. Cancelling the wait drops the job if it has not begun.

        Raises:
            Saturated: the queue is full.
            StageError: the worker died or is stuck, or the server is going away.
            Exception: what the engine raised for it.
        """
        if self._closing or self._loop is None:
            raise StageError("the server is going away", code="shutting_down")
        waiter: asyncio.Future[Result] = self._loop.create_future()
        ticket = _Ticket(job, owner, waiter, time.perf_counter())
        with self._wake:
            if not self._queue.push(
                ticket,
                owner=owner,
                cost=self._cost(job),
                rank=rank,
                key=self._key(job),
                weight=self._weight(job),
            ):
                self._metrics.count(f"{self.stage}.refused")
                raise Saturated(
                    self.stage, f"too much is waiting for {self.stage}; try again later"
                )
            self._wake.notify()
        try:
            while not (await asyncio.wait({waiter}, timeout=self._stuck_s / 2))[0]:
                if self._stuck:
                    self._metrics.count(f"{self.stage}.stuck")
                    raise StageError(f"the {self.stage} worker is stuck", code="stuck")
        except BaseException:
            waiter.cancel()
            with self._wake:
                if self._queue.remove(ticket, owner=owner):
                    self._metrics.count(f"{self.stage}.dropped")
            raise
        return waiter.result()

    def _work(self) -> None:
        batch: list[Waiting[_Ticket[Job, Result]]] = []
        try:
            while (batch := self._next_batch()) or not self._closing:
                if batch:
                    results = self._results(batch)
                    self._deliver(batch, results)
        except BaseException:  # the thread is lost; its waiters and the queue must not be
            log.exception("the %s worker died and is replaced", self.stage)
            self._metrics.count(f"{self.stage}.worker_died")
            self._begun = None
            self._deliver(batch, [StageError(f"the {self.stage} worker died")] * len(batch))
            if self._loop and not self._closing:
                self._loop.call_soon_threadsafe(self.start)

    def _next_batch(self) -> list[Waiting[_Ticket[Job, Result]]]:
        with self._wake:
            while not self._closing and (wait_s := self._wait_s()) != 0:
                self._wake.wait(wait_s)
            if self._closing:
                return []
            batch = self._queue.next_batch()
            return [entry for entry in batch if not entry.job.waiter.cancelled()]

    def _wait_s(self) -> float | None:
        """How long to wait for work: 0 if there is some, None until it comes. Files rest."""
        most_urgent = self._queue.most_urgent
        if most_urgent is None or most_urgent < FILE:
            return None if most_urgent is None else 0
        return max(0.0, self._files_at - time.perf_counter())

    def _rest(self, rank: int, begun: float, ended: float) -> None:
        """After a batch: note that the engine is in live use, or let files wait because it is."""
        if rank < FILE:
            self._live_at = ended
        elif begun - self._live_at < LIVE_S:
            self._files_at = ended + FILE_REST * (ended - begun)

    def _results(
        self, batch: list[Waiting[_Ticket[Job, Result]]]
    ) -> Sequence[Result | BaseException]:
        self._running = batch[0].rank if batch else FINAL
        self._begun = begun = time.perf_counter()
        for entry in batch:
            self._metrics.observe(f"{self.stage}.wait_ms", (begun - entry.job.since) * 1e3)
        try:
            results = self._run([entry.job.job for entry in batch])
        except Exception as error:
            log.exception("%s failed on a batch of %d", self.stage, len(batch))
            results = [error] * len(batch)
        else:
            with self._wake:
                self._queue.ran(batch, time.perf_counter() - begun)
        ended = time.perf_counter()
        took_s, self._begun = ended - begun, None
        if batch:
            self.ran_s[batch[0].rank] += took_s
            self._rest(batch[0].rank, begun, ended)
        self._metrics.observe(f"{self.stage}.run_ms", took_s * 1e3)
        self._metrics.observe(f"{self.stage}.batch", len(batch))
        return results

    def _deliver(
        self,
        batch: list[Waiting[_Ticket[Job, Result]]],
        results: Sequence[Result | BaseException],
    ) -> None:
        pairs = [(entry.job, result) for entry, result in zip(batch, results, strict=True)]
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
