"""Chatterbox in simulated time: lines that share steps, sound in chunks, and who waits for whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
import simpy

from benchmarks.planning.device import Device
from benchmarks.planning.job import FAILED, MADE, Job
from benchmarks.planning.streams import (
    APPENDED,
    FRAME_S,
    SCHEDULE,
    StreamReplica,
    parts_of,
    read_frames,
    read_tokens,
)
from realtime.batching import FINAL
from tests.planned import STREAMING


@dataclass
class Listeners:
    """Lines asked of one replica, and what was heard of each when."""

    env: simpy.Environment = field(default_factory=simpy.Environment)
    heard: dict[object, list[tuple[float, float]]] = field(default_factory=dict)
    fates: dict[object, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.voice = StreamReplica(self.env, Device(self.env), STREAMING, Random(1))

    def ask(self, owner: object, chars: int = 60, *, at_s: float = 0.0, rank: int = FINAL) -> Job:
        self.heard[owner] = []
        job = Job(
            owner,
            chars * STREAMING.s_per_char,
            chars,
            lambda fate: self.fates.update({owner: fate}),
            lambda seconds: self.heard[owner].append((self.env.now, seconds)),
            rank=rank,
        )

        def later() -> simpy.events.ProcessGenerator:
            yield self.env.timeout(at_s)
            self.voice.submit(job)

        self.env.process(later())
        return job

    def first_s(self, owner: object) -> float:
        return self.heard[owner][0][0]

    def dry_s(self, owner: object) -> float:
        """Silence between chunks."""
        until_s, dry_s = self.first_s(owner), 0.0
        for at_s, seconds in self.heard[owner]:
            dry_s += max(0.0, at_s - until_s)
            until_s = max(at_s, until_s) + seconds
        return dry_s


def test_a_line_alone_has_its_first_sound_after_ten_steps_and_a_run() -> None:
    listeners = Listeners()
    listeners.ask("a")
    listeners.env.run()
    step_s = STREAMING.step.fixed_s + STREAMING.step.each_s
    [first, *_] = parts_of(75)
    flow, vocoder = STREAMING.flow, STREAMING.vocoder
    run_s = flow.fixed_s + flow.each_s * read_tokens([first])
    run_s += vocoder.fixed_s + vocoder.each_s * read_frames([first])
    expected_s = STREAMING.begin.fixed_s + SCHEDULE.needed(0) * step_s + run_s
    assert listeners.first_s("a") == pytest.approx(expected_s)
    assert listeners.fates == {"a": MADE}


def test_all_of_a_line_is_heard_and_no_more() -> None:
    listeners = Listeners()
    for owner in range(5):
        listeners.ask(owner, chars=20 + 17 * owner)
    listeners.env.run()
    for owner in range(5):
        made_s = sum(seconds for _, seconds in listeners.heard[owner])
        line_s = (20 + 17 * owner) * STREAMING.s_per_char + 2 * APPENDED * FRAME_S
        assert made_s == pytest.approx(line_s, abs=0.04)
        assert listeners.fates[owner] == MADE


def test_lines_together_take_hardly_longer_than_one() -> None:
    alone, together = Listeners(), Listeners()
    alone.ask(0)
    alone.env.run()
    for owner in range(8):
        together.ask(owner)
    together.env.run()
    assert together.env.now < 3 * alone.env.now
    assert max(together.dry_s(owner) for owner in range(8)) == 0


def test_who_comes_while_others_are_spoken_shares_the_next_steps() -> None:
    listeners = Listeners()
    listeners.ask("long", chars=200)
    listeners.ask("late", at_s=0.2)
    listeners.env.run()
    alone = Listeners()
    alone.ask("late")
    alone.env.run()
    waited_s = listeners.first_s("late") - 0.2
    assert waited_s < alone.first_s("late") + 0.08


def test_no_more_lines_at_a_time_than_there_are_rows() -> None:
    listeners = Listeners()
    for owner in range(40):
        listeners.ask(owner)
    listeners.env.run()
    assert max(listeners.voice.rows) == STREAMING.streams
    assert set(listeners.fates.values()) == {MADE}
    assert listeners.first_s(39) > listeners.first_s(0)


def test_a_cancelled_line_frees_its_row_and_is_heard_no_more() -> None:
    listeners = Listeners()
    job = listeners.ask("a", chars=200)
    listeners.env.run(until=0.5)
    heard = len(listeners.heard["a"])
    listeners.voice.withdraw(job)
    listeners.env.run()
    assert len(listeners.heard["a"]) == heard
    assert listeners.voice.idle
    assert listeners.env.now < 1.0


def test_what_it_had_when_it_was_lost_is_given_back() -> None:
    listeners = Listeners()
    jobs = [listeners.ask(owner) for owner in "ab"]
    listeners.env.run(until=0.1)
    assert listeners.voice.fail() == jobs
    listeners.ask("c")
    listeners.env.run(until=1.0)
    assert listeners.fates == {"c": FAILED}
    listeners.voice.revive()
    listeners.ask("d")
    listeners.env.run()
    assert listeners.fates["d"] == MADE
