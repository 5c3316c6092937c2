"""What was counted and how long things took: counters, and a window of recent values by name.

The only module besides the benchmarks that speaks of wall time. Callers pass durations in
milliseconds; nothing here reads a clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW = 1_000
"""How many recent values of each series are kept for the percentiles."""


def percentile(values: list[float], q: float) -> float:
    """The nearest-rank percentile, `q` in [0, 1]; nan of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


@dataclass
class Metrics:
    """One server's counters and series. Held by the app, given to the parts that count."""

    counts: Counter[str] = field(default_factory=Counter)
    series: dict[str, deque[float]] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by

    def observe(self, name: str, value: float) -> None:
        """Add a value to a series, such as a stage's milliseconds."""
        self.series.setdefault(name, deque(maxlen=WINDOW)).append(value)

    def summary(self, name: str) -> dict[str, float]:
        """p50, p99 and maximum of a series' recent values; zeros where there are none."""
        values = list(self.series.get(name, ())) or [0.0]
        return {
            "p50": round(percentile(values, 0.5), 2),
            "p99": round(percentile(values, 0.99), 2),
            "max": round(max(values), 2),
        }

    def report(self) -> dict[str, object]:
        """All counters and summaries, for `/status`."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "series": {name: self.summary(name) for name in sorted(self.series)},
        }
