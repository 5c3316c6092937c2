"""Measured runs -> a line: a fixed part, one for each unit of weight, and the spread. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.planning.service import Line
from benchmarks.planning.streams import parts_of, read_frames, read_tokens

Runs = Sequence[tuple[float, float]]
"""Weight and seconds of each."""


def fitted(runs: Runs, *, width: float = 1.0) -> Line:
    """The line with the least squared relative error; neither part is less than nothing.

    Raises:
        ValueError: there are no runs.
    """
    if not runs:
        raise ValueError("no runs, so no line")
    fixed_s, each_s = _least_squares(runs)
    if each_s < 0 or len({weight for weight, _ in runs}) == 1:
        fixed_s, each_s = statistics.median(seconds for _, seconds in runs), 0.0
    elif fixed_s < 0:
        fixed_s, each_s = 0.0, statistics.median(s / w for w, s in runs if w)
    off = [math.log(s / max(1e-9, fixed_s + each_s * w)) for w, s in runs]
    return Line(
        round(fixed_s, 6), round(each_s, 6), round(statistics.pstdev(off), 3), round(width, 2)
    )


def fitted_plane(
    runs: Sequence[tuple[float, float, float]], *, width: float = 1.0
) -> tuple[Line, float]:
    """The same by two weights: the line by the first, and what each of the second adds."""
    shares = np.array([1 / seconds for *_, seconds in runs])
    columns = np.array([(1.0, first, second) for first, second, _ in runs])
    (fixed_s, each_s, more_s), *_ = np.linalg.lstsq(
        columns * shares[:, None], np.ones(len(runs)), rcond=None
    )
    if min(fixed_s, each_s, more_s) < 0:
        return fitted([(first, seconds) for first, _, seconds in runs], width=width), 0.0
    off = [math.log(s / (fixed_s + each_s * first + more_s * second)) for first, second, s in runs]
    line = Line(
        round(float(fixed_s), 6),
        round(float(each_s), 6),
        round(statistics.pstdev(off), 3),
        round(width, 2),
    )
    return line, round(float(more_s), 6)


def _least_squares(runs: Runs) -> tuple[float, float]:
    """Each run counts by one over the square of its seconds."""
    shares = [1 / seconds**2 for _, seconds in runs]
    total = sum(shares)
    mean_w = sum(k * w for k, (w, _) in zip(shares, runs, strict=True)) / total
    mean_s = sum(k * s for k, (_, s) in zip(shares, runs, strict=True)) / total
    over = sum(k * (w - mean_w) * (s - mean_s) for k, (w, s) in zip(shares, runs, strict=True))
    under = sum(k * (w - mean_w) ** 2 for k, (w, _) in zip(shares, runs, strict=True))
    each_s = over / under if under else 0.0
    return mean_s - each_s * mean_w, each_s


def chunk_voice(told: Mapping[str, Any], *, streams: int, chars_per_s: float) -> dict[str, Any]:
    """The `voice` of a file of service times, of what `chatterbox.py --json` tells.

    A step by the rows in it from T3 alone; the rest from the lines that were streamed.
    """
    steps = [(float(n), each["step_ms"] / 1e3) for n, each in told["t3"].items()]
    parts = parts_of(told["tokens"])
    read = {"flow": read_tokens(parts), "vocoder": read_frames(parts)}
    runs: dict[str, list[tuple[float, float]]] = {"prefill": [], "flow": [], "vocoder": []}
    for each in told["stream"].values():
        for stage, per_line_ms in each["stages_ms_a_line"].items():
            if stage in runs:
                a_run = each["lines"] / each["calls"][stage]
                runs[stage].append((a_run * read.get(stage, 1), a_run * per_line_ms / 1e3))
    return {
        "kind": "chunks",
        "begin": vars(fitted(runs["prefill"])),
        "step": vars(fitted(steps)),
        "flow": vars(fitted(runs["flow"])),
        "vocoder": vars(fitted(runs["vocoder"])),
        "s_per_char": round(1 / chars_per_s, 4),
        "streams": streams,
    }
