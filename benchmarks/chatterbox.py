"""How fast does Chatterbox speak: to its first sound, and to many at once, against upstream?

    python -m benchmarks.chatterbox --streams 1,2,4,8                   # on a CPU: minutes
    python -m benchmarks.chatterbox --device cuda --streams 1,2,4,8,16,32,64

Weights are made up, of full size: noise comes out, and the work is the real work. Four modes: `t3`
is the decoder alone; `whole` makes a line's sound when all its tokens are there; `stream` makes it
in chunks, as the server does; `beside` is the first sound of a line that is asked for while all
others are spoken. Upstream's `generate`, bounded to as many tokens, takes turns with them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import Cell, emit, machine, ratio, table

Facts = dict[str, Any]

MODES = ("t3", "whole", "stream", "beside")
STAGES = ("prefill", "steps", "flow", "vocoder", "watermark", "rest")


async def measure(args: argparse.Namespace) -> Facts:
    """All blocks in turns; raw figures by mode and number of streams, each a list of rounds."""
    import torch

    from benchmarks import chatterbox_modes as modes
    from benchmarks.chatterbox_floor import gaps, sound_work
    from benchmarks.chatterbox_rig import Rig
    from benchmarks.chatterbox_weights import cached
    from benchmarks.floor import measured_rates

    torch.set_num_threads(args.threads)
    rates = measured_rates(args.device)
    folder = args.folder or cached(args.variant, small=args.quick)
    rig = Rig(folder, args.variant, device=args.device, tokens=args.tokens, small=args.quick)
    work = {mode: sound_work(rig, streamed=mode == "stream") for mode in ("whole", "stream")}
    clock = rig.clocked_upstream()
    modes.upstream(rig, [0], clock)
    how = {"threads": args.threads, "watermark": args.watermark == "on"}
    on_gpu = args.device == "cuda"
    raw: dict[str, dict[str, list[Facts]]] = {mode: {} for mode in (*args.modes, "clocked")}
    theirs = []
    for number in range(args.rounds):
        numbers = range(1, 1 + args.upstream_lines)
        theirs.append(modes.upstream(rig, numbers, clock))
        for streams in args.streams:
            for mode in args.modes:
                say(f"round {number + 1}: {mode}, {streams} streams")
                if mode == "t3":
                    facts = modes.t3(rig, streams)
                elif mode == "beside":
                    facts = await modes.beside(rig, streams, args.probes, **how)
                else:
                    ours = None if on_gpu else rig.clock()
                    facts = await modes.said(rig, mode, streams, ours, **how)
                raw[mode].setdefault(str(streams), []).append(facts)
    clocked = {mode: raw[mode] for mode in ("whole", "stream") if mode in raw}
    if on_gpu:  # a clock that waits for the device slows down what it measures
        clocked = {
            mode: {
                str(n): [await modes.said(rig, mode, n, rig.clock(), **how)] for n in args.streams
            }
            for mode in clocked
        }
    rates = rates.better(measured_rates(args.device))
    told: Facts = {"upstream": modes.told_upstream(theirs)}
    for mode in args.modes:
        told[mode] = {
            streams: modes.told_t3(rounds)
            if mode == "t3"
            else modes.told_said(rounds, clocked[mode][streams])
            if mode in clocked
            else {"first_ms": modes.spread(ms for each in rounds for ms in each["first_ms"])}
            for streams, rounds in raw[mode].items()
        }
    against(told)
    return {
        "rates": rates.facts,
        "work_a_line": {mode: each.facts for mode, each in work.items()},
        "streaming_computes_more": ratio(
            work["stream"].flow + work["stream"].vocoder, work["whole"].flow + work["whole"].vocoder
        ),
        **told,
        "floors": gaps(rig, rates, work, told),
    }


def against(told: Facts) -> None:
    """Put beside each figure how many times upstream's it is: there, lines go one after another."""
    upstream = told["upstream"]
    for mode, unit in (("t3", "t3_tokens_per_s"), ("whole", ""), ("stream", "")):
        for facts in told.get(mode, {}).values():
            if unit:
                facts["times_upstream"] = ratio(facts["tokens_per_s"], upstream[unit])
            else:
                facts["times_upstream"] = ratio(
                    facts["times_real_time"], upstream["times_real_time"]
                )
    for streams, facts in told.get("stream", {}).items():
        whole = told.get("whole", {}).get(streams)
        if whole:
            facts["speed_of_whole"] = ratio(facts["times_real_time"], whole["times_real_time"])
        # the n-th of so many who ask at once hears nothing before n lines are made
        line_ms = upstream["line_ms"]["median"]
        facts["upstream_first_ms_computed"] = round(line_ms * (int(streams) + 1) / 2, 1)


def show(told: Facts) -> None:
    """The tables."""
    theirs = told["upstream"]
    rows: list[list[Cell]] = [
        ["upstream", 1, theirs["t3_tokens_per_s"], None, None, None],
        *(
            [
                "t3",
                int(n),
                f["tokens_per_s"],
                f["times_upstream"],
                f["step_ms"],
                f["prefill_ms_all"],
            ]
            for n, f in told.get("t3", {}).items()
        ),
    ]
    headings = ["T3 alone", "streams", "tokens/s", "times upstream", "step ms", "prefill ms, all"]
    print(table(headings, rows), end="\n\n")
    line = theirs["line_ms"]
    rows = [
        ["upstream", 1, line["median"], line["p95"], theirs["times_real_time"], None, None, None]
    ]
    for mode in ("whole", "stream", "beside"):
        for n, f in told.get(mode, {}).items():
            first = f["first_ms"]
            more = [f.get(k) for k in ("times_real_time", "times_upstream", "tokens_per_s")]
            rows.append([mode, int(n), first["median"], first["p95"], *more, f.get("dry_lines")])
    headings = ["", "streams", "first sound ms", "p95", "times real time", "times upstream"]
    print(table([*headings, "tokens/s", "lines that ran dry"], rows), end="\n\n")
    rows = [["upstream", 1, *(theirs["shares_percent"].get(n) for n in _theirs())]]
    for mode in ("whole", "stream"):
        for n, f in told.get(mode, {}).items():
            rows.append([mode, int(n), *(f["shares_percent"].get(name) for name in STAGES)])
    print(table(["% of the time", "streams", *STAGES], rows), end="\n\n")
    for gap in told["floors"]:
        print(gap["in_words"])
    print()


def _theirs() -> tuple[str, ...]:
    """Upstream's stages in the table's columns; its T3 is one."""
    return ("-", "t3", *STAGES[2:])


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def about(args: argparse.Namespace) -> Facts:
    """The machine, and what is compared with what."""
    import torch

    packages = ("torch", "transformers", "chatterbox-tts")
    facts: Facts = {
        "benchmark": "chatterbox",
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "device": torch.cuda.get_device_name(0) if args.device == "cuda" else "cpu",
        "weights": "small, made up" if args.quick else "made up, of full size",
        "figures_mean": "nothing: the models are a few layers" if args.quick else "work and time",
        "references": "upstream's flow reads 10 s of the reference, ours 4 s",
    }
    named = ("variant", "tokens", "rounds", "upstream_lines", "probes", "threads", "watermark")
    return facts | {name: getattr(args, name) for name in named}


def numbers(value: str) -> list[int]:
    return [int(each) for each in value.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Chatterbox's speed, against upstream.")
    parser.add_argument("--variant", choices=("turbo", "english", "multilingual"), default="turbo")
    parser.add_argument("--folder", type=Path, help="weights (default: made up, kept in a cache)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--streams", type=numbers, default=[1, 2, 4, 8], metavar="1,2,4")
    parser.add_argument("--modes", type=lambda v: v.split(","), default=list(MODES))
    parser.add_argument("--tokens", type=int, default=75, help="of a line: 25 make a second")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--upstream-lines", type=int, default=2, help="in each round")
    parser.add_argument("--probes", type=int, default=3, help="first sounds beside others, a round")
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--watermark", choices=("on", "off"), default="on")
    parser.add_argument("--quick", action="store_true", help="models of a few layers, to try it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    facts = about(args)
    told = asyncio.run(measure(args))
    show(told)
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    emit({**facts, "peak_memory_of_process_mb": peak_mb, **told}, args.json)


if __name__ == "__main__":
    main()
