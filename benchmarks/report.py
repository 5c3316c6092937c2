"""Numbers in, a table and one JSON line out. Knows nothing of audio, callers or servers."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

Cell = str | float | int | None


def percentile(values: Iterable[float], percent: float) -> float:
    """The value below which `percent` of the values lie, interpolated between neighbours."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, so no percentile")
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Iterable[float | None]) -> dict[str, float | int | None]:
    """How many values there are, their median, p95 and max, to a tenth; None is left out."""
    known = [value for value in values if value is not None]
    if not known:
        return {"n": 0, "median": None, "p95": None, "max": None}
    return {
        "n": len(known),
        "median": round(percentile(known, 50), 1),
        "p95": round(percentile(known, 95), 1),
        "max": round(max(known), 1),
    }


def ratio(numerator: float | int | None, denominator: float | int | None) -> float | None:
    """Their quotient to two places, or None where either is missing or the divisor is zero."""
    if numerator is None or not denominator:
        return None
    return round(numerator / denominator, 2)


def show(cell: Cell) -> str:
    """A cell as text: a dash for nothing, no decimals from 100 on, one below, two below 10."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.{0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2}f}"
    return str(cell)


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Rows under headings in aligned columns: the first to the left, the others to the right."""
    lines = [list(headings), *([show(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]

    def aligned(line: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    ruler = ["-" * width for width in widths]
    return "\n".join(aligned(line) for line in [lines[0], ruler, *lines[1:]])


def spread_rows(named: dict[str, dict[str, float | int | None]]) -> list[list[Cell]]:
    """Rows `name, n, median, p95, max` for a table of spreads."""
    return [[name, s["n"], s["median"], s["p95"], s["max"]] for name, s in named.items()]


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def machine() -> dict[str, str | int | float]:
    """What the run ran on, with how busy it was (one-minute load average) when it was asked."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def emit(result: dict[str, object], path: Path | None = None) -> None:
    """Print the result as the last line, in JSON; write it to `path` too if there is one."""
    line = json.dumps(result, ensure_ascii=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line + "\n", encoding="utf-8")
    print(line, flush=True)
