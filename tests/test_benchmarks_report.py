"""Percentiles and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import emit, machine, percentile, ratio, spread, table


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5], 95, 5), ([3, 1, 2], 50, 2), ([1, 2, 3, 4], 50, 2.5), (range(101), 95, 95)],
)
def test_percentiles(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_spread_leaves_out_what_did_not_come() -> None:
    assert spread([1.0, None, 3.0]) == {"n": 2, "median": 2.0, "p95": 2.9, "max": 3.0}
    assert spread([None])["median"] is None


def test_a_ratio_needs_both_sides() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(None, 2.0) is ratio(1.0, None) is ratio(1.0, 0) is None


def test_a_table_is_aligned() -> None:
    assert table(["name", "ms"], [["a", 1234.5], ["long", None]]).splitlines() == [
        "name    ms",
        "----  ----",
        "a     1234",
        "long     -",
    ]


def test_the_last_line_is_json_and_is_kept(tmp_path: Path, capsys: object) -> None:
    path = tmp_path / "results" / "run.json"
    emit({"benchmark": "latency", "machine": machine()}, path)
    assert json.loads(path.read_text())["benchmark"] == "latency"
