"""The batcher: starts at once, gathers while busy, is fair, and leaves nobody waiting."""

from __future__ import annotations

import asyncio
import threading

import pytest

from realtime.batcher import Batcher
from realtime.batching import FILE, FINAL, PARTIAL, SPECULATION
from realtime.errors import Saturated, StageError
from realtime.metrics import Metrics


class Engine:
    """Doubles numbers; can be held, told to fail, and asked which batches it saw."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.held = False

    def run(self, batch):
        self.batches.append(list(batch))
        self.entered.release()
        if self.held:
            assert self.go.acquire(timeout=10)
        if 13 in batch:
            raise ValueError("unlucky")
        if 666 in batch:
            raise SystemExit("the thread dies")
        return [ValueError("odd one") if job == 7 else job * 2 for job in batch]

    async def busy(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=10)


@pytest.fixture
async def engine():
    return Engine()


@pytest.fixture
async def batcher(engine):
    made = Batcher("test", engine.run, max_batch=4, max_cost=20, metrics=Metrics())
    made.start()
    yield made
    engine.held = False
    for _ in range(50):
        engine.go.release()
    await made.close()


async def test_an_idle_worker_starts_at_once(batcher, engine):
    assert await batcher.submit(2, owner="a") == 4
    assert await batcher.submit(3, owner="a") == 6
    assert engine.batches == [[2], [3]]


async def test_work_gathers_while_it_is_busy_one_job_of_each_caller_in_a_batch(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    later = [asyncio.create_task(batcher.submit(n, owner="a")) for n in (2, 3, 4, 5)]
    other = asyncio.create_task(batcher.submit(100, owner="b"))
    await asyncio.sleep(0)
    assert batcher.waiting == 5
    for _ in range(5):
        engine.go.release()
    assert await asyncio.gather(first, *later, other) == [2, 4, 6, 8, 10, 200]
    assert engine.batches == [[1], [2, 100], [3], [4], [5]]


async def test_a_job_whose_waiter_is_gone_costs_nothing(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    gone = asyncio.create_task(batcher.submit(2, owner="b"))
    stays = asyncio.create_task(batcher.submit(3, owner="c"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    engine.go.release()
    engine.go.release()
    assert await asyncio.gather(first, stays) == [2, 6]
    assert engine.batches == [[1], [3]]


async def test_an_error_is_the_waiters_whose_job_it_is_of_and_the_next_batch_runs(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    doomed = [asyncio.create_task(batcher.submit(n, owner=n)) for n in (12, 13)]
    await asyncio.sleep(0)
    engine.held = False
    engine.go.release()
    results = await asyncio.gather(first, *doomed, return_exceptions=True)
    assert results[0] == 2
    assert [str(r) for r in results[1:]] == ["24", "unlucky"]
    assert engine.batches[1:] == [[12, 13], [12], [13]]
    assert await batcher.submit(5, owner="a") == 10


async def test_an_error_of_one_job_is_its_waiters_alone(batcher, engine):
    results = await asyncio.gather(
        *(batcher.submit(n, owner=n) for n in (7, 8)), return_exceptions=True
    )
    assert str(results[0]) == "odd one"
    assert results[1] == 16


async def test_a_full_queue_refuses_and_says_which(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    waiting = [asyncio.create_task(batcher.submit(n, owner="a")) for n in range(20)]
    await asyncio.sleep(0)
    with pytest.raises(Saturated) as full:
        await batcher.submit(99, owner="a")
    assert full.value.stage == "test"
    engine.held = False
    engine.go.release()
    await asyncio.gather(first, *waiting, return_exceptions=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_worker_that_dies_is_replaced(batcher, engine):
    with pytest.raises(StageError, match="died"):
        await batcher.submit(666, owner="a")
    assert await batcher.submit(4, owner="a") == 8
    assert batcher.alive


async def test_closing_tells_those_who_still_wait(engine):
    batcher = Batcher("test", engine.run, max_batch=1, max_cost=20)
    batcher.start()
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    second = asyncio.create_task(batcher.submit(2, owner="a"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    engine.go.release()
    await closing
    assert await first == 2
    with pytest.raises(StageError, match="going away"):
        await second
    with pytest.raises(StageError, match="going away"):
        await batcher.submit(3, owner="a")
    assert not batcher.alive


async def test_a_cancelled_job_gives_its_room_back_at_once(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    waiting = [asyncio.create_task(batcher.submit(n, owner="a")) for n in range(20)]
    await asyncio.sleep(0)
    waiting[3].cancel()
    await asyncio.wait([waiting[3]])
    assert batcher.waiting == 19
    late = asyncio.create_task(batcher.submit(50, owner="a"))
    await asyncio.sleep(0)
    assert batcher.waiting == 20
    engine.held = False
    engine.go.release()
    assert await late == 100
    await asyncio.gather(first, *waiting, return_exceptions=True)


async def test_jobs_of_one_batch_share_a_key_and_a_rank(engine):
    batcher = Batcher("test", engine.run, max_batch=9, max_cost=99, key=lambda job: job % 2)
    batcher.start()
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="first"))
    await engine.busy()
    later = [
        asyncio.create_task(batcher.submit(n, owner=n, rank=FILE if n == 6 else FINAL))
        for n in (6, 2, 3, 4, 5)
    ]
    await asyncio.sleep(0)
    engine.held = False
    engine.go.release()
    await asyncio.gather(first, *later)
    await batcher.close()
    assert engine.batches == [[1], [2, 4], [3, 5], [6]]


async def test_nobody_waits_for_an_engine_that_does_not_come_back(engine):
    batcher = Batcher("test", engine.run, max_batch=1, max_cost=20, stuck_s=0.1)
    batcher.start()
    engine.held = True
    waits = [asyncio.create_task(batcher.submit(n, owner=n)) for n in (1, 2)]
    await engine.busy()
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert [r.code for r in results if isinstance(r, StageError)] == ["stuck", "stuck"]
    assert not batcher.alive
    engine.go.release()
    engine.held = False
    assert await batcher.submit(3, owner="a") == 6
    assert batcher.alive
    await batcher.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_those_behind_a_batch_that_killed_the_worker_are_served_by_the_next(batcher, engine):
    engine.held = True
    first = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    deadly = asyncio.create_task(batcher.submit(666, owner="b"))
    await asyncio.sleep(0)
    behind = [asyncio.create_task(batcher.submit(n, owner="b")) for n in (2, 3)]
    await asyncio.sleep(0)
    engine.held = False
    engine.go.release()
    assert await first == 2
    with pytest.raises(StageError, match="died"):
        await deadly
    assert await asyncio.gather(*behind) == [4, 6]


async def test_speculations_that_came_true_leave_with_the_finals(batcher, engine):
    engine.held = True
    running = asyncio.create_task(batcher.submit(1, owner="running"))
    await engine.busy()
    asked = [("a", 2, SPECULATION), ("b", 3, SPECULATION), ("c", 4, FINAL), ("b", 5, PARTIAL)]
    waiting = [
        asyncio.create_task(batcher.submit(job, owner=owner, rank=rank))
        for owner, job, rank in asked
    ]
    await asyncio.sleep(0)
    batcher.promote("b")
    batcher.promote("nobody")
    engine.held = False
    engine.go.release()
    assert await asyncio.gather(running, *waiting) == [2, 4, 6, 8, 10]
    assert engine.batches == [[1], [4, 3], [2], [5]]


async def test_a_speculation_that_came_true_can_still_be_taken_back(batcher, engine):
    engine.held = True
    running = asyncio.create_task(batcher.submit(1, owner="running"))
    await engine.busy()
    guess = asyncio.create_task(batcher.submit(2, owner="a", rank=SPECULATION))
    await asyncio.sleep(0)
    batcher.promote("a")
    guess.cancel()
    await asyncio.wait([guess])
    assert batcher.waiting == 0
    engine.go.release()
    await running
    assert engine.batches == [[1]]


async def test_files_leave_an_engine_in_live_use_alone_for_a_while(batcher, engine, monkeypatch):
    """They would rest for hours here: who comes meanwhile is served at once."""
    monkeypatch.setattr("realtime.batcher.FILE_REST", 1e9)
    assert await batcher.submit(1, owner="caller") == 2
    assert await batcher.submit(2, owner="file", rank=FILE) == 4
    resting = asyncio.create_task(batcher.submit(3, owner="file", rank=FILE))
    for job in (4, 5, 6):
        assert await batcher.submit(job, owner="caller") == 2 * job
    assert engine.batches == [[1], [2], [4], [5], [6]]
    assert not resting.done()
    resting.cancel()


async def test_files_alone_do_not_rest(batcher, engine, monkeypatch):
    monkeypatch.setattr("realtime.batcher.FILE_REST", 1e9)
    for job in (1, 2, 3):
        assert await batcher.submit(job, owner="file", rank=FILE) == 2 * job


async def test_files_that_rested_go_on(batcher, engine, monkeypatch):
    assert await batcher.submit(1, owner="caller") == 2
    for job in (2, 3, 4):
        assert await batcher.submit(job, owner="file", rank=FILE) == 2 * job


async def test_a_batcher_closes_while_files_rest(engine, monkeypatch):
    monkeypatch.setattr("realtime.batcher.FILE_REST", 1e9)
    batcher = Batcher("test", engine.run, max_batch=4, max_cost=20, metrics=Metrics())
    batcher.start()
    assert await batcher.submit(1, owner="caller") == 2
    assert await batcher.submit(2, owner="file", rank=FILE) == 4
    resting = asyncio.create_task(batcher.submit(3, owner="file", rank=FILE))
    await asyncio.sleep(0)
    await batcher.close()
    with pytest.raises(StageError):
        await resting


async def test_it_is_free_for_a_speculation_beside_partials_and_files_alone(batcher, engine):
    engine.held = True
    for rank, free in ((FINAL, False), (SPECULATION, False), (PARTIAL, True), (FILE, True)):
        running = asyncio.create_task(batcher.submit(1, owner="a", rank=rank))
        await engine.busy()
        assert batcher.free_for(SPECULATION) is free
        waiting = asyncio.create_task(batcher.submit(2, owner="a", rank=FINAL))
        await asyncio.sleep(0)
        assert not batcher.free_for(SPECULATION)
        engine.go.release()
        engine.go.release()
        await asyncio.gather(running, waiting)
        await engine.busy()
    assert batcher.free_for(SPECULATION)


async def test_a_stuck_thread_is_given_up_and_what_waited_is_served_by_the_next(batcher, engine):
    """Who was in its batch is told at once; what it returns in the end is heard by nobody."""
    batcher._stuck_s, batcher.supervised = 0.05, True
    engine.held = True
    stuck = asyncio.create_task(batcher.submit(1, owner="a"))
    await engine.busy()
    waiting = asyncio.create_task(batcher.submit(2, owner="b"))
    while not batcher.trouble:  # noqa: ASYNC110, it is what somebody has to look for
        await asyncio.sleep(0.01)
    assert "has worked on one batch for" in batcher.trouble
    batcher.retire("it is stuck")
    with pytest.raises(StageError, match="it is stuck") as told:
        await stuck
    assert (told.value.stage, told.value.code) == ("test", "restarting")
    assert not batcher.alive
    assert not batcher.trouble
    assert not waiting.done()
    old = engine.go
    engine.held, engine.go = False, threading.Semaphore(0)
    batcher.start()
    assert await waiting == 4
    assert (batcher.alive, batcher.abandoned) == (True, 1)
    old.release()
    while batcher.abandoned:  # noqa: ASYNC110, likewise
        await asyncio.sleep(0.01)
    assert await batcher.submit(3, owner="a") == 6
    assert engine.batches == [[1], [2], [3]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_died_is_left_to_who_supervises_it(batcher, engine):
    batcher.supervised = True
    with pytest.raises(StageError, match="died") as told:
        await batcher.submit(666, owner="a")
    assert told.value.stage == "test"
    while not batcher.trouble:  # noqa: ASYNC110, it is what somebody has to look for
        await asyncio.sleep(0.01)
    assert batcher.trouble == "its worker thread died"
    waiting = asyncio.create_task(batcher.submit(2, owner="b"))
    await asyncio.sleep(0)
    batcher.retire(batcher.trouble)
    batcher.start()
    assert await waiting == 4
    assert batcher.abandoned == 0


async def test_a_lost_device_is_noticed_wherever_its_error_comes_out(engine):
    for returned in (False, True):
        error = RuntimeError("CUDA error: an illegal memory access was encountered")

        def run(batch, error=error, returned=returned):
            if returned:
                return [error]
            raise error

        batcher = Batcher("test", run, max_batch=1, max_cost=20)
        batcher.start()
        with pytest.raises(RuntimeError):
            await batcher.submit(1, owner="a")
        assert "illegal memory access" in batcher.lost_device
        await batcher.close()
