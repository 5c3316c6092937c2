"""Whose job is next."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from realtime.fair_queue import FairQueue


def drain(queue: FairQueue) -> list:
    found = []
    while (entry := queue.pop()) is not None:
        found.append(entry.job)
    return found


def test_owners_take_turns_and_each_ones_jobs_keep_their_order():
    queue: FairQueue[str] = FairQueue(max_cost=100)
    for job in ("a1", "a2", "a3", "b1", "c1", "c2"):
        assert queue.push(job, owner=job[0])
    assert drain(queue) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_entries_can_be_passed_over_but_nobody_overtakes_himself():
    queue: FairQueue[str] = FairQueue(max_cost=100)
    for job, key in (("a1", "long"), ("a2", "short"), ("b1", "short"), ("c1", "long")):
        queue.push(job, owner=job[0], key=key)

    def short(entry):
        return entry.key == "short"

    assert queue.pop(short).job == "b1"
    assert queue.pop(short) is None
    assert drain(queue) == ["a1", "c1", "a2"]


def test_a_job_is_taken_out_wherever_it_stands_and_gives_its_room_back():
    queue: FairQueue[str] = FairQueue(max_cost=3)
    for job in ("a1", "a2", "b1"):
        queue.push(job, owner=job[0])
    assert not queue.push("a3", owner="a")
    assert queue.remove("a1", owner="a")
    assert not queue.remove("a1", owner="a")
    assert queue.push("a3", owner="a")
    assert drain(queue) == ["a2", "b1", "a3"]
    assert queue.cost == 0


def test_a_lower_rank_leaves_first():
    queue: FairQueue[str] = FairQueue(max_cost=100)
    queue.push("file", owner="a", rank=2)
    queue.push("partial", owner="b", rank=1)
    queue.push("final", owner="c", rank=0)
    assert drain(queue) == ["final", "partial", "file"]


def test_jobs_that_get_another_rank_go_behind_those_their_owner_has_there():
    queue: FairQueue[str] = FairQueue(max_cost=100)
    for job, owner, rank in (("a1", "a", 1), ("a2", "a", 1), ("b1", "b", 1), ("a0", "a", 0)):
        queue.push(job, owner=owner, rank=rank, cost=2)
    queue.move("a", rank=1, to=0)
    queue.move("b", rank=3, to=0)
    assert (len(queue), queue.cost, queue.ranks) == (4, 8, [0, 1])
    assert drain(queue) == ["a0", "a1", "a2", "b1"]
    assert queue.cost == 0


def test_a_rank_that_is_emptied_by_a_move_is_gone_and_a_moved_job_can_be_taken_back():
    queue: FairQueue[str] = FairQueue(max_cost=100)
    queue.push("a1", owner="a", rank=1)
    queue.move("a", rank=1, to=0)
    assert queue.ranks == [0]
    assert queue.remove("a1", owner="a")
    assert (len(queue), queue.ranks, queue.cost) == (0, [], 0)


def test_a_full_queue_refuses_those_who_wait_already_and_nobody_else():
    queue: FairQueue[str] = FairQueue(max_cost=10)
    assert queue.push("huge", owner="a", cost=50)
    assert not queue.push("more", owner="a", cost=1)
    assert queue.push("small", owner="b", cost=1)
    assert not queue.push("again", owner="b", cost=1)
    assert drain(queue) == ["huge", "small"]
    assert queue.push("again", owner="b", cost=1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.floats(0.1, 5)), max_size=60))
def test_nothing_is_lost_and_nobody_waits_longer_than_a_round(pushes):
    queue: FairQueue[tuple] = FairQueue(max_cost=1e9)
    for n, (owner, rank, cost) in enumerate(pushes):
        queue.push((rank, owner, n), owner=owner, cost=cost, rank=rank)
    out = drain(queue)
    assert sorted(out) == sorted((r, o, n) for n, (o, r, _) in enumerate(pushes))
    assert queue.cost == 0
    assert [r for r, _, _ in out] == sorted(r for r, _, _ in out)
    for rank in range(3):
        order = [owner for r, owner, _ in out if r == rank]
        for owner in set(order):
            places = [n for n, o in enumerate(order) if o == owner]
            assert all(b - a <= 5 for a, b in pairwise(places))


def test_what_waits_of_urgent_ranks_is_summed_without_the_rest() -> None:
    queue: FairQueue[str] = FairQueue(100.0)
    jobs = ["final", "speculation", "partial", "file"]
    for rank, cost in enumerate((1.0, 2.0, 4.0, 8.0)):
        queue.push(jobs[rank], owner=rank, cost=cost, rank=rank)
    assert [queue.cost_until(rank) for rank in range(5)] == [0.0, 1.0, 3.0, 7.0, 15.0]
    queue.remove(jobs[0], owner=0)
    assert queue.cost_until(2) == 2.0
