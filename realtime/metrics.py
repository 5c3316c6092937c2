"""What was counted and how long things took: counters, and a window of recent values by name.

The only module besides the benchmarks that speaks of wall time. Callers pass durations in
milliseconds; nothing here reads a clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW = 1_000
"""How many recent values of each series are kept for the percentiles."""

BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100)
"""Upper bounds of a histogram's buckets, inclusive; one bucket more holds what is longer."""


def percentile(values: list[float], q: float) -> float:
    """The nearest-rank percentile, `q` in [0, 1]; nan of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


@dataclass
class Histogram:
    """How many of all durations since the start fell into each bucket: nothing is forgotten, so
    what happened between two moments is the difference of two reports."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    longest: float = 0.0

    def add(self, ms: float) -> None:
        self.counts[bisect_left(BUCKETS_MS, ms)] += 1
        self.longest = max(self.longest, ms)

    def report(self) -> dict[str, float]:
        """The count of each bucket by its bound, as in `<=10`, and the longest in ms."""
        names = [f"<={bound}" for bound in BUCKETS_MS] + [f">{BUCKETS_MS[-1]}"]
        return {**dict(zip(names, self.counts, strict=True)), "longest": round(self.longest, 2)}


@dataclass
class Metrics:
    """One server's counters and series. Held by the app, given to the parts that count."""

    counts: Counter[str] = field(default_factory=Counter)
    series: dict[str, deque[float]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget all that was counted, such as what the start did."""
        for part in (self.counts, self.series, self.histograms):
            part.clear()

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by

    def observe(self, name: str, value: float) -> None:
        """Add a value to a series, such as a stage's milliseconds."""
        self.series.setdefault(name, deque(maxlen=WINDOW)).append(value)

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name, made on first use."""
        return self.histograms.setdefault(name, Histogram())

    def summary(self, name: str) -> dict[str, float]:
        """p50, p99 and maximum of a series' recent values; zeros where there are none."""
        values = sorted(self.series.get(name, ())) or [0.0]  # once: sorting it again costs little
        return {
            "p50": round(percentile(values, 0.5), 2),
            "p99": round(percentile(values, 0.99), 2),
            "max": round(values[-1], 2),
        }

    def report(self) -> dict[str, object]:
        """All counters, summaries and histograms, for `/status`."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "histograms": {name: h.report() for name, h in sorted(self.histograms.items())},
            "series": {name: self.summary(name) for name in sorted(self.series)},
        }
