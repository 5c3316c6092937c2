"""Files in, errors out: service times, measured runs, and the fit between them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import capacity
from benchmarks.planning import lines
from benchmarks.planning.check import Measured, compared, read_measured
from benchmarks.planning.fitting import chunk_voice, fitted
from benchmarks.planning.habits import noticed
from benchmarks.planning.service import (
    FOLDER,
    ChunkVoice,
    FrontEnd,
    Line,
    Spread,
    named,
    read_front,
    read_machine,
)
from benchmarks.report import percentile
from benchmarks.speech_shape import pieces, stretches
from tests.planned import cluster, habits

RESULTS = FOLDER.parent / "results"
MACHINES = sorted(path for path in FOLDER.glob("*.json") if path.stem != "speech")


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_every_file_of_service_times_can_be_read_and_says_where_it_is_from(path: Path) -> None:
    machine = read_machine(path)
    told = json.loads(path.read_text())
    assert machine.name == path.stem
    assert machine.measured == ("assumed" not in path.stem)
    for part in ("transcription", "voice"):
        assert told["sources"][part].startswith("ASSUMED") != machine.measured
    assert named(path.stem) == path


def test_a_file_that_lacks_something_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text('{"name": "half", "measured": true}')
    with pytest.raises(ValueError, match=r"half\.json is no file of service times"):
        read_machine(path)


def test_a_front_end_needs_nothing_else_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "front.json"
    line = {"fixed_s": 0.0, "each_s": 0.05}
    path.write_text(json.dumps({"front_end": {"cores": 8, "end_of_turn": line}}))
    assert read_front(path) == FrontEnd(8, Line(0.0, 0.05))
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"front\.json does not tell of a front end"):
        read_front(path)


def test_a_line_is_found_again_from_its_runs() -> None:
    line, random = Line(0.05, 0.004, 0.1), Random(3)
    runs = [(w, line.seconds(w, random)) for w in (8, 16, 32, 64, 15, 30, 60, 120) * 20]
    found = fitted(runs, width=1.7)
    assert (found.fixed_s, found.each_s) == pytest.approx((0.05, 0.004), rel=0.1)
    assert found.spread == pytest.approx(0.1, rel=0.2)
    assert found.width == 1.7


def test_neither_part_of_a_line_is_less_than_nothing() -> None:
    assert fitted([(1, 0.2), (2, 0.1)]).each_s == 0
    assert fitted([(1, 0.1), (4, 1.0)]).fixed_s == 0
    assert fitted([(3, 0.3), (3, 0.5)]) == Line(0.4, 0.0, fitted([(3, 0.3), (3, 0.5)]).spread)
    with pytest.raises(ValueError, match="no runs"):
        fitted([])


def test_waits_have_the_median_and_the_percentile_that_they_are_told_by() -> None:
    random = Random(5)
    drawn = [Spread(0.3, 0.9).seconds(random) for _ in range(20_000)]
    assert percentile(drawn, 50) == pytest.approx(0.3, rel=0.03)
    assert percentile(drawn, 95) == pytest.approx(0.9, rel=0.05)
    assert Spread(0.0, 0.0).seconds(random) == 0.0


def test_chatterbox_as_it_was_measured_becomes_lines() -> None:
    told = json.loads((RESULTS / "2026-11-30-chatterbox-turbo-cpu.json").read_text())
    voice = chunk_voice(told, streams=8, chars_per_s=15.0)
    step, flow = Line(**voice["step"]), Line(**voice["flow"])
    for n, each in told["t3"].items():
        assert step.fixed_s + int(n) * step.each_s == pytest.approx(each["step_ms"] / 1e3, rel=0.15)
    assert 0.003 < flow.each_s < 0.012  # seconds of two cores for a token


@pytest.mark.pace
def test_lines_in_simulated_time_are_about_as_quick_as_measured() -> None:
    told = json.loads((RESULTS / "2026-11-30-chatterbox-turbo-cpu.json").read_text())
    for row in lines.compared(told):
        assert abs(row["error_percent"]) < 40, row


def measured_file(tmp_path: Path, told: Any) -> Path:
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(told))
    return path


def test_runs_are_read_in_both_forms(tmp_path: Path) -> None:
    of_concurrency = read_measured(RESULTS / "2026-11-25-concurrency-1-8.json")
    assert [run.callers for run in of_concurrency] == [1, 2, 4, 8]
    assert of_concurrency[0] == Measured(1, 782.5, 802.5, 3, 0.02)
    run = {
        "callers": 8,
        "replicas": {"transcription": 2, "voice": 1},
        "wait_ms": {"n": 70, "median": 700.0, "p95": 900.0},
    }
    expected = Measured(8, 700.0, 900.0, 70, transcription=2, voice=1, fronts=1)
    assert read_measured(measured_file(tmp_path, run)) == [expected]
    assert read_measured(measured_file(tmp_path, {"levels": [run, run]})) == [expected, expected]
    with pytest.raises(ValueError, match="replicas"):
        read_measured(measured_file(tmp_path, {"callers": 1, "wait_ms": {}}))


def test_what_the_simulation_itself_gives_has_hardly_an_error() -> None:
    runs = [Measured(4, 1_000.0, 1_000.0, transcription=1, voice=1)]
    machine = cluster(one_machine=True)
    [first] = compared(runs, machine, habits(), seconds=120)
    again = [Measured(4, first["p50_ms"], first["p95_ms"])]
    [second] = compared(again, machine, habits(), seconds=120, seed=99)
    assert abs(second["p50_error_percent"]) < 3
    assert abs(second["p95_error_percent"]) < 10


def test_more_replicas_on_the_same_cores_are_compared_as_such() -> None:
    runs = [Measured(12, 900.0, 1_500.0, transcription=n, voice=1) for n in (1, 2)]
    one, two = compared(runs, cluster(one_machine=True), habits(), seconds=60)
    assert two["replicas"] == {"transcription": 2, "voice": 1}
    # on one core two recognisers share what one had alone, and make smaller batches of it
    assert one["p50_ms"] < two["p50_ms"]


def test_voice_and_pauses_of_frames() -> None:
    voiced = [False] * 5 + [True] * 100 + [False] * 30 + [True] * 50 + [False] * 9
    assert stretches(voiced) == [[1.0, 0.3], [0.5, 0.0]]
    assert stretches([False] * 9) == []
    bridged, told = ([True] * 10 + [False] * frames + [True] * 10 for frames in (3, 4))
    assert stretches(bridged) == [[0.23, 0.0]]
    assert stretches(told) == [[0.1, 0.04], [0.1, 0.0]]


def test_voice_too_short_to_end_a_pause_is_part_of_it() -> None:
    assert noticed([(1.0, 0.3), (0.02, 0.2), (0.5, 0.0)]) == ((1.0, 0.52), (0.5, 0.0))
    assert noticed([(1.0, 0.3), (0.02, 0.0)]) == ((1.0, 0.0),)
    assert noticed([(1.0, 0.04), (0.02, 0.0)]) == ((1.0, 0.04), (0.02, 0.0))


def test_a_voice_of_chunks_gets_longer_pieces() -> None:
    words = "Oh dear! This is a lovely tale about two cities of old. It was the best of times."
    assert len(pieces(words, "chunks")) < len(pieces(words))
    assert sum(pieces(words, "chunks")) == len(words) - len(pieces(words, "chunks")) + 1


def test_pieces_of_a_reply_are_all_of_it() -> None:
    words = "This is a lovely tale about two cities. It was the best of times."
    found = pieces(words)
    assert len(found) == 3
    assert sum(found) == len(words) - 2


def run_main(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["capacity", *options])
    capacity.main()


@pytest.mark.pace
def test_the_curve_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, out = tmp_path / "curve.svg", tmp_path / "curve.json"
    options = ["--conversations", "10", "2000", "--cell", "1", "--seconds", "20"]
    options += ["--plot", str(plot), "--json", str(out), "--gpu-price", "2", "--front-price", "0"]
    run_main(monkeypatch, *options)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == json.loads(out.read_text())
    assert told["service"]["measured"] is False
    few, many = told["rows"]
    assert few["gpus"] == 1
    assert few["price_per_conversation_hour"] == pytest.approx(2 / 10)
    assert many["gpus"] > 1
    assert many["price_per_conversation_hour"] == pytest.approx(many["gpus"] * 2 / 2000, abs=1e-4)
    ElementTree.fromstring(plot.read_text())


def test_a_check_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"callers": 2, "replicas": {"transcription": 1, "voice": 1}}
    path = measured_file(tmp_path, run | {"wait_ms": {"median": 700.0, "p95": 900.0}})
    options = ["--machine", "xeon-2-cores", "--one-machine", "--replier", "echo"]
    run_main(monkeypatch, *options, "--seconds", "60", "--check", str(path))
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["what"] == "check"
    assert told["rows"][0]["measured_p50_ms"] == 700.0
    assert told["rows"][0]["p50_error_percent"] == pytest.approx(
        100 * (told["rows"][0]["p50_ms"] / 700.0 - 1), abs=0.1
    )


def test_chunks_are_what_the_assumed_cards_speak_in() -> None:
    for name in ("h100-assumed", "l4-assumed"):
        assert isinstance(read_machine(named(name)).voice, ChunkVoice)
