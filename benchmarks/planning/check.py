"""The simulation against what was measured: the same callers on the same machine, and the error.

Two forms of measurements are read: what `concurrency.py` writes (`levels`, each with `callers`,
`p50_ms`, `p95_ms`), and what `cluster.py crowd` does, one or several (`callers`, `replicas` of
`transcription` and `voice`, `wait_ms` with `median` and `p95`, `served` by each front end).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.planning.cell import simulate
from benchmarks.planning.cluster import Cluster, Layout
from benchmarks.planning.habits import Habits
from benchmarks.report import percentile

RUNS = 5
"""Simulated with as many seeds; the figures are of all their turns."""


@dataclass(frozen=True)
class Measured:
    """One run with callers who stayed."""

    callers: int
    p50_ms: float
    p95_ms: float
    turns: int | None = None
    caller_cores: float = 0.0
    """Of the same machine, taken by those who called, and by all that a cluster does at rest."""
    transcription: int = 1
    voice: int = 1
    fronts: int = 0
    """Before pools; 0: everything in one process."""


def read_measured(path: Path) -> list[Measured]:
    """The runs of a file.

    Raises:
        ValueError: it has neither of the two forms.
    """
    told = json.loads(path.read_text(encoding="utf-8"))
    try:
        return list(_measured(told))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no measured waits: {error!r} is missing") from error


def _measured(told: Any) -> Iterator[Measured]:
    if isinstance(told, list) or "levels" in told:
        for each in told if isinstance(told, list) else told["levels"]:
            yield from _measured(each)
    elif "wait_ms" in told:
        replicas, wait_ms = told["replicas"], told["wait_ms"]
        yield Measured(
            told["callers"],
            wait_ms["median"],
            wait_ms["p95"],
            wait_ms.get("n", told.get("turns")),
            (told.get("caller_cores") or 0.0) + (told.get("idle_cores") or 0.0),
            replicas["transcription"],
            replicas["voice"],
            len(told.get("served", "1")),
        )
    elif told["p50_ms"] is not None:
        cores = told.get("caller_cores") or 0.0
        yield Measured(told["callers"], told["p50_ms"], told["p95_ms"], told.get("measured"), cores)


def compared(
    runs: Iterable[Measured], cluster: Cluster, habits: Habits, *, seconds: float, seed: int = 7
) -> list[dict[str, Any]]:
    """For each run what was measured, what is simulated, and by how much percent that is off."""
    return [_compared(run, cluster, habits, seconds, seed) for run in runs]


def _compared(
    run: Measured, cluster: Cluster, habits: Habits, seconds: float, seed: int
) -> dict[str, Any]:
    layout = Layout(transcription=run.transcription, voice=run.voice)
    alike = replace(
        cluster,
        layout=layout,
        places=max(run.callers, cluster.places),
        taken=cluster.taken + run.caller_cores,
        fronts=max(1, run.fronts),
        hop_s=cluster.hop_s if run.fronts else 0.0,
        told_every_s=cluster.told_every_s if run.fronts else 0.0,
    )
    waits_ms: list[float] = []
    for n in range(RUNS):
        figures = simulate(
            alike, habits, run.callers, seconds=seconds, warm_s=12.0, seed=seed + n, stay=True
        )
        waits_ms += [1e3 * turn.waited_s for turn in figures.answered]
    p50_ms, p95_ms = percentile(waits_ms, 50), percentile(waits_ms, 95)
    return {
        "callers": run.callers,
        "replicas": {"transcription": run.transcription, "voice": run.voice},
        "measured_turns": run.turns,
        "measured_p50_ms": run.p50_ms,
        "p50_ms": round(p50_ms, 1),
        "p50_error_percent": round(100 * (p50_ms / run.p50_ms - 1), 1),
        "measured_p95_ms": run.p95_ms,
        "p95_ms": round(p95_ms, 1),
        "p95_error_percent": round(100 * (p95_ms / run.p95_ms - 1), 1),
    }
