"""What batching is worth: utterances that come together, and utterances that come at random.

    python -m benchmarks.batching burst --rounds 5       # the recogniser alone, then over sockets
    python -m benchmarks.batching poisson --load 0.7     # shipped, max_batch=1, always 30 s

`burst`: sixteen utterances end within 200 ms; how many encode calls, and how long does each wait?
`poisson`: the same random arrivals for the shipped policy (A) and for a rival (B), in the order
A B A B for each rival, whether the recogniser keeps up or not.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.arrivals import Arrival, burst, poisson
from benchmarks.clips import Clip, add_clips_option, load_clips
from benchmarks.comparison import SHIPPED, Block, Facts, versus
from benchmarks.crowd import clips_of_length
from benchmarks.recogniser import Recogniser, as_heard, model_path, recogniser
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import add_server_options, room_for, server_for
from benchmarks.simultaneous import burst_of_callers, steady_clips

POLICIES: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    "max_batch=1": {"max_batch": 1},
    "always 30 s": {"windows": (30.0,)},
}
"""Options of the transcriber."""
QUANTILES = ("median", "p95", "max")
BACKLOG = 48
"""Utterances at once when capacity is measured."""


async def played(how: Recogniser, trace: list[Arrival], utterances: list[Any]) -> tuple[Any, int]:
    """A trace, and the encode calls that it took."""
    before = how.encodes
    heard = await how.play(trace, utterances)
    return heard, how.encodes - before


def heard_utterances(clips: list[Any]) -> list[Any]:
    """Clips as the recogniser gets them."""
    from realtime.engines import Utterance

    return [Utterance(as_heard(clip)) for clip in clips]


async def bursts_alone(traces: list[list[Arrival]], clips: list[Clip]) -> list[Facts]:
    """Each burst straight into the recogniser."""
    utterances = heard_utterances(clips)
    rounds: list[Facts] = []
    async with recogniser(await model_path(), POLICIES[SHIPPED]) as how:
        for trace in traces:
            block = Block(SHIPPED, "", len(rounds), *await played(how, trace, utterances))
            each = [round(heard.latency_ms, 1) for heard in block.heard]
            rounds.append({**block.facts(), "each_ms": each})
    return rounds


async def bursts_over_sockets(
    args: argparse.Namespace, traces: list[list[Arrival]], clips: list[Clip]
) -> list[Facts]:
    """Each burst as callers of a server."""
    async with server_for(args, *room_for(2 * args.count)) as server:
        return [(await burst_of_callers(server, trace, clips)).facts() for trace in traces]


async def run_burst(args: argparse.Namespace) -> Facts:
    """Both kinds of bursts and their tables; gives the JSON line."""
    about, clips = machine(), steady_clips(load_clips(args.clips))
    traces = [
        burst(args.within_ms / 1000, args.count, len(clips), Random(args.seed + n))
        for n in range(args.rounds)
    ]
    alone = await bursts_alone(traces, clips)
    print(f"{args.count} utterances within {args.within_ms} ms, the recogniser alone, ms:\n")
    rows: list[list[Cell]] = [
        [n, f["encodes"], f["errors"], f["without_words"], *(f["latency_ms"][k] for k in QUANTILES)]
        for n, f in enumerate(alone)
    ]
    print(table(["round", "encodes", "errors", "no words", *QUANTILES], rows), end="\n\n")
    sockets = await bursts_over_sockets(args, traces, clips)
    print(f"{args.count} callers, ms; transcript from the decision, audio from end of speech:\n")
    rows = [burst_row(n, facts) for n, facts in enumerate(sockets)]
    headings = ["round", "encodes", "utt.", "answered", "ended within", "decided within"]
    headings += ["transcript", "max", "audio", "max", "late"]
    print(table(headings, rows), end="\n\n")
    return {
        "benchmark": "batching burst",
        "machine": about,
        "count": args.count,
        "within_ms": args.within_ms,
        "encodes_alone": [each["encodes"] for each in alone],
        "encodes_over_sockets": [each["encodes"] for each in sockets],
        "alone": alone,
        "over_sockets": sockets,
    }


def burst_row(number: int, facts: Facts) -> list[Cell]:
    """A line for a burst over sockets."""
    plain = ("encodes", "utterances", "answered", "ended_within_ms", "decided_within_ms")
    spreads = (facts[name][k] for name in ("transcript_ms", "felt_ms") for k in ("median", "max"))
    return [number, *(facts[name] for name in plain), *spreads, facts["late_ms"]]


async def run_poisson(args: argparse.Namespace) -> Facts:
    """Capacity of each policy, then A B A B for each rival; gives the JSON line."""
    about = machine()
    utterances = heard_utterances(clips_of_length(load_clips(args.clips)))
    path = await model_path()
    async with AsyncExitStack() as loaded:
        ways = {
            name: await loaded.enter_async_context(recogniser(path, POLICIES[name]))
            for name in (SHIPPED, *args.rivals)
        }
        capacity = {
            name: round(await how.capacity_per_s(utterances, BACKLOG), 2)
            for name, how in ways.items()
        }
        rate = args.rate or round(args.load * capacity[SHIPPED], 2)
        print(f"utterances a second with {BACKLOG} waiting: {capacity}; {rate}/s come")
        traces = [
            poisson(rate, args.arrivals, len(utterances), Random(args.seed + pair))
            for pair in range(args.pairs)
        ]
        blocks = [
            block
            for rival in args.rivals
            for block in await compared(ways, rival, traces, utterances)
        ]
    return poisson_told(args, about, capacity, rate, blocks)


async def compared(
    ways: dict[str, Recogniser], rival: str, traces: list[list[Arrival]], utterances: list[Any]
) -> list[Block]:
    """A B A B: each pair has a trace of its own, the same for both."""
    blocks = []
    for pair, trace in enumerate(traces):
        for policy in (SHIPPED, rival):
            heard, encodes = await played(ways[policy], trace, utterances)
            blocks.append(Block(policy, rival, pair, heard, encodes))
            print(blocks[-1].facts(), file=sys.stderr, flush=True)
    return blocks


def poisson_told(
    args: argparse.Namespace, about: Facts, capacity: Facts, rate: float, blocks: list[Block]
) -> Facts:
    """The tables; gives the JSON line."""
    facts = [block.facts() for block in blocks]
    plain = ("policy", "arrivals", "errors", "without_words", "encodes")
    rows: list[list[Cell]] = [
        [
            *(f[name] for name in plain),
            round(rate / capacity[f["policy"]], 2),
            *(f["latency_ms"][k] for k in QUANTILES),
            f["late_ms"]["max"],
        ]
        for f in facts
    ]
    headings = ["policy", "arrivals", "errors", "no words", "encodes", "load", *QUANTILES, "late"]
    print(table(headings, rows), end="\n\n")
    found = {rival: versus(blocks, rival) for rival in args.rivals}
    ratios: list[list[Cell]] = [
        [rival, f["median_ratio"], f["p95_ratio"], str(f["p95_ratio_of_each_pair"])]
        for rival, f in found.items()
    ]
    print("how many times the shipped policy's latency:\n")
    print(table(["rival", "median", "p95", "p95 of each pair"], ratios), end="\n\n")
    return {
        "benchmark": "batching poisson",
        "machine": about,
        "rate_per_s": rate,
        "capacity_per_s": capacity,
        "errors": sum(f["errors"] for f in facts),
        "rivals": found,
        "blocks": facts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What batching is worth.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    together = kinds.add_parser("burst", help="utterances that end together")
    together.add_argument("--count", type=int, default=16)
    together.add_argument("--within-ms", type=int, default=200)
    together.add_argument("--rounds", type=int, default=5)
    add_server_options(together)
    random = kinds.add_parser("poisson", help="utterances that come at random")
    random.add_argument("--load", type=float, default=0.7, help="of the shipped policy's capacity")
    random.add_argument("--rate", type=float, help="arrivals a second instead")
    random.add_argument("--arrivals", type=int, default=150, help="of each block")
    random.add_argument("--pairs", type=int, default=2, help="A B is one pair")
    random.add_argument("--rivals", nargs="+", choices=[*POLICIES][1:], default=[*POLICIES][1:])
    for kind in (together, random):
        kind.add_argument("--seed", type=int, default=7)
        add_clips_option(kind)
        kind.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()

    import uvloop

    from realtime.threads import apply_process_limits, thread_budget

    apply_process_limits(thread_budget())  # before the model's libraries are imported, as it does
    emit(uvloop.run((run_burst if args.kind == "burst" else run_poisson)(args)), args.json)


if __name__ == "__main__":
    main()
