"""Runs that share a device: alone, together, beside what others take, and cut short."""

from __future__ import annotations

import pytest
import simpy

from benchmarks.planning.device import Device


def finished_s(
    device: Device, env: simpy.Environment, runs: list[tuple[float, float, float]]
) -> list[float]:
    """When each of some runs is done: its begin, its work, its width."""
    done = [0.0] * len(runs)

    def one(
        number: int, begin_s: float, work_s: float, width: float
    ) -> simpy.events.ProcessGenerator:
        yield env.timeout(begin_s)
        yield device.run(work_s, width).done
        done[number] = env.now

    for number, run in enumerate(runs):
        env.process(one(number, *run))
    env.run()
    return done


def test_alone_it_takes_its_time() -> None:
    env = simpy.Environment()
    assert finished_s(Device(env, 2.0), env, [(1.0, 3.0, 2.0)]) == [4.0]


def test_who_fit_beside_each_other_do_not_feel_it() -> None:
    env = simpy.Environment()
    assert finished_s(Device(env, 2.0), env, [(0.0, 3.0, 1.0), (0.0, 3.0, 1.0)]) == [3.0, 3.0]


def test_two_who_want_all_of_it_are_half_as_fast() -> None:
    env = simpy.Environment()
    done = finished_s(Device(env), env, [(0.0, 1.0, 1.0), (0.0, 1.0, 1.0)])
    assert done == pytest.approx([2.0, 2.0])


def test_who_comes_later_slows_down_only_what_is_left() -> None:
    env = simpy.Environment()
    # for a second one alone; then two until the second has its second of work; then the first again
    done = finished_s(Device(env), env, [(0.0, 3.0, 1.0), (1.0, 1.0, 1.0)])
    assert done == pytest.approx([4.0, 3.0])


def test_what_others_take_is_gone() -> None:
    env = simpy.Environment()
    assert finished_s(Device(env, 2.0, taken=2.0), env, [(0.0, 1.0, 2.0)]) == pytest.approx([2.0])


def test_it_knows_how_busy_it_was() -> None:
    env = simpy.Environment()
    device = Device(env, 2.0)
    finished_s(device, env, [(0.0, 3.0, 1.0), (0.0, 3.0, 2.0)])
    assert device.busy_s == pytest.approx((3.0 * 1.0 + 3.0 * 2.0) / 2.0)


def test_a_run_is_cut_short_to_what_it_has_done_at_least() -> None:
    env = simpy.Environment()
    device = Device(env)
    run = device.run(10.0)
    env.run(until=2.0)
    assert device.worked_s(run) == pytest.approx(2.0)
    device.shorten(run, 3.0)
    env.run(until=run.done)
    assert env.now == pytest.approx(3.0)
    late = device.run(10.0)
    env.run(until=5.0)
    device.shorten(late, 0.5)
    env.run(until=late.done)
    assert env.now == pytest.approx(5.0)


def test_nothing_is_no_device() -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        Device(simpy.Environment(), 0.0)
