"""The batcher's policy, in a simulation with a clock of its own: properties under any load."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.batching import (
    FILE,
    FINAL,
    FIRST_RUNS,
    LOST_AFTER,
    PARTIAL,
    PATIENCE,
    SPECULATION,
    BatchQueue,
    Pace,
)
from realtime.metrics import percentile
from tests.simulation import Arrival, Run, Service, simulate

OWNERS = 5

arrivals = st.lists(
    st.builds(
        Arrival,
        at=st.floats(0, 4),
        owner=st.integers(0, OWNERS - 1),
        rank=st.sampled_from([FINAL, FINAL, FINAL, SPECULATION, PARTIAL, FILE]),
        key=st.sampled_from([15.0, 15.0, 30.0]),
        cost=st.floats(0.1, 14),
        weight=st.floats(0.5, 2),
        gone_after=st.just(float("inf")) | st.floats(0, 2),
    ),
    max_size=60,
)
queues = st.builds(
    BatchQueue,
    max_batch=st.integers(1, 8),
    max_cost=st.floats(5, 200),
    max_batch_s=st.none() | st.floats(0.1, 2),
)


@given(arrivals, queues)
def test_every_job_meets_one_fate_and_its_owners_order_holds(trace, queue):
    run = simulate(trace, queue)
    assert {job.fate for job in trace} <= {"served", "refused", "gone"}
    assert sum(len(jobs) for _, _, jobs in run.batches) == fates(trace).count("served")
    assert len(queue) == 0
    assert queue.cost == 0
    for owner in range(OWNERS):
        for rank in (FINAL, SPECULATION, PARTIAL, FILE):
            served = [
                job
                for _, _, jobs in run.batches
                for job in jobs
                if (job.owner, job.rank) == (owner, rank)
            ]
            assert all(a.at <= b.at for a, b in pairwise(served))


@given(arrivals, queues)
def test_the_engine_never_idles_while_something_waits(trace, queue):
    run = simulate(trace, queue)
    ends = [0.0] + [end for _, end, _ in run.batches]
    for idle_from, (begin, _, jobs) in zip(ends, run.batches, strict=False):
        if begin > idle_from:
            assert min(job.at for job in jobs) == begin


@given(arrivals, queues)
def test_a_batch_is_of_one_kind_small_enough_and_holds_one_job_of_an_owner(trace, queue):
    pace = Pace()
    for begin, end, jobs in simulate(trace, queue).batches:
        assert len({(job.rank, job.key) for job in jobs}) == 1
        assert len({job.owner for job in jobs}) == len(jobs) <= queue.max_batch
        weight = sum(job.weight for job in jobs)
        if len(jobs) > 1 and queue.max_batch_s is not None:
            assert pace.predict_s(weight) <= queue.max_batch_s
        pace.ran(weight, end - begin)


@given(arrivals, queues)
def test_what_waits_is_bounded_by_one_job_an_owner_beyond_the_limit(trace, queue):
    run = simulate(trace, queue)
    assert run.most_cost <= queue.max_cost + OWNERS * 14
    alone = {job.owner: job for job in trace if job.fate == "refused"}
    for owner, job in alone.items():
        earlier = [j for j in trace if j.owner == owner and j is not job and j.at <= job.at]
        assert earlier, "refused although this owner had nothing waiting"


@given(arrivals, queues)
def test_nobody_is_passed_over_for_longer_than_the_round(trace, queue):
    run = simulate(trace, queue)
    for job in trace:
        if job.fate != "served":
            continue
        mine = sum(
            j.at <= job.at and j.begun > job.at and j is not job and j.fate == "served"
            for j in trace
            if (j.owner, j.rank) == (job.owner, job.rank)
        )
        begun = [jobs[0] for begin, _, jobs in run.batches if job.at < begin < job.begun]
        same = [first for first in begun if first.rank == job.rank]
        urgent = [first for first in begun if first.rank < job.rank]
        behind = [first for first in begun if first.rank > job.rank]
        # a round has a batch for each owner at most; earlier jobs of this owner cost a round each
        assert len(same) <= (mine + 1) * OWNERS
        assert all(first.rank == FILE for first in behind)
        assert len(behind) <= (len(same) + len(urgent)) // (PATIENCE - 1) + 1
        if job.rank == FILE:
            assert len(urgent) <= PATIENCE * (len(same) + 1)


@given(st.integers(0, 1000))
def test_a_flood_of_one_caller_is_hardly_felt_by_the_others(seed):
    calm = trace_of(seed, callers=8, share=0.4)
    flooded = trace_of(seed, callers=8, share=0.4)
    flood = [Arrival(0.0, "flood", cost=14) for _ in range(40)]
    simulate(calm, shipped())
    simulate([*flooded, *flood], shipped())
    assert {job.fate for job in flooded} == {"served"}
    # one window of the flood in each batch, and the batch that runs when a job comes
    service = Service()
    extra = service.fixed_s + 2 * service.each_s
    assert p95(flooded) <= 2 * p95(calm) + extra


@pytest.mark.parametrize("share", [0.5, 0.8, 1.1])
def test_batches_answer_sooner_than_one_after_the_other(share):
    """`share` of what the engine can do one by one; over 1 it falls behind for ever."""
    gathered, single = (trace_of(7, callers=16, share=share, seconds=300) for _ in range(2))
    simulate(gathered, shipped())
    simulate(single, BatchQueue(1, 600))
    assert p95(gathered) < p95(single)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_every_caller_gets_the_same(share):
    trace = trace_of(3, callers=16, share=share, seconds=900)
    simulate(trace, shipped())
    by_owner = [
        percentile([job.took for job in trace if job.owner == owner], 0.5) for owner in range(16)
    ]
    assert max(by_owner) <= 2 * min(by_owner)


def test_a_burst_is_a_few_batches():
    burst = [Arrival(0.0125 * n, n) for n in range(16)]
    run = simulate(burst, shipped())
    assert [len(jobs) for _, _, jobs in run.batches] == [1, 8, 7]


def test_a_slow_machine_gets_short_batches():
    trace = trace_of(5, callers=16, share=1.0, seconds=60)
    run = simulate(trace, BatchQueue(8, 600, max_batch_s=1.0), Service(0.2, 0.4))
    assert max(len(jobs) for _, _, jobs in run.batches[1:]) == 2
    assert max(end - begin for begin, end, _ in run.batches[1:]) < 1.01


def test_files_wait_for_the_others_but_not_for_ever():
    trace = [
        Arrival(0.0, f"{rank}{n}", rank=rank)
        for rank, count in ((FILE, 3), (PARTIAL, 3), (SPECULATION, 3), (FINAL, 4 * PATIENCE))
        for n in range(count)
    ]
    run = simulate(trace, BatchQueue(1, 600))
    order = [jobs[0].rank for _, _, jobs in run.batches]
    assert order[PATIENCE - 1 :: PATIENCE][:3] == [FILE] * 3
    others = [rank for rank in order if rank != FILE]
    assert others == sorted(others)


def test_a_speculation_that_came_true_leaves_with_the_finals():
    queue: BatchQueue[str] = BatchQueue(max_batch=1, max_cost=100)
    for job, owner, rank in (
        ("a's last words", "a", SPECULATION),
        ("b's last words", "b", SPECULATION),
        ("c said", "c", FINAL),
        ("a's next words", "a", PARTIAL),
    ):
        assert queue.push(job, owner=owner, rank=rank)
    queue.promote("b")
    queue.promote("nobody")
    order = [queue.next_batch()[0].job for _ in range(4)]
    assert order == ["c said", "b's last words", "a's last words", "a's next words"]
    assert queue.cost == 0


def shipped() -> BatchQueue[Arrival]:
    return BatchQueue(8, 600, max_batch_s=1.2)


def trace_of(seed: int, *, callers: int, share: float, seconds: float = 60.0) -> list[Arrival]:
    """Poisson arrivals at a share of what the engine can do one by one."""
    chance = random.Random(seed)
    service = Service()
    rate = share / (service.fixed_s + service.each_s)

    def moments() -> Iterator[float]:
        at = chance.expovariate(rate)
        while at < seconds:
            yield at
            at += chance.expovariate(rate)

    return [Arrival(at, chance.randrange(callers)) for at in moments()]


def fates(trace: list[Arrival]) -> list[str]:
    return [job.fate for job in trace]


def p95(trace: list[Arrival]) -> float:
    return percentile([job.took for job in trace], 0.95)


def test_the_simulation_itself_adds_up():
    trace = [Arrival(0.0, "a"), Arrival(0.0, "b"), Arrival(9.0, "a", gone_after=0.0)]
    run: Run = simulate(trace, BatchQueue(2, 600), Service(1.0, 1.0))
    assert [(begin, end, len(jobs)) for begin, end, jobs in run.batches] == [(0.0, 3.0, 2)]
    assert fates(trace) == ["served", "served", "gone"]
    assert run.busy_s == 3.0


@pytest.mark.parametrize(("rank", "together"), [(FINAL, 4), (PARTIAL, 4), (FILE, 2)])
def test_files_go_together_only_as_long_as_a_caller_could_wait(rank, together):
    """A run takes 0.1 s for each window here: four fit into a second, two into what files get."""
    queue = BatchQueue(max_batch=4, max_cost=100, max_batch_s=1.0)
    for weight in (1.0, 2.0, 1.0, 2.0):
        queue.pace.ran(weight, 0.1 * weight)
    for owner in range(4):
        assert queue.push(owner, owner=owner, rank=rank)
    assert len(queue.next_batch()) == together


def test_a_run_is_waited_for_as_long_as_nobody_knows_how_long_runs_take():
    pace = Pace()
    for _ in range(FIRST_RUNS - 1):
        pace.ran(1.0, 0.1)
    assert pace.patience_s(1.0, least_s=1.0, most_s=60.0) == 60.0
    pace.ran(1.0, 0.1)
    assert pace.patience_s(1.0, least_s=1.0, most_s=60.0) == pytest.approx(LOST_AFTER * 0.1)


def test_patience_grows_with_the_batch_within_its_bounds():
    pace = Pace()
    for weight in (1.0, 2.0, 3.0):
        pace.ran(weight, 0.1 * weight)
    assert pace.patience_s(10.0, least_s=1.0, most_s=60.0) == pytest.approx(20.0)
    assert pace.patience_s(0.1, least_s=1.0, most_s=60.0) == 1.0
    assert pace.patience_s(100.0, least_s=1.0, most_s=60.0) == 60.0
