"""The server's metrics in Prometheus's words: `Metrics` and what can be asked for, as families.

A registry of its own, made of what was counted when it is scraped; nothing is kept here. Values of
a label are bounded in form and number: what would be one too many is `other`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from realtime.audio import EAR_RATE_HZ
from realtime.metric_families import BY_NAME, Family
from realtime.metrics import Histogram, Metrics

MOST_VALUES = 200
"""Of one label, or pair of labels."""

OTHER = "other"
_WORD = re.compile(r"[a-z0-9][a-z0-9_.<>=-]{0,79}", re.IGNORECASE)

Rows = dict[tuple[str, ...], float]
Spreads = dict[tuple[str, ...], Histogram]

TURN = {
    "turn.audio_ms": "time_to_first_audio_seconds",
    "turn.decision_ms": "turn_decision_seconds",
    "turn.heard_ms": "turn_transcript_seconds",
    "turn.text_ms": "turn_text_seconds",
}
LOOP = {
    "loop.lag_ms": "loop_lag_seconds",
    "loop.busy_ms": "loop_busy_seconds",
    "loop.gc_ms": "gc_pause_seconds",
}
ELSEWHERE = ("turn.", "loop.")
"""Series in milliseconds that are no stage's."""

ENGINES = {
    "speech_detection": "speech_detector",
    "transcription": "whisper",
    "reply": "replier",
}
"""What a stage's engine is called where its name is another."""


def engine_of(stage: str) -> str:
    """What the engine of a stage is called."""
    return ENGINES.get(stage, stage)


SPECULATIONS = ("hit", "missed", "unused", "busy", "failed", "misguessed")


@dataclass(frozen=True)
class Sessions:
    """`opened` since the start."""

    open: int
    max: int
    opened: int
    draining: bool


class Exposition(Collector):
    """`sessions` and `alive` are asked at every scrape."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        sessions: Callable[[], Sessions],
        alive: Callable[[], Mapping[str, bool]],
        version: str,
    ) -> None:
        self._metrics, self._sessions, self._alive = metrics, sessions, alive
        self._version = version
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The body and its content type, in the format that a scraper accepts. Blocks for some
        milliseconds; made for a thread."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> list[Metric]:
        """Nothing: what is registered need not be collected to know its names."""
        return []

    def collect(self) -> Iterator[Metric]:
        # copies: threads of engines go on counting
        counts = dict(self._metrics.counts)
        yield from self._histograms(dict(self._metrics.spreads), dict(self._metrics.histograms))
        yield from self._counters(counts)
        yield from self._gauges()
        memory = gpu_memory()
        if memory:
            yield gauge("gpu_memory_bytes", {(kind,): size for kind, size in memory.items()})

    def _histograms(
        self, spreads: dict[str, Histogram], beats: dict[str, Histogram]
    ) -> Iterator[Metric]:
        for names, found in ((TURN, spreads), (LOOP, beats)):
            for series, name in names.items():
                yield histogram(name, {(): found[series]} if series in found else {})
        stages: Spreads = {}
        waits: Spreads = {}
        sizes: Spreads = {}
        for series, spread in sorted(spreads.items()):
            if series.endswith(".wait_ms"):
                waits[(label(series.removesuffix(".wait_ms")),)] = spread
            elif series.endswith("_ms") and not series.startswith(ELSEWHERE):
                stages[(label(series.removesuffix("_ms").removesuffix(".run")),)] = spread
            elif series.endswith((".batch", ".rows")):
                sizes[(label(series.removesuffix(".batch")),)] = spread
        yield histogram("stage_seconds", stages)
        yield histogram("queue_wait_seconds", waits)
        yield histogram("batch_size", sizes)

    def _counters(self, counts: dict[str, int]) -> Iterator[Metric]:
        yield counter("turns", under("turns.over.", counts))
        yield counter("interruptions", under("interruptions.", counts))
        full = {(f"{s}_queue_full",): n for (s,), n in ending(".refused", counts).items()}
        yield counter("refusals", under("refused.", counts) | full)
        yield counter("http_responses", under("http.", counts))
        yield counter("traces_lost", under("traces.lost.", counts))
        dropped: Rows = {
            ("input_buffer_full",): counts.get("audio.dropped_samples", 0) / EAR_RATE_HZ,
            ("unsent",): counts.get("audio.unsent_ms", 0) / 1e3,
        }
        yield counter("dropped_audio_seconds", dropped)
        filtered = counts.get("transcription.filtered", 0)
        yield counter("hallucinations_filtered", {(): filtered})
        guesses: Rows = {(name,): counts.get(f"speculation.{name}", 0) for name in SPECULATIONS}
        yield counter("speculations", guesses)
        wasted = under("speculation.wasted_ms.", counts)
        yield counter("speculation_wasted_seconds", {key: n / 1e3 for key, n in wasted.items()})
        errors: Rows = {
            (label(stage), label(code)): n
            for (both,), n in under("errors.", counts, raw=True).items()
            for stage, _, code in [both.partition(":")]
        }
        yield counter("errors", errors)
        restarts: Rows = {(label(name),): 0.0 for name in self._alive()}
        for (stage,), times in ending(".restarts", counts).items():
            restarts[(engine_of(stage),)] = times
        yield counter("engine_restarts", restarts)
        yield counter("events", {(label(name, dots=True),): n for name, n in counts.items()})

    def _gauges(self) -> Iterator[Metric]:
        now = self._sessions()
        yield gauge("sessions", {(): now.open})
        yield gauge("sessions_max", {(): now.max})
        yield counter("sessions_opened", {(): now.opened})
        yield gauge("draining", {(): now.draining})
        yield gauge("engine_up", {(label(name),): up for name, up in self._alive().items()})
        yield gauge("build_info", {(self._version,): 1})
        asked = {name: read() for name, read in dict(self._metrics.gauges).items()}
        yield gauge("queue_depth", ending(".depth", asked))
        yield gauge("queue_audio_seconds", ending(".audio_s", asked))
        yield gauge("queue_fill_ratio", ending(".fill", asked))
        if "voice.lines" in asked:
            yield gauge("voice_lines", {(): asked["voice.lines"]})


def under(prefix: str, counts: Mapping[str, float], *, raw: bool = False) -> Rows:
    """What was counted under a name that ends in a label's value."""
    found = {n.removeprefix(prefix): v for n, v in counts.items() if n.startswith(prefix)}
    return {(name,): v for name, v in found.items()} if raw else labelled(found)


def ending(suffix: str, counts: Mapping[str, float]) -> Rows:
    """What was counted under a name that begins with a label's value."""
    return labelled({n.removesuffix(suffix): v for n, v in counts.items() if n.endswith(suffix)})


def labelled(found: Mapping[str, float]) -> Rows:
    """Values by their labels; those of the same label together."""
    rows: Rows = {}
    for name, value in found.items():
        key = (label(name),)
        rows[key] = rows.get(key, 0.0) + value
    return rows


def label(value: str, *, dots: bool = False) -> str:
    """A value of a label: a word, with `_` for dots unless these are to stay."""
    if not _WORD.fullmatch(value):
        return OTHER
    return value if dots else value.replace(".", "_")


def bounded(family: Family, rows: Rows) -> Rows:
    """With the values that are always there, and no more than may be."""
    rows = {(value,): 0.0 for value in family.known} | rows
    if len(rows) <= MOST_VALUES:
        return rows
    kept = dict(list(rows.items())[: MOST_VALUES - 1])
    rest = (OTHER,) * len(family.labels)
    kept[rest] = kept.get(rest, 0.0) + sum(v for key, v in rows.items() if key not in kept)
    return kept


def counter(name: str, rows: Rows) -> Metric:
    return _single(CounterMetricFamily, name, rows)


def gauge(name: str, rows: Rows) -> Metric:
    return _single(GaugeMetricFamily, name, rows)


def _single(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, rows: Rows
) -> Metric:
    """One value a row."""
    family = BY_NAME[name]
    made = kind(f"banter_{name}", family.help, labels=family.labels)
    for values, value in bounded(family, rows).items():
        made.add_metric(values, value)
    return made


def histogram(name: str, rows: Spreads) -> Metric:
    """Where its name says seconds, what was measured in milliseconds."""
    family = BY_NAME[name]
    unit = 1_000 if name.endswith("_seconds") else 1
    made = HistogramMetricFamily(f"banter_{name}", family.help, labels=family.labels)
    for values, spread in rows.items():
        counts, total = list(spread.counts), 0
        buckets = []
        for bound, count in zip((*spread.bounds, None), counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound is None else str(bound / unit), total))
        made.add_metric(values, buckets, sum_value=spread.total / unit)
    return made


def gpu_memory() -> dict[str, float]:
    """Bytes of the GPU's memory by torch, which is asked only where somebody else has loaded it and
    it works on a GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError:  # the device is lost: of all times, then the other metrics are wanted
        return {}
    return {
        "allocated": torch.cuda.memory_allocated(),
        "reserved": torch.cuda.memory_reserved(),
        "used": total - free,
        "total": total,
    }
