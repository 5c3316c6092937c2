"""What a long run tells: samples and turns in thirds of its time, and what drifts. Pure.

Memory is compared between the second third and the last: the first one fills what is kept anyway.
Waits are compared between the first and the last. What is held (tasks, threads, descriptors) is
compared at rest, before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.report import percentile

MOST_MEMORY_DRIFT = 0.05
MOST_WAIT_DRIFT = 0.10

TOLD = ("empty transcript", "ended before its last words")
"""Outcomes of a turn that is not answered as a whole, and of which the caller knows why."""

LOST = ("not heard", "no end of turn", "no response", "silent reply")
"""Outcomes of a turn that nobody answered; it is lost where no error told so either."""


@dataclass(frozen=True)
class Sample:
    """The server at one moment."""

    s: float
    """Since the begin of the run."""
    rss_mb: float
    threads: int
    files: int
    tasks: int
    sessions: int
    queues: dict[str, float] = field(default_factory=dict)
    """Jobs that wait, by stage; empty where the server does not tell."""
    children: int = 0
    """Processes that the server started and that live."""
    cpu_s: float | None = None
    """Processor seconds of the server so far."""


@dataclass(frozen=True)
class Spoken:
    """One turn of a well-behaved caller."""

    s: float
    """When it was said, since the begin of the run."""
    outcome: str
    wait_ms: float | None
    """From the end of speech to the first audio, where it was answered."""
    told: bool = False
    """An error said why it was not."""
    clip: str = ""
    long_call: bool = False
    """In a call that lasts as long as the run."""

    @property
    def lost(self) -> bool:
        return self.outcome in LOST and not self.told


def third(s: float, seconds: float) -> int:
    """In which third of a run a moment lies: 0, 1 or 2."""
    return min(2, max(0, int(3 * s / seconds))) if seconds > 0 else 0


def median(values: Sequence[float]) -> float | None:
    return percentile(values, 50) if values else None


def medians(pairs: Sequence[tuple[float, float]], seconds: float) -> list[float | None]:
    """The median of (second, value) pairs in each third."""
    return [median([v for s, v in pairs if third(s, seconds) == n]) for n in range(3)]


def drift(before: float | None, after: float | None) -> float | None:
    """By what share it has changed; None where one is not known."""
    if before is None or after is None or not before:
        return None
    return after / before - 1


def slope_mb_per_hour(samples: Sequence[Sample]) -> float | None:
    """The straight line through the memory of the samples."""
    if len(samples) < 3:
        return None
    n = len(samples)
    mean_s, mean_mb = sum(x.s for x in samples) / n, sum(x.rss_mb for x in samples) / n
    spread = sum((x.s - mean_s) ** 2 for x in samples)
    rise = sum((x.s - mean_s) * (x.rss_mb - mean_mb) for x in samples)
    return round(rise / spread * 3600, 1) if spread else None


def leaked(before: Sample, after: Sample) -> dict[str, int]:
    """What is held at rest after a run beyond what was before it."""
    names = ("tasks", "threads", "files", "children", "sessions")
    grown = {name: getattr(after, name) - getattr(before, name) for name in names}
    return {name: more for name, more in grown.items() if more > 0}


@dataclass
class Run:
    """A whole run: `seconds` long, sampled and spoken in; `before` and `after` are at rest."""

    seconds: float
    samples: list[Sample] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    before: Sample | None = None
    after: Sample | None = None
    calls_broken: Counter[str] = field(default_factory=Counter)
    """Calls of well-behaved callers that ended by themselves, by reason."""

    def memory_mb(self) -> list[float | None]:
        return medians([(x.s, x.rss_mb) for x in self.samples], self.seconds)

    def waits_ms(self) -> list[float | None]:
        answered = [(x.s, x.wait_ms) for x in self.spoken if x.wait_ms is not None]
        return medians(answered, self.seconds)

    def lost(self) -> list[Spoken]:
        return [each for each in self.spoken if each.lost]

    def verdicts(self) -> dict[str, dict[str, Any]]:
        """Each question with its figures, and whether it is answered as it should be; None where
        the run was too short to say."""
        memory, waits = self.memory_mb(), self.waits_ms()
        memory_drift, wait_drift = drift(memory[1], memory[2]), drift(waits[0], waits[2])
        held = leaked(self.before, self.after) if self.before and self.after else None
        return {
            "no turn is lost": {
                "ok": not self.lost() and not self.calls_broken if self.spoken else None,
                "turns": len(self.spoken),
                "lost": len(self.lost()),
                "calls_broken": dict(self.calls_broken),
            },
            "memory stays": {
                "ok": None if memory_drift is None else abs(memory_drift) <= MOST_MEMORY_DRIFT,
                "mb": _rounded(memory),
                "last_third_vs_second": _rounded([memory_drift], 4)[0],
                "mb_per_hour": slope_mb_per_hour(
                    [x for x in self.samples if third(x.s, self.seconds)]
                ),
            },
            "waits stay": {
                "ok": None if wait_drift is None else wait_drift < MOST_WAIT_DRIFT,
                "ms": _rounded(waits),
                "last_third_vs_first": _rounded([wait_drift], 4)[0],
            },
            "nothing is held": {"ok": None if held is None else not held, "leaked": held},
        }


def _rounded(values: Sequence[float | None], places: int = 1) -> list[float | None]:
    return [None if value is None else round(value, places) for value in values]
