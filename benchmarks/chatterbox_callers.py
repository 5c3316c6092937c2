"""Whisper and Chatterbox in one process under many callers: who waits how long, and does it lag?

    python -m benchmarks.chatterbox_callers --callers 1 2 4
    python -m benchmarks.chatterbox_callers --device cuda --callers 1 2 4 8 16 32 64 128

As `concurrency.py`, with replies spoken by Chatterbox on made-up weights: noise, as long as the
text allows. On a CPU Whisper is the embedded one; on a GPU it has the shapes of large-v3-turbo, and
hears the same sentence in whatever is said. Where the loop's lag passes 20 ms at the 99th
percentile, the voice does not belong into the server's process.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from benchmarks.concurrency import cells, level
from benchmarks.crowd import add_crowd_options
from benchmarks.levels import COLUMNS, Row, write_row
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import add_server_options

LAG_LIMIT_MS = 20.0
VOICES = {
    "turbo": "chatterbox",
    "english": "chatterbox-english",
    "multilingual": "chatterbox-multilingual",
}
VOICE_SERIES = (
    "voice.first_ms",
    "voice.wait_ms",
    "voice.step_ms",
    "voice.rows",
    "voice.chunk_ms",
    "voice.finish_ms",
)
LAG = "loop.lag_ms"


def prepared(args: argparse.Namespace) -> tuple[tuple[str, ...], list[str]]:
    """Weights that lie ready; what Python runs, and the server's options."""
    from benchmarks.chatterbox_weights import cached, made_up

    folder = args.voice_folder or cached(args.variant, small=args.quick)
    made = made_up(folder)
    module = ["benchmarks.serving"]
    if made and made[1]:
        module.append("--small-voice")
    options = ["--voice", VOICES[args.variant], "--voice-folder", str(folder.resolve())]
    options += ["--voice-streams", str(args.voice_streams), "--watermark", args.watermark]
    options += ["--device", args.device, "--profile", "embedded"]
    if args.voice_memory:
        options += ["--voice-memory", str(args.voice_memory)]
    if args.device == "cuda" or args.whisper_made_up:
        from benchmarks.recogniser import model_path
        from benchmarks.whisper_weights import cached as whisper

        english = args.english_whisper or asyncio.run(model_path())
        module += ["--whisper-folder", str(whisper(english, small=args.quick).resolve())]
    return (*module,), options


def voice_facts(more: Row) -> Row:
    """What /status says of the voice at the end of the window."""
    series = more["window"]["status"].get("series", {})
    counts = {n: c for n, c in more["counts"].items() if n.startswith("voice.")}
    return {"series": {n: series[n] for n in VOICE_SERIES if n in series}, "counts": counts}


def over_the_limit(row: Row) -> bool | None:
    """Whether the loop lags so much that the voice should move out; None where it is not known."""
    lag_ms = row.get("loop_lag_p99_ms")
    return None if lag_ms is None else lag_ms > LAG_LIMIT_MS


async def run(args: argparse.Namespace, options: list[str]) -> dict[str, object]:
    """All levels; gives the JSON line."""
    about, rows, facts = machine(), [], {}
    for n, callers in enumerate(args.callers):
        row, more = await level(args, callers, *options)
        facts[str(callers)] = {**more, "voice": voice_facts(more), "moves_out": over_the_limit(row)}
        rows.append(row)
        if args.csv:
            write_row(args.csv, row, anew=n == 0)
        print({**row, **more["outcomes"]}, file=sys.stderr, flush=True)
    print(table(list(COLUMNS.values()), map(cells, rows)), end="\n\n")
    show_lag(facts)
    return {
        "benchmark": "chatterbox_callers",
        "machine": about,
        "device": args.device,
        "voice": args.variant,
        "weights": "made up, of a few layers: the times mean nothing" if args.quick else "made up",
        "replier": args.replier,
        "options": options,
        "seconds": args.seconds,
        "lag_limit_ms": LAG_LIMIT_MS,
        "levels": rows,
        "more": facts,
    }


def show_lag(facts: dict[str, Any]) -> None:
    """How late the loop's beats were in the window, and how the voice fared."""
    histograms = {n: more["window"]["histograms"].get(LAG, {}) for n, more in facts.items()}
    buckets = list(next(iter(histograms.values()), {}))
    beats: list[list[Cell]] = [[int(n), *h.values()] for n, h in histograms.items()]
    print(table(["callers: lag ms", *buckets], beats), end="\n\n")
    waits: list[list[Cell]] = []
    for n, more in facts.items():
        series = more["voice"]["series"]
        told = [series.get(name, {}).get(q) for name in VOICE_SERIES for q in ("p50", "p99")]
        waits.append([int(n), *told])
    headings = [
        f"{name.removeprefix('voice.')} {q}" for name in VOICE_SERIES for q in ("p50", "p99")
    ]
    print(table(["callers", *headings], waits), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Many callers who are answered by Chatterbox.")
    add_server_options(parser)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 2, 4])
    add_crowd_options(parser)
    parser.add_argument("--min-turns", type=int, default=3, help="of a session, to be compared")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--variant", choices=tuple(VOICES), default="turbo")
    parser.add_argument("--voice-folder", type=Path, help="weights (default: made up)")
    parser.add_argument("--voice-streams", type=int, default=16)
    parser.add_argument("--voice-memory", type=float, default=0.0, help="GiB; 0 sets no bound")
    parser.add_argument("--watermark", choices=("on", "off"), default="on")
    parser.add_argument("--whisper-made-up", action="store_true", help="on a CPU as well")
    parser.add_argument("--english-whisper", type=Path, help="folder whose tokenizer is taken over")
    parser.add_argument("--quick", action="store_true", help="models of a few layers, to try it")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row for each level")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    args.module, options = prepared(args)
    emit(asyncio.run(run(args, options)), args.json)


if __name__ == "__main__":
    main()
