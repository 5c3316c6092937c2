"""The figures of one level of callers: a row for the CSV, more for the JSON line, the curves. Pure
but for the two functions that read and write the CSV file.
"""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.plot import Line, Panel, svg
from benchmarks.report import percentile, ratio

FELT = "end of speech -> first audio"
TARGET_MS = 1_500.0
LOOP_LIMIT = "<=10"
"""The histograms' bucket for beats of the server's loop that came in time, in ms."""
COLUMNS = {
    "callers": "callers",
    "said": "turns",
    "answered": "answered",
    "measured": "n",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "worst_over_best": "worst/best",
    "sessions_judged": "of sessions",
    "encodes": "encodes",
    "utterances_per_encode": "utt/encode",
    "batch_p50": "batch p50",
    "batch_max": "max",
    "loop_lag_p99_ms": "lag p99",
    "loop_lag_max_ms": "lag max",
    "loop_late_beats": "late",
    "loop_busy_beats": "busy",
    "server_cores": "server cores",
    "caller_cores": "caller cores",
    "caller_late_p95_ms": "callers late p95",
    "caller_late_max_ms": "max",
}
"""Columns of the CSV, and their headings in the table."""

Row = dict[str, Any]


def session_medians(said: list[Row], min_turns: int) -> list[float]:
    """The median wait of each session with at least so many turns, from best to worst."""
    felt: dict[int, list[float]] = {}
    for turn in said:
        felt.setdefault(turn["caller"], []).append(turn["stages_ms"][FELT])
    return sorted(statistics.median(ms) for ms in felt.values() if len(ms) >= min_turns)


def answered_within(said: list[Row], seconds: float) -> list[Row]:
    """The answered turns whose speech ended in the window."""
    return [t for t in said if t["outcome"] == "answered" and 0 <= t["ended_s"] <= seconds]


def stage_figures(said: list[Row]) -> dict[str, dict[str, float]]:
    """p50 and p95 of each stage, in ms."""
    stages = said[0]["stages_ms"] if said else {}
    known = {s: [t["stages_ms"][s] for t in said if t["stages_ms"][s] is not None] for s in stages}
    return {
        stage: {f"p{q}": round(percentile(ms, q), 1) for q in (50, 95)}
        for stage, ms in known.items()
        if ms
    }


def turn_columns(told: Row, seconds: float, min_turns: int) -> Row:
    """The columns that the callers' side gives."""
    said, measured = told["said"], answered_within(told["said"], seconds)
    felt = stage_figures(measured).get(FELT, {})
    medians = session_medians(measured, min_turns)
    return {
        "said": len(said) + sum(told["lost"].values()),
        "answered": sum(turn["outcome"] == "answered" for turn in said),
        "measured": len(measured),
        "p50_ms": felt.get("p50"),
        "p95_ms": felt.get("p95"),
        "worst_over_best": ratio(medians[-1], medians[0]) if medians else None,
        "sessions_judged": len(medians),
        "caller_late_p95_ms": told["late_ms"]["p95"],
        "caller_late_max_ms": told["late_ms"]["max"],
    }


def server_columns(before: Row, window: Row, after: Row, utterances: int) -> Row:
    """The columns that /status gives: encodes and batches of the level, and the loop's lag.

    `window` is what `window_of` gives.
    """
    encodes = count_of(after, "transcription.encodes") - count_of(before, "transcription.encodes")
    batch = after.get("series", {}).get("transcription.batch", {})
    lag, histograms = window["status"].get("loop_lag_ms", {}), window["histograms"]
    return {
        "encodes": encodes,
        "utterances_per_encode": ratio(utterances, encodes),
        "batch_p50": batch.get("p50"),
        "batch_max": batch.get("max"),
        "loop_lag_p99_ms": lag.get("p99"),
        "loop_lag_max_ms": lag.get("max"),
        "loop_late_beats": over_limit(histograms.get("loop.lag_ms")),
        "loop_busy_beats": over_limit(histograms.get("loop.busy_ms")),
    }


def window_of(begun: Row, ended: Row) -> Row:
    """/status at the end of the window, and its histograms less those of the window's begin.

    The longest value of a histogram is that since the start.
    """
    before, after = begun.get("histograms", {}), ended.get("histograms", {})
    passed = {
        name: {
            bucket: value if bucket == "longest" else value - before.get(name, {}).get(bucket, 0)
            for bucket, value in histogram.items()
        }
        for name, histogram in after.items()
    }
    return {"status": ended, "histograms": passed}


def over_limit(histogram: Row | None) -> int | None:
    """How many values of a histogram of /status are in the buckets beyond the limit."""
    if histogram is None:
        return None
    buckets = [name for name in histogram if name != "longest"]
    return sum(int(histogram[name]) for name in buckets[buckets.index(LOOP_LIMIT) + 1 :])


def count_of(status: Row, name: str) -> int:
    """A counter of /status; 0 where it has not been counted yet."""
    return int(status.get("counts", {}).get(name, 0))


def cores(begun: float | None, ended: float | None, seconds: float) -> float | None:
    """Processor seconds a second."""
    return None if begun is None or ended is None else round((ended - begun) / seconds, 2)


def level_facts(told: Row, window: Row, after: Row, seconds: float, min_turns: int) -> Row:
    """What the JSON line tells of a level beyond its row."""
    measured = answered_within(told["said"], seconds)
    return {
        "outcomes": Counter(turn["outcome"] for turn in told["said"]),
        "split": sum(turn["utterances"] > 1 for turn in told["said"]),
        "dry_turns": sum(turn["dry_ms"] > 0 for turn in told["said"]),
        "lost": told["lost"],
        "errors": told["errors"],
        "not_answered": [
            {key: turn[key] for key in ("caller", "clip", "outcome", "ended_s", "heard")}
            for turn in told["said"]
            if turn["outcome"] != "answered"
        ],
        "stages_ms": stage_figures(measured),
        "session_medians_ms": session_medians(measured, min_turns),
        "caller_late_ms": told["late_ms"],
        "window": window,
        "counts": after.get("counts", {}),
    }


def write_row(path: Path, row: Row, *, anew: bool) -> None:
    """Add a row to the CSV file; begin it anew, or where it is not there yet, with its head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    anew = anew or not path.exists()
    with path.open("w" if anew else "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS), lineterminator="\n")
        if anew:
            writer.writeheader()
        writer.writerow(row)


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file by number of callers; of two with the same number, the later one."""
    with path.open(encoding="utf-8", newline="") as file:
        read = [
            {k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)
        ]
    return [row for _, row in sorted({row["callers"]: row for row in read}.items())]


def drawing(rows: list[Row]) -> str:
    """The curves as SVG."""

    def line(name: str, column: str) -> Line:
        return Line(name, [row.get(column) for row in rows])

    wait = [line("p95", "p95_ms"), line("p50", "p50_ms")]
    work = [line("utterances", "utterances_per_encode"), line("largest batch", "batch_max")]
    busy = [line("server", "server_cores"), line("callers", "caller_cores")]
    panels = [
        Panel("End of speech to first audio, ms (dashed: 1,500)", wait, TARGET_MS),
        Panel("Utterances an encode call", work),
        Panel("Cores in use", busy),
        Panel("Lag of the server's event loop, ms", [line("p99", "loop_lag_p99_ms")]),
    ]
    return svg(panels, [int(row["callers"]) for row in rows], "callers at once")
