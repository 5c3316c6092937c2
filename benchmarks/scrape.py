"""What does it cost to be measured: one count, one observed value, one turn told of, one scrape?

The numbers of a server that has run for a while are made up and put where it puts them; nothing is
listened to. A scrape is made in a thread, which holds the interpreter: what it takes is the longest
that the loop may be late for it, if the interpreter changed threads never.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import emit, machine, percentile, table
from realtime.exposition import Exposition, Sessions
from realtime.metrics import Metrics
from realtime.stretch import Making, Stretch
from realtime.turn_report import TurnReport
from realtime.turn_reporter import TurnReporter

STAGES = ("speech_detection", "end_of_turn", "transcription.features", "transcription", "voice")
ENGINES = ("speech_detector", "whisper", "replier", "voice")


def used(counters: int) -> Metrics:
    """The metrics of a server that has answered many turns, with so many counters."""
    metrics = Metrics()
    for stage in STAGES:
        metrics.gauges[f"{stage}.depth"] = lambda: 3
        for value in range(2_000):
            metrics.observe(f"{stage}.run_ms", value % 300)
            metrics.observe(f"{stage}.wait_ms", value % 40)
            metrics.observe(f"{stage}.batch", value % 8)
    for name in ("loop.lag_ms", "loop.busy_ms", "loop.gc_ms"):
        for value in range(2_000):
            metrics.histogram(name).add(value % 30)
    for number in range(counters):
        metrics.count(f"stage.counter_{number}", number)
    return metrics


def each_us(work: Callable[[], object], times: int) -> list[float]:
    """How long one call takes, in microseconds: the mean of each of twenty rounds."""
    took = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(times):
            work()
        took.append((time.perf_counter() - begun) / times * 1e6)
    return took


def report() -> TurnReport:
    stretch = Stretch(10.1, 10.2, 10.4)
    return TurnReport(
        session_id="sess_1",
        item_id="item_1",
        response_id="resp_1",
        outcome="answered",
        speculated=True,
        end_of_speech_s=10.0,
        over_s=13.0,
        speech_s=2.0,
        decision_s=0.3,
        transcript_s=0.3,
        text_s=0.4,
        audio_s=0.5,
        sound_s=2.0,
        transcribe=stretch,
        making=Making(stretch, stretch),
    )


def costs(counters: int) -> dict[str, list[float]]:
    """Microseconds by what was done."""
    metrics = used(counters)
    exposition = Exposition(
        metrics,
        sessions=lambda: Sessions(3, 8, 100, False),
        alive=lambda: dict.fromkeys(ENGINES, True),
        version="0",
    )
    reporter, told = TurnReporter(metrics), report()
    return {
        "one count": each_us(lambda: metrics.count("one.more"), 20_000),
        "one observed value": each_us(lambda: metrics.observe("voice.run_ms", 37.0), 20_000),
        "one turn told of": each_us(lambda: reporter.over(told), 500),
        "one scrape": each_us(exposition.render, 10),
        "one turn traced": traced(metrics, told),
    }


def traced(metrics: Metrics, told: TurnReport) -> list[float]:
    """A turn's trace, to nowhere; nothing where OpenTelemetry is not installed."""
    try:
        from realtime.tracing import Tracer
    except ImportError:
        return []

    async def trace() -> list[float]:
        made = Tracer(endpoint="", file=Path("/dev/null"), version="0", model="m", metrics=metrics)
        took = each_us(lambda: made.over(told), 5)
        await made.close()
        return took

    return asyncio.run(trace())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counters", type=int, default=150, help="different counters (150)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    rows = {name: took for name, took in costs(args.counters).items() if took}
    figures = {
        name: {"median_us": round(percentile(took, 50), 2), "max_us": round(max(took), 2)}
        for name, took in rows.items()
    }
    shown = [(name, each["median_us"], each["max_us"]) for name, each in figures.items()]
    print(table(("what", "median us", "max us"), shown))
    emit({"benchmark": "scrape", **machine(), "counters": args.counters, "figures": figures})


if __name__ == "__main__":
    main()
