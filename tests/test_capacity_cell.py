"""Callers, front ends and pools together, in simulated time."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
import simpy

from benchmarks.planning.caller import Counts
from benchmarks.planning.cell import simulate
from benchmarks.planning.cluster import Layout
from benchmarks.planning.doorway import Doorway, blocked, fronts_for
from benchmarks.planning.figures import Figures
from benchmarks.planning.habits import Judges, read_clips
from benchmarks.planning.job import MADE
from benchmarks.planning.pause import Pause
from benchmarks.planning.service import FrontEnd, Line
from benchmarks.planning.sizing import Aim, Sizing
from realtime.endpointing import NOTHING_SET
from tests.planned import (
    CHAR_S,
    CPU,
    EACH_S,
    FEATURES_S,
    FRONT,
    PAUSES,
    PIECE_S,
    RUN_S,
    SAYS,
    STREAMING,
    WINDOW_S,
    cluster,
    habits,
)

STAGES_S = FEATURES_S + RUN_S + EACH_S * WINDOW_S + 0.3 + PIECE_S + CHAR_S * SAYS.pieces[0]
"""Of one who is alone: his words, an endpoint's first words, his first piece."""
EAR_S = 0.010 + 0.040
BACK_S = 0.010 + 0.020
"""The network, and the silence at the head of a reply."""


SPEAKS = replace(CPU, voice=STREAMING)


def alone(**given: object) -> Figures:
    return simulate(cluster(), habits(**given), 1, seconds=300, stay=True)


def test_who_is_alone_waits_for_the_stages_and_nothing_else() -> None:
    figures = alone()
    expected_s = EAR_S + 0.5 + STAGES_S + BACK_S
    assert len(figures.answered) > 20
    assert [turn.waited_s for turn in figures.answered] == pytest.approx(
        [expected_s] * len(figures.answered)
    )


def test_a_draft_hides_the_stages_behind_the_silence() -> None:
    figures = alone(speculates=True)
    # it begins with the pause, at 60 ms; what is not done when the turn is over is waited for
    expected_s = EAR_S + max(0.5, 0.06 + STAGES_S) + BACK_S
    assert figures.percentile_ms(50) == pytest.approx(1e3 * expected_s)
    assert figures.counts["hits"] == pytest.approx(figures.counts["drafts"], abs=1)
    assert figures.counts["drafts"] > 20


def test_a_draft_that_was_wrong_is_dropped_and_the_turn_goes_on() -> None:
    figures = alone(speculates=True, clips=(PAUSES,))
    turns = len(figures.turns)
    assert figures.counts["drafts"] == pytest.approx(2 * turns, abs=2)
    assert all(turn.utterances == 1 for turn in figures.turns)


def test_a_pause_that_is_taken_for_the_end_splits_the_turn_and_interrupts_the_reply() -> None:
    fooled = Judges(sound_sure=1.0, sound_fooled=1.0)
    figures = alone(clips=(PAUSES,), asks=True, waits=NOTHING_SET, judges=fooled)
    assert all(turn.utterances == 2 for turn in figures.turns)
    assert figures.counts["interrupted"] == pytest.approx(len(figures.turns), abs=1)


def test_who_sounds_sure_waits_for_the_short_silence_and_who_does_not_for_the_long() -> None:
    for sure, wait_s in ((1.0, 0.26), (0.0, 0.9)):
        judges = Judges(sound_sure=sure)
        figures = alone(asks=True, waits=NOTHING_SET, judges=judges)
        assert figures.turns[0].decided_s == pytest.approx(EAR_S + wait_s)


def test_the_same_seed_gives_the_same_figures_and_another_does_not() -> None:
    given = {"partials": True, "speculates": True, "barge_in": 0.2}

    def run(seed: int) -> dict[str, object]:
        return simulate(cluster(2), habits(**given), 20, seconds=60, seed=seed).told()

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("voice", ["pieces", "chunks"])
def test_more_replicas_are_never_worse(voice: str) -> None:
    machine = CPU if voice == "pieces" else SPEAKS
    given = {"partials": True, "speculates": True, "barge_in": 0.2, "clips": (SAYS, PAUSES)}
    p95_ms = []
    for gpus in (1, 2, 4):
        figures = simulate(cluster(gpus, machine=machine), habits(**given), 60, seconds=60)
        p95_ms.append(figures.percentile_ms(95))
    for fewer, more in itertools.pairwise(p95_ms):
        assert more <= fewer * 1.02
    assert p95_ms[-1] < p95_ms[0]


def test_a_pool_without_one_of_the_engines_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks one"):
        simulate(cluster(layout=Layout(transcription=1)), habits(), 1, seconds=1)


def test_who_comes_in_the_same_moment_is_spread_over_the_front_ends() -> None:
    env, front = simpy.Environment(), SimpleNamespace
    fronts = [front(ear=front(open=0)) for _ in range(4)]
    doorway = Doorway(env, fronts, Counts(), Random(1), places=3)  # type: ignore[arg-type]
    let_in = [doorway.enter(60.0) for _ in range(14)]
    assert [each.ear.open for each in fronts] == [3, 3, 3, 3]
    assert (let_in, doorway.refused) == ([True] * 12 + [False] * 2, 2)


@pytest.mark.parametrize(("answers", "taken_back"), [(True, []), (False, ["me"])])
def test_a_pause_that_is_over_takes_its_question_back(answers: bool, taken_back: list[str]) -> None:
    env, taken = simpy.Environment(), []

    def judged(owner: str, told: Callable[[str], object]) -> Callable[[], None]:
        if answers:
            told(MADE)
        return lambda: taken.append(owner)

    stages = SimpleNamespace(env=env, habits=habits(asks=True, waits=NOTHING_SET), judged=judged)
    given = {"ear_s": 0.0, "length_s": 0.2, "voiced_s": 1.0, "reply": SAYS, "replies": True}
    pause = Pause(stages, "me", Random(1), **given)  # type: ignore[arg-type]
    env.run(until=env.process(pause.watch()))
    assert not pause.over
    assert taken == taken_back


@pytest.mark.pace
def test_callers_are_refused_as_often_as_erlang_says() -> None:
    """20 callers on average for 20 places, in and out for two hours."""
    busy = cluster(8, places=20)
    figures = simulate(busy, habits(call_s=60.0), 20, seconds=7_200)
    assert figures.came == pytest.approx(2_400, rel=0.1)
    # a conversation ends with its turn, so it lasts a little longer than drawn
    offered = 20 * (60 + 4) / 60
    assert figures.refused / figures.came == pytest.approx(blocked(offered, 20), rel=0.2)


def test_enough_front_ends_refuse_hardly_anybody() -> None:
    assert blocked(1.0, 1) == pytest.approx(0.5)
    fronts = fronts_for(1_000, 64)
    assert blocked(1_000, 64 * fronts) <= 1e-3 < blocked(1_000, 64 * (fronts - 1))


def test_a_replica_that_is_lost_now_and_then_costs_some_turns() -> None:
    sound, frail = (
        simulate(cluster(4, machine=SPEAKS, fails_every_s=every_s), habits(), 40, seconds=300)
        for every_s in (0.0, 20.0)
    )
    assert len(sound.answered) == len(sound.turns)
    assert 0 < len(frail.turns) - len(frail.answered) < len(frail.turns) / 4
    assert frail.failovers > 0


@functools.cache
def sizing(**given: object) -> Sizing:
    """One of these bounds; what it has found it keeps for the next test."""
    base = cluster(places=64)
    return Sizing(base, habits(speculates=True), cell=2, seconds=40.0, **given)  # type: ignore[arg-type]


@pytest.mark.pace
def test_a_slow_front_end_has_fewer_places_and_the_gpus_carry_as_much() -> None:
    """Eight more than it carries would wait for its cores, not for a GPU."""
    slow = FrontEnd(1.0, Line(0.0, 0.050), caller_cores=0.05)
    asks = habits(speculates=True)
    quick, burdened = (
        Sizing(cluster(front=front, places=64), asks, cell=2, seconds=40.0)
        for front in (FRONT, slow)
    )
    assert quick.places == 64
    assert 10 < burdened.places < 20
    assert burdened.most(2) == pytest.approx(quick.most(2), rel=0.1)
    assert burdened.most(2) > 2 * burdened.places


@pytest.mark.pace
def test_what_is_carried_meets_the_aim_and_a_fifth_more_does_not() -> None:
    sized = sizing()
    most = sized.most(2)
    assert sized.good(sized.run(2, most))
    assert not sized.good(sized.run(2, 1.2 * most))


@pytest.mark.pace
def test_gpus_grow_with_the_conversations_and_carry_them() -> None:
    sized = sizing()
    needed = [sized.gpus_for(n) for n in (1, 50, 100, 200, 400, 5_000)]
    assert needed[0] == 1
    assert needed == sorted(needed)
    a_gpu = sized.most(2) / 2
    assert needed[-1] == -(-5_000 // a_gpu)


@pytest.mark.pace
def test_who_wants_less_waiting_needs_more() -> None:
    patient, hasty = sizing(aim=Aim(400.0)), sizing(aim=Aim(50.0))
    assert hasty.gpus_for(300) > patient.gpus_for(300)


@pytest.mark.pace
def test_a_cell_and_twice_as_much_agree() -> None:
    sized = sizing()
    a_gpu = 0.8 * sized.most(2) / 2
    cell, whole = (sized.run(gpus, gpus * a_gpu, seconds=120.0) for gpus in (4, 8))
    assert whole.percentile_ms(50) == pytest.approx(cell.percentile_ms(50), rel=0.05)
    assert whole.percentile_ms(95) == pytest.approx(cell.percentile_ms(95), rel=0.1)


def test_the_clips_are_speech() -> None:
    clips = read_clips()
    assert len(clips) > 20
    assert all(0.3 < clip.voiced_s < 40 for clip in clips)
    assert all(sum(clip.pieces) / clip.voiced_s < 35 for clip in clips)
