"""What is made of the measured stages: arms side by side, and the drawing."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.clips import Clip
from benchmarks.latency import (
    ARMS,
    STAGES,
    Ahead,
    Spreads,
    ahead_of,
    bar,
    speculated,
    turn_facts,
    turn_row,
)
from benchmarks.turn import Response, Turn, Utterance
from benchmarks.waterfall import Bar, waterfall
from realtime.settings import read_settings
from realtime.turns import TurnSettings


def test_every_arm_is_a_server_that_starts() -> None:
    for options in ARMS.values():
        read_settings(options, {})


def measured(values: list[float | None]) -> Spreads:
    return {s: {"median": v, "p95": v and 99.0} for s, v in zip(STAGES, values, strict=True)}


def test_a_bar_has_the_stages_that_follow_one_another() -> None:
    made = bar("shipped", measured([0.0, 10.0, 20.0, 30.0, 40.0, 50.0]))
    assert list(made.parts.values()) == [0.0, 10.0, 20.0, 30.0]
    assert made.mark == 99.0


def test_stages_that_nobody_measured_have_no_length() -> None:
    assert bar("plain", measured([None] * len(STAGES))).reaches == 0.0


def test_of_a_status_only_speculation_is_told() -> None:
    status = {"counts": {"speculation.hit": 2, "turns": 3}}
    assert speculated(status) == {"speculation.hit": 2}
    assert speculated({}) == {}


CLIP = Clip("a.flac", "speech", "a", np.zeros(2_400, np.int16), 0, 2_399)


def a_turn(decided_s: float, audio_s: float | None, status: str = "completed") -> Turn:
    """Its speech ends at 10 s."""
    said = [Utterance("item", 9.0, decided_s, decided_s + 0.01, "a")]
    response = Response("resp", decided_s + 0.02, decided_s + 0.03, 12.0, 12.0, status, None, "b")
    return Turn(CLIP, 9.0, 10.0, said, response, audio_s)


@pytest.mark.parametrize(
    ("decided_s", "audio_s", "beyond_ms"),
    [
        (10.9, 10.93, 30.0),  # all was ready
        (10.3, 10.55, 100.0),  # the draft worked until 10.45
        (10.3, 10.40, -50.0),  # and was quicker than most
    ],
)
def test_what_is_beyond_the_decision_and_the_work_of_the_draft(decided_s, audio_s, beyond_ms):
    turn = a_turn(decided_s, audio_s)
    assert Ahead(100.0, 350.0, False).beyond_ms(turn) == pytest.approx(beyond_ms, abs=0.1)
    assert turn_facts(turn, beyond_ms)["beyond_ms"] == beyond_ms
    assert turn_row(turn, beyond_ms)[-2] == beyond_ms


@pytest.mark.parametrize("turn", [a_turn(10.3, None), a_turn(10.3, 10.5, "cancelled")])
def test_of_a_turn_without_an_answer_nothing_is_beyond(turn):
    assert Ahead(100.0, 350.0, False).beyond_ms(turn) is None
    assert "beyond_ms" not in turn_facts(turn, None)
    assert len(turn_row(turn, None)) == len(turn_row(a_turn(10.3, 10.5), 1.0))


def test_drafts_are_known_by_what_the_server_says_of_them() -> None:
    told = {"speculation.begun_ms": {"p50": 90.0}, "speculation.sound_ms": {"p50": 300.0}}
    assert ahead_of({"series": told}) == Ahead(90.0, 300.0, False)
    del told["speculation.begun_ms"]
    assert ahead_of({"series": told}) == Ahead(TurnSettings().pause_ms, 300.0, True)
    assert ahead_of({"series": {}}) is None
    assert ahead_of({}) is None


def test_a_drawing_has_a_box_for_each_stage_as_long_as_it_took() -> None:
    bars = [Bar("a <b>", {"one": 100.0, "two": 300.0}, 900.0), Bar("c", {"one": 50.0, "two": 0.0})]
    tree = ElementTree.fromstring(waterfall(bars, "ms"))
    boxes = [e for e in tree.iter() if e.tag.endswith("rect") and e.get("height") == "26"]
    widths = [float(box.get("width", "")) for box in boxes]
    assert [round(w / widths[0], 2) for w in widths] == [1.0, 3.0, 0.5, 0.0]
    assert "a <b>" in [e.text for e in tree.iter()]
