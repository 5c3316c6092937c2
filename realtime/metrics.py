"""What was counted and how long things took: counters, and a window of recent values by name.

The only module besides the benchmarks that speaks of wall time. Callers pass durations in
milliseconds; nothing here reads a clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from realtime.errors import StageError

WINDOW = 1_000
"""How many recent values of each series are kept for the percentiles."""

BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100)
"""Upper bounds of a histogram's buckets, inclusive; one bucket more holds what is longer."""

STAGE_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Of one run of an engine, or a wait for it."""

TURN_MS = (
    *(50, 100, 200, 300, 400, 500, 600, 700, 800, 900),
    *(1_000, 1_200, 1_500, 2_000, 3_000, 5_000, 10_000),
)
"""Of what a caller waits for: close together where a conversation begins to feel slow."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Of batches, and of whatever else is counted."""


def percentile(values: list[float], q: float) -> float:
    """The nearest-rank percentile, `q` in [0, 1]; nan of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def bounds_of(name: str) -> tuple[int, ...]:
    """The buckets that fit a series, by its name."""
    if not name.endswith("_ms"):
        return SIZES
    return TURN_MS if name.startswith("turn.") else STAGE_MS


@dataclass
class Histogram:
    """How many of all values since the start fell into each bucket: nothing is forgotten, so what
    happened between two moments is the difference of two reports. One thread adds to it."""

    bounds: tuple[int, ...] = BUCKETS_MS
    counts: list[int] = field(default_factory=list)
    longest: float = 0.0
    total: float = 0.0
    """The sum of all values."""

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        if value > self.longest:
            self.longest = value

    def report(self) -> dict[str, float]:
        """The count of each bucket by its bound, as in `<=10`, and the longest in ms."""
        names = [f"<={bound}" for bound in self.bounds] + [f">{self.bounds[-1]}"]
        return {**dict(zip(names, self.counts, strict=True)), "longest": round(self.longest, 2)}


@dataclass
class Metrics:
    """One server's counters and series. Held by the app, given to the parts that count."""

    counts: Counter[str] = field(default_factory=Counter)
    series: dict[str, deque[float]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    spreads: dict[str, Histogram] = field(default_factory=dict)
    """Each series again, as a histogram of all its values since the start."""
    gauges: dict[str, Callable[[], float]] = field(default_factory=dict)
    """What can be asked for at any time, from any thread, such as how many jobs wait."""

    def clear(self) -> None:
        """Forget all that was counted, such as what the start did. What can be asked for stays."""
        for part in (self.counts, self.series, self.histograms):
            part.clear()
        self.expect(*self.spreads)

    def expect(self, *names: str) -> None:
        """Series that will come: as histograms they are there from now on, with nothing in them, so
        that their first values are seen as a rise."""
        self.spreads |= {name: Histogram(bounds_of(name)) for name in names}

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by

    def failed(self, error: StageError) -> None:
        """Count an error by its stage and code, which are words of ours and never a caller's."""
        self.count(f"errors.{error.stage}:{error.code}")

    def observe(self, name: str, value: float) -> None:
        """Add a value to a series, such as a stage's milliseconds."""
        try:
            recent, spread = self.series[name], self.spreads[name]
        except KeyError:
            recent = self.series.setdefault(name, deque(maxlen=WINDOW))
            spread = self.spreads.setdefault(name, Histogram(bounds_of(name)))
        recent.append(value)
        spread.add(value)

    def spread_count(self, name: str) -> int:
        """How many values a series had since the start."""
        spread = self.spreads.get(name)
        return sum(spread.counts) if spread else 0

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
