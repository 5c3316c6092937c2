"""Many sessions, one thread that owns an engine: jobs gather while it is busy and run as a batch.

Which jobs run together is `batching.BatchQueue`'s answer; here are the thread, the clock and those
who wait. A job whose waiter is gone is taken out before it costs anything. A batch that fails is
tried again job by job, so that an error is the waiter's whose job it is of; a full queue refuses
with `Saturated`. A worker thread that dies or does not come back takes the waiters of its batch
with it. Whoever supervises it `retire`s it, mends the engine and `start`s another, and what waits
is kept until then; where nobody does, a dead one is replaced, and who waits for a stuck one gives
up: nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from realtime.batching import FILE, FINAL, PARTIAL, BatchQueue
from realtime.errors import Saturated, StageError
from realtime.fair_queue import Waiting
from realtime.fault import device_lost
from realtime.metrics import Metrics

Job = TypeVar("Job")
Result = TypeVar("Result")

log = logging.getLogger("banter.batcher")

STUCK_S = 60.0
"""An engine that works on one batch for longer than this is taken to be lost, and its stage says
so: a thread inside a library cannot be stopped. `Pace.patience_s` says when it is sooner, once it
is known how long runs take."""

LEAST_STUCK_S = 10.0
"""But not sooner than this, unless an engine knows better."""

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


@dataclass(eq=False)
class _Shift(Generic[Job, Result]):
    """One worker thread's time at the engine. A lost one is not listened to any more."""

    batch: list[Waiting[_Ticket[Job, Result]]] = field(default_factory=list)
    begun: float | None = None
    rank: int = FINAL
    patience_s: float = STUCK_S
    died: bool = False
    lost: bool = False


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
        least_stuck_s: float = LEAST_STUCK_S,
        metrics: Metrics | None = None,
    ) -> None:
        self.stage = stage
        self._run, self._stuck_s, self._least_stuck_s = run, stuck_s, least_stuck_s
        self._cost, self._key, self._weight = cost, key, weight
        self._metrics = metrics or Metrics()
        self._queue: BatchQueue[_Ticket[Job, Result]] = BatchQueue(max_batch, max_cost, max_batch_s)
        self._wake = threading.Condition()
        self._closing = False
        self._shift: _Shift[Job, Result] = _Shift()
        self.supervised = False
        """Somebody looks for `trouble` and will see to it: who waits, waits for that."""
        self.lost_device = ""
        """What was said when the GPU was lost to this process; empty while it was not."""
        self.abandoned = 0
        """Threads that were given up and have not come back."""
        self._live_at, self._files_at = float("-inf"), 0.0
        self.ran_s: defaultdict[int, float] = defaultdict(float)
        """Seconds that the engine worked so far, by rank."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._metrics.expect(*(f"{stage}.{series}" for series in ("wait_ms", "run_ms", "batch")))
        gauges = {"depth": self._depth, "fill": lambda: self.cost / max_cost}
        self._metrics.gauges |= {f"{stage}.{name}": read for name, read in gauges.items()}

    def _depth(self) -> int:
        """As `waiting`, for any thread."""
        with self._wake:
            return len(self._queue)

    @property
    def cost(self) -> float:
        """The summed cost of what waits."""
        return self._queue.cost

    @property
    def alive(self) -> bool:
        """True while the worker thread runs and is not stuck in a batch."""
        return self._thread is not None and self._thread.is_alive() and not self._stuck

    @property
    def trouble(self) -> str:
        """Why its thread has to be replaced; empty while it works, or is not meant to."""
        if self._closing:
            return ""
        if self._shift.died:
            return "its worker thread died"
        begun = self._shift.begun
        if begun is not None and self._stuck:
            return f"it has worked on one batch for {time.perf_counter() - begun:.1f} s"
        return ""

    @property
    def _stuck(self) -> bool:
        shift = self._shift
        begun = shift.begun
        return begun is not None and time.perf_counter() - begun > shift.patience_s

    @property
    def _running(self) -> int:
        """The rank of the last batch."""
        return self._shift.rank

    @property
    def waiting(self) -> int:
        """Jobs in the queue, without the batch that runs."""
        return len(self._queue)

    @property
    def live_cost(self) -> float:
        """What finals and speculations wait here, in the unit of `max_cost`: turns that somebody
        waits for. Partials and files give way to these."""
        with self._wake:
            return self._queue.cost_until(PARTIAL)

    @property
    def idle(self) -> bool:
        """True while nothing runs and nothing waits: a job would start at once."""
        return self.alive and self._shift.begun is None and not len(self._queue)

    def free_for(self, rank: int) -> bool:
        """True while nothing of this rank or a more urgent one runs or waits."""
        most_urgent = self._queue.most_urgent
        waits = most_urgent is not None and most_urgent <= rank
        free = self._shift.begun is None or self._running > rank
        return self.alive and not waits and free

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
        self._shift = _Shift()
        self._thread = threading.Thread(
            target=self._work, args=(self._shift,), name=f"banter-{self.stage}", daemon=True
        )
        self._thread.start()

    def retire(self, why: str) -> None:
        """Give the worker thread up; on the loop. Its batch fails now, what it may still return is
        dropped, and it ends then. What waits is kept for the thread that `start` begins."""
        with self._wake:
            shift, self._shift = self._shift, _Shift()
            shift.lost = True
            self._wake.notify_all()
        self.abandoned += self._thread is not None and self._thread.is_alive()
        self._thread = None
        self._metrics.count(f"{self.stage}.retired")
        error = self._error(f"{self.stage} was lost: {why}; it is restarted", "restarting")
        _settle([(entry.job, error) for entry in shift.batch])

    async def close(self) -> None:
        """Stop after the batch that runs; those still waiting get a `StageError`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread and not self._stuck:
            await asyncio.to_thread(self._thread.join, self._stuck_s)
        error = self._error("the server is going away", "shutting_down")
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
            raise self._error("the server is going away", "shutting_down")
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
                if self._stuck and not self.supervised:
                    self._metrics.count(f"{self.stage}.stuck")
                    raise self._error(f"the {self.stage} worker is stuck", "stuck")
        except BaseException:
            waiter.cancel()
            with self._wake:
                if self._queue.remove(ticket, owner=owner):
                    self._metrics.count(f"{self.stage}.dropped")
            raise
        return waiter.result()

    def _work(self, shift: _Shift[Job, Result]) -> None:
        try:
            while self._next_batch(shift) or not (self._closing or shift.lost):
                if shift.batch:
                    self._deliver(shift, self._results(shift))
        except BaseException:  # the thread is lost; its waiters and the queue must not be
            log.exception("the %s worker died", self.stage)
            self._metrics.count(f"{self.stage}.worker_died")
            shift.begun = None
            self._deliver(shift, [self._error(f"the {self.stage} worker died")] * len(shift.batch))
            shift.died = True
            if self._loop and not (self._closing or shift.lost or self.supervised):
                self._loop.call_soon_threadsafe(self.start)
        finally:
            if shift.lost:
                self.abandoned -= 1
                log.warning("a %s worker that was given up has come back and ended", self.stage)

    def _next_batch(self, shift: _Shift[Job, Result]) -> bool:
        """Wait for work and take it into the shift; whether there is some."""
        with self._wake:
            while not (self._closing or shift.lost) and (wait_s := self._wait_s()) != 0:
                self._wake.wait(wait_s)
            if self._closing or shift.lost:
                return False
            batch = self._queue.next_batch()
            shift.batch = [entry for entry in batch if not entry.job.waiter.cancelled()]
            return bool(shift.batch)

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

    def _results(self, shift: _Shift[Job, Result]) -> Sequence[Result | BaseException]:
        batch = shift.batch
        rank = shift.rank = batch[0].rank
        begun = self._begin(shift, batch)
        for entry in batch:
            self._metrics.observe(f"{self.stage}.wait_ms", (begun - entry.job.since) * 1e3)
        try:
            results = self._run([entry.job.job for entry in batch])
        except Exception as error:
            log.exception("%s failed on a batch of %d", self.stage, len(batch))
            results = [error] if len(batch) == 1 else [self._alone(shift, each) for each in batch]
        else:
            with self._wake:
                if not shift.lost:
                    self._queue.ran(batch, time.perf_counter() - begun)
        ended = time.perf_counter()
        took_s, shift.begun = ended - begun, None
        for result in results:
            self._notice(result)
        if shift.lost:
            return results
        self.ran_s[rank] += took_s
        self._rest(rank, begun, ended)
        self._metrics.observe(f"{self.stage}.run_ms", took_s * 1e3)
        self._metrics.observe(f"{self.stage}.batch", len(batch))
        return results

    def _alone(
        self, shift: _Shift[Job, Result], entry: Waiting[_Ticket[Job, Result]]
    ) -> Result | BaseException:
        """One job of a batch that failed, by itself: whose error it is, shows, and what was too
        large together may fit one by one."""
        self._begin(shift, [entry])
        try:
            return self._run([entry.job.job])[0]
        except Exception as error:
            return error

    def _begin(
        self, shift: _Shift[Job, Result], batch: Sequence[Waiting[_Ticket[Job, Result]]]
    ) -> float:
        weight = sum(entry.weight for entry in batch)
        shift.patience_s = self._queue.pace.patience_s(
            weight, least_s=self._least_stuck_s, most_s=self._stuck_s
        )
        shift.begun = begun = time.perf_counter()
        return begun

    def _notice(self, result: Result | BaseException) -> None:
        if isinstance(result, BaseException) and device_lost(result):
            self.lost_device = self.lost_device or f"{type(result).__name__}: {result}"

    def _deliver(
        self, shift: _Shift[Job, Result], results: Sequence[Result | BaseException]
    ) -> None:
        with self._wake:
            if shift.lost:
                return  # they have been told
            batch, shift.batch = shift.batch, []
        pairs = [(entry.job, result) for entry, result in zip(batch, results, strict=True)]
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, pairs)

    def _error(self, message: str, code: str | None = None) -> StageError:
        """A failure of this stage, by its name on the wire."""
        return StageError(message, code=code, stage=self.stage.partition(".")[0])


def _settle(pairs: Sequence[tuple[_Ticket[Job, Result], Result | BaseException]]) -> None:
    for ticket, result in pairs:
        if ticket.waiter.done():
            continue
        if isinstance(result, BaseException):
            ticket.waiter.set_exception(result)
        else:
            ticket.waiter.set_result(result)
