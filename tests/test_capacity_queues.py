"""Replicas and pools in simulated time, against what is known of queues."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planning.device import Device
from benchmarks.planning.job import FAILED, MADE, REFUSED, Job
from benchmarks.planning.pool import Link, Pool
from benchmarks.planning.replica import BatchReplica, RecogniserReplica
from benchmarks.planning.scaling import Autoscaler, Policy
from benchmarks.planning.service import Line
from realtime.batching import FINAL, PARTIAL, SPECULATION, BatchQueue
from tests.planned import CPU, EACH_S, FEATURES_S, RUN_S, WINDOW_S


@dataclass
class World:
    """A clock, and what became of jobs when."""

    env: simpy.Environment = field(default_factory=simpy.Environment)
    fates: Counter[str] = field(default_factory=Counter)
    over_s: dict[object, float] = field(default_factory=dict)

    def job(
        self,
        owner: object,
        *,
        rank: int = FINAL,
        key: object = None,
        audio_s: float = 1.0,
        weight: float = 1.0,
    ) -> Job:
        def over(fate: str) -> None:
            self.fates[fate] += 1
            self.over_s[owner] = self.env.now

        return Job(owner, audio_s, weight, over, rank=rank, key=key)

    def replica(self, line: Line, *, max_batch: int = 1, bound_s: float = 1e9) -> BatchReplica:
        queue: BatchQueue[Job] = BatchQueue(max_batch, bound_s)
        return BatchReplica(self.env, Device(self.env), line, queue=queue, random=Random(1))

    def recogniser(self) -> RecogniserReplica:
        return RecogniserReplica(self.env, Device(self.env), CPU.recogniser, Random(1))


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_random_arrivals_wait_as_the_formula_says(load: float) -> None:
    """One server, one job at a time, all alike: Pollaczek and Khinchine."""
    world, random, count = World(), Random(7), 40_000
    replica = world.replica(Line(1.0, 0.0))
    came_s: dict[object, float] = {}

    def arrive() -> simpy.events.ProcessGenerator:
        for owner in range(count):
            yield world.env.timeout(random.expovariate(load))
            came_s[owner] = world.env.now
            replica.submit(world.job(owner))

    world.env.process(arrive())
    world.env.run()
    mean_s = sum(world.over_s[owner] - came_s[owner] - 1.0 for owner in came_s) / count
    assert mean_s == pytest.approx(load / (2 * (1 - load)), rel=0.05)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 5),
            st.integers(0, 4),
            st.sampled_from((FINAL, SPECULATION, PARTIAL)),
            st.sampled_from((8.0, 15.0)),
        ),
        max_size=40,
    )
)
def test_every_job_is_made_once_or_refused(trace: list[tuple[float, int, int, float]]) -> None:
    world = World()
    replica = world.replica(Line(0.1, 0.2), max_batch=3, bound_s=6.0)

    def arrive(at_s: float, owner: int, rank: int, key: float) -> simpy.events.ProcessGenerator:
        yield world.env.timeout(at_s)
        replica.submit(world.job(owner, rank=rank, key=key))

    for each in trace:
        world.env.process(arrive(*each))
    world.env.run()
    assert world.fates[MADE] + world.fates[REFUSED] == len(trace)
    assert sum(replica.batches) == world.fates[MADE]
    assert max(replica.batches, default=0) <= 3
    assert replica.queued_s == 0


def test_what_gathers_while_it_runs_goes_together() -> None:
    world = World()
    replica = world.recogniser()
    for owner in range(9):
        replica.submit(world.job(owner, audio_s=3.0, weight=WINDOW_S, key=WINDOW_S))
    world.env.run()
    assert replica.batches == [1, 8]
    first_s = FEATURES_S + RUN_S + EACH_S * WINDOW_S
    assert world.over_s[0] == pytest.approx(first_s)
    assert world.over_s[8] == pytest.approx(first_s + RUN_S + 8 * EACH_S * WINDOW_S)


def test_what_is_withdrawn_costs_nothing() -> None:
    world = World()
    replica = world.recogniser()
    first, second = world.job("a"), world.job("b")
    replica.submit(first)
    replica.submit(second)
    world.env.run(until=0.05)
    replica.withdraw(second)
    world.env.run()
    assert (replica.batches, world.fates[MADE]) == ([1], 1)


def test_words_ahead_have_their_share_of_an_idle_recogniser_and_none_of_a_busy_one() -> None:
    world = World()
    replica = world.recogniser()
    assert replica.free
    assert replica.spare
    replica.submit(world.job("a", weight=WINDOW_S))
    world.env.run(until=0.05)
    assert not replica.free
    assert not replica.spare


def sent(link: Link, world: World, count: int) -> list[Job]:
    """Jobs sent at once."""
    jobs = [world.job(f"{id(link)} {n}", audio_s=2.0, weight=WINDOW_S) for n in range(count)]
    for job in jobs:
        link.ask(job)
    return jobs


def test_a_front_end_asks_whoever_has_least_to_do() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser() for _ in range(4)], told_every_s=10.0)
    sent(pool.link(), world, 12)
    world.env.run(until=0.05)
    assert [pool.live_s(replica) for replica in pool.replicas] == [6.0, 6.0, 6.0, 6.0]


def test_two_front_ends_do_not_know_of_each_other_until_they_are_told() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser() for _ in range(4)], told_every_s=1.0)
    for link in (pool.link(), pool.link()):
        sent(link, world, 1)
    world.env.run(until=0.05)
    assert [pool.live_s(replica) for replica in pool.replicas] == [4.0, 0.0, 0.0, 0.0]


def test_within_one_process_everybody_knows_everything() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser() for _ in range(4)])
    for link in (pool.link(), pool.link()):
        sent(link, world, 2)
    world.env.run(until=0.05)
    assert [pool.live_s(replica) for replica in pool.replicas] == [2.0, 2.0, 2.0, 2.0]


def test_what_is_over_or_withdrawn_is_not_queued_any_more() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser()], hop_s=0.01, told_every_s=1.0)
    link = pool.link()
    first, second, third = sent(link, world, 3)
    world.env.run(until=0.05)
    assert pool.queued_s == 6.0
    link.withdraw(third)
    world.env.run(until=5.0)
    assert pool.queued_s == 0.0
    assert world.fates == {MADE: 2}
    assert link.book.queued_s == 0.0
    assert link.book.spare
    assert not first.gone
    assert not second.gone


def test_a_network_is_waited_for_both_ways() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser()], hop_s=0.025)
    pool.link().ask(world.job("a", weight=WINDOW_S))
    world.env.run()
    assert world.over_s["a"] == pytest.approx(0.05 + FEATURES_S + RUN_S + EACH_S * WINDOW_S)


@pytest.mark.parametrize(
    ("fails_over", "begun", "made", "failed"),
    [(True, True, 4, 0), (False, False, 4, 0), (False, True, 2, 2)],
)
def test_a_lost_replica_costs_what_it_had_begun_or_another_does_it(
    fails_over: bool, begun: bool, made: int, failed: int
) -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser(), world.recogniser()], fails_over=fails_over)
    for job in sent(pool.link(), world, 4):
        job.begun = begun
    world.env.run(until=0.05)
    pool.lose(pool.replicas[0])
    world.env.run()
    assert (world.fates[MADE], world.fates[FAILED]) == (made, failed)
    assert pool.queued_s == 0.0


def test_nobody_there_is_a_failure_and_not_a_wait() -> None:
    world = World()
    pool = Pool(world.env, [world.recogniser()])
    link = pool.link()
    pool.lose(pool.replicas[0])
    link.ask(world.job("a"))
    assert world.fates == {FAILED: 1}
    pool.replicas[0].revive()
    link.ask(world.job("b"))
    world.env.run()
    assert world.fates == {FAILED: 1, MADE: 1}


def grown(rate: float, *, most: int = 8, for_s: float = 300.0) -> Autoscaler:
    """A pool of one replica, asked so many times; it takes 0.15 s for one utterance alone."""
    world, random = World(), Random(5)
    pool = Pool(world.env, [world.recogniser()])
    link = pool.link()
    policy = Policy(least=1, most=most)
    scaler = Autoscaler(world.env, pool, policy, world.recogniser, warm_s=20.0)

    def arrive() -> simpy.events.ProcessGenerator:
        for owner in range(round(for_s * rate)):
            yield world.env.timeout(random.expovariate(rate))
            link.ask(world.job(owner, audio_s=3.0, weight=WINDOW_S, key=WINDOW_S))

    world.env.process(arrive())
    world.env.run(until=for_s + 300.0)
    return scaler


def test_a_saturated_pool_grows_and_shrinks_when_it_is_quiet_again() -> None:
    sizes = grown(40.0).sizes
    assert max(size for _, size in sizes) >= 3
    first_s = next(at_s for at_s, size in sizes if size > 1)
    assert first_s >= 20.0  # none serves before it is warm
    assert sizes[-1][1] < max(size for _, size in sizes)


def test_a_pool_that_has_nothing_to_do_stays_as_it_is() -> None:
    assert [size for _, size in grown(1.0).sizes] == [1]


def test_a_pool_grows_no_further_than_it_may() -> None:
    assert max(size for _, size in grown(80.0, most=2, for_s=60.0).sizes) == 2
