"""Crowds, bursts and noise: what is drawn at random, what is counted and how it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.arrivals import (
    THINK_LEAST_S,
    THINK_MOST_S,
    Arrival,
    burst,
    endless,
    poisson,
    think_s,
)
from benchmarks.clips import Clip, names_voices
from benchmarks.comparison import SHIPPED, Block, versus
from benchmarks.cpu import cpu_seconds
from benchmarks.levels import (
    COLUMNS,
    FELT,
    drawing,
    read_rows,
    server_columns,
    turn_columns,
    window_of,
    write_row,
)
from benchmarks.noise import plays, reaction_of
from benchmarks.plot import Line, Panel, svg, ticks
from benchmarks.recogniser import Heard, Recogniser
from benchmarks.record import Record
from benchmarks.turn import TRANSCRIBED

CLIP = Clip("noise_cafe.flac", "noise", "", np.zeros(2400, np.int16), 0, 2399)


def test_a_pause_for_thought_is_exponential_within_its_bounds() -> None:
    random = Random(1)
    pauses = [think_s(random) for _ in range(4_000)]
    assert THINK_LEAST_S <= min(pauses) < THINK_LEAST_S + 0.01
    assert THINK_MOST_S - 0.1 < max(pauses) <= THINK_MOST_S
    # of exponential times of mean 2 s cut at 4 s, 73 % are in the first half
    assert np.mean([pause < 4.0 for pause in pauses]) == pytest.approx(0.731, abs=0.02)


def test_everything_is_said_once_before_anything_is_said_twice() -> None:
    order: Iterator[int] = endless([1, 2, 3], Random(1))
    rounds = [[next(order) for _ in range(3)] for _ in range(20)]
    assert all(sorted(each) == [1, 2, 3] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_arrivals_are_fixed_by_their_seed_and_come_at_their_rate() -> None:
    arrivals = poisson(5.0, 2_000, 7, Random(3))
    assert arrivals == poisson(5.0, 2_000, 7, Random(3)) != poisson(5.0, 2_000, 7, Random(4))
    gaps = np.diff([arrival.at_s for arrival in arrivals])
    assert np.mean(gaps) == pytest.approx(0.2, rel=0.05)
    assert np.std(gaps) == pytest.approx(0.2, rel=0.1)
    assert {arrival.which for arrival in arrivals} == set(range(7))


def test_a_burst_is_within_its_time_and_in_order() -> None:
    times = [arrival.at_s for arrival in burst(0.2, 16, 20, Random(3))]
    assert len(times) == 16
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 0.2


def turn(caller: int, ms: float | None, ended_s: float, utterances: int = 1) -> dict[str, Any]:
    """What a crowd tells of a turn; answered if there is a time."""
    return {
        "caller": caller,
        "clip": "a.flac",
        "outcome": "answered" if ms is not None else "no response",
        "ended_s": ended_s,
        "stages_ms": {} if ms is None else {FELT: ms},
        "utterances": utterances,
        "heard": "",
        "dry_ms": 0.0,
    }


LATE = {"p95": 1.5, "max": 30.0}


def test_the_ramp_and_the_end_count_as_turns_and_not_in_the_figures() -> None:
    said = [turn(0, 9_000.0, -0.1), turn(0, 100.0, 0.0), turn(0, 300.0, 60.0), turn(0, 8e3, 60.1)]
    said += [turn(1, None, 30.0)]
    columns = turn_columns({"said": said, "lost": {"refused": 2}, "late_ms": LATE}, 60.0, 3)
    assert (columns["said"], columns["answered"], columns["measured"]) == (7, 4, 2)
    assert (columns["p50_ms"], columns["p95_ms"]) == (200.0, 290.0)
    assert (columns["worst_over_best"], columns["sessions_judged"]) == (None, 0)


def test_sessions_with_enough_turns_are_compared_by_their_medians() -> None:
    told = {
        "said": [
            *(turn(0, ms, 1.0) for ms in (500.0, 600.0, 5_000.0)),
            *(turn(1, ms, 1.0) for ms in (900.0, 1_000.0, 100.0)),
            *(turn(2, ms, 1.0) for ms in (9_000.0, 9_000.0)),
        ],
        "lost": {},
        "late_ms": LATE,
    }
    columns = turn_columns(told, 60.0, 3)
    assert (columns["worst_over_best"], columns["sessions_judged"]) == (1.5, 2)


def status(encodes: int, late: int) -> dict[str, Any]:
    lag = {"<=5": 100 + late, "<=10": late, "<=20": 2 * late, ">100": late, "longest": 120.0}
    return {
        "counts": {"transcription.encodes": encodes},
        "series": {"transcription.batch": {"p50": 2, "p99": 7, "max": 8}},
        "histograms": {"loop.lag_ms": lag},
        "loop_lag_ms": {"p50": 0.1, "p99": 4.0, "max": 12.0},
    }


def test_what_the_server_counted_before_is_not_counted() -> None:
    window = window_of(status(1, 5), status(20, 7))
    assert window["histograms"]["loop.lag_ms"]["<=5"] == 2
    columns = server_columns(status(1, 0), window, status(21, 9), 50)
    assert (columns["encodes"], columns["utterances_per_encode"]) == (20, 2.5)
    assert (columns["batch_max"], columns["loop_lag_p99_ms"]) == (8, 4.0)
    assert (columns["loop_late_beats"], columns["loop_busy_beats"]) == (6, None)


def test_rows_are_kept_by_number_of_callers_and_the_later_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "curve.csv"
    for callers, p50, anew in ((8, 700.0, True), (2, 500.0, False), (8, 800.0, False)):
        write_row(path, {"callers": callers, "p50_ms": p50, "p95_ms": None}, anew=anew)
    rows = read_rows(path)
    assert [(row["callers"], row["p50_ms"], row["p95_ms"]) for row in rows] == [
        (2.0, 500.0, None),
        (8.0, 800.0, None),
    ]
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    write_row(path, {"callers": 1}, anew=True)
    assert [row["callers"] for row in read_rows(path)] == [1.0]
    assert ElementTree.fromstring(drawing(rows)).tag.endswith("svg")


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(1500.0, [0, 500, 1000, 1500]), (0.9, [0, 0.2, 0.4, 0.6, 0.8, 1]), (8, [0, 2, 4, 6, 8])],
)
def test_ticks_are_round_and_reach_the_top(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


def test_a_higher_value_is_drawn_higher_and_a_missing_one_not_at_all() -> None:
    panel = Panel("a < b", [Line("up & down", [1.0, None, 3.0]), Line("nothing", [None] * 3)], 2.0)
    root = ElementTree.fromstring(svg([panel], [1, 2, 4], "callers"))
    name = "{http://www.w3.org/2000/svg}"
    (curve,) = root.iter(f"{name}polyline")
    (first, last) = [tuple(map(float, p.split(","))) for p in curve.attrib["points"].split()]
    (mark,) = [line for line in root.iter(f"{name}line") if line.attrib["class"] == "mark"]
    assert first[0] < last[0]
    assert first[1] > float(mark.attrib["y1"]) > last[1]
    texts = [text.text for text in root.iter(f"{name}text")]
    assert {"a < b", "up & down", "1", "2", "4", "callers"} <= set(texts)
    assert "nothing" not in texts


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_work_of_children_is_counted_with_their_parents() -> None:
    before = cpu_seconds(os.getpid())
    assert before is not None
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint('busy', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        own, living = cpu_seconds(child.pid), cpu_seconds(os.getpid())
        child.communicate(b"\n")
    ended = cpu_seconds(os.getpid())
    assert own is not None
    assert living is not None
    assert ended is not None
    assert own >= 0.15
    assert living - before >= 0.15
    assert ended >= living
    assert cpu_seconds(child.pid) is None
    assert cpu_seconds(None) is None


def block(policy: str, rival: str, pair: int, *ms: float) -> Block:
    return Block(policy, rival, pair, [Heard(0, each, 0.0, "words") for each in ms], 1)


def test_a_rival_is_compared_with_the_blocks_beside_it_alone() -> None:
    blocks = [
        block(SHIPPED, "a", 0, 100.0),
        block("a", "a", 0, 300.0),
        block(SHIPPED, "a", 1, 100.0),
        block("a", "a", 1, 50.0),
        block(SHIPPED, "b", 0, 9_999.0),
        block("b", "b", 0, 9_999.0),
    ]
    found = versus(blocks, "a")
    assert found["p95_ratio_of_each_pair"] == [3.0, 0.5]
    assert (found["shipped_ms"]["n"], found["median_ratio"]) == (2, 1.75)


def test_an_error_is_counted_and_is_in_no_latency() -> None:
    heard = [Heard(0, 100.0, 0.0, "words"), Heard(1, 5.0, 0.0, "", "Saturated: full")]
    facts = Block(SHIPPED, "a", 0, [*heard, Heard(2, 200.0, 0.0, "")], 1).facts()
    assert (facts["arrivals"], facts["errors"], facts["without_words"]) == (3, 1, 1)
    assert (facts["latency_ms"]["n"], facts["latency_ms"]["median"]) == (2, 150.0)


class Deaf:
    """Fails for every second owner."""

    def __init__(self) -> None:
        self.owners: list[int] = []

    async def transcribe(self, utterance: str, *, owner: int) -> Any:
        self.owners.append(owner)
        if owner % 2:
            raise RuntimeError("deaf")
        return type("Transcript", (), {"text": utterance})


async def test_a_trace_is_played_in_order_and_an_error_ends_nothing() -> None:
    engine = Deaf()
    trace = [Arrival(0.0, 1), Arrival(0.0, 0), Arrival(0.001, 1), Arrival(0.002, 0)]
    heard = await Recogniser(engine, None).play(trace, ["nought", "one"])
    assert [(each.which, each.text) for each in heard] == [
        (1, ""),
        (0, "nought"),
        (1, ""),
        (0, "nought"),
    ]
    assert [each.error for each in heard] == ["RuntimeError: deaf", None] * 2
    assert engine.owners == [1, 2, 3, 4]
    assert all(each.latency_ms >= each.late_ms >= 0 for each in heard)


@pytest.mark.parametrize("name", ["cafe", "noise_cafe", "noise_cafe.flac"])
def test_a_clip_with_voices_may_be_named_in_three_ways(name: str) -> None:
    assert names_voices(CLIP, ["street", name])
    assert not names_voices(CLIP, ["caf"])


def test_the_first_play_has_no_offset_and_the_others_have_seeded_ones() -> None:
    listed = plays([CLIP, CLIP], ["cafe"], 3, 7)
    assert [play.offset_samples for play in listed[:2]] == [0, 0]
    assert len({play.offset_samples for play in listed[2:]}) > 1
    assert all(0 <= play.offset_samples < 480 for play in listed)
    assert listed == plays([CLIP, CLIP], ["cafe"], 3, 7)


@pytest.mark.parametrize(
    ("voices", "responses", "verdict"),
    [
        ([], 0, "quiet"),
        ([], 1, "ANSWERED"),
        (["cafe"], 1, "answered, has voices"),
    ],
)
def test_what_noise_started(voices: list[str], responses: int, verdict: str) -> None:
    record = Record()
    record.add({"type": "input_audio_buffer.speech_started", "item_id": "item_1"}, 2.0)
    record.add({"type": "input_audio_buffer.speech_stopped", "item_id": "item_1"}, 3.0)
    record.add({"type": "input_audio_buffer.committed", "item_id": "item_1"}, 3.0)
    record.add({"type": TRANSCRIBED, "item_id": "item_1", "transcript": "you"}, 3.1)
    for number in range(responses):
        record.add({"type": "response.created", "response": {"id": f"resp_{number}"}}, 3.2)
    reaction = reaction_of(record, plays([CLIP], voices, 1, 7)[0], 0.5)
    assert (reaction.started_s, reaction.committed) == ([1.5], 1)
    assert (reaction.transcripts, reaction.verdict) == (["you"], verdict)
