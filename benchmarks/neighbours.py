"""One well-behaved caller beside a troublemaker: what the one feels of the other.

    python -m benchmarks.neighbours --turns 4

For each kind of trouble the well-behaved caller says the same clips alone (A) and beside it (B), in
the order A B A B within one run of one server, each time in a new session.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.caller import call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.latency import answered, converse, stage_spreads
from benchmarks.report import Cell, emit, machine, ratio, spread, table
from benchmarks.server import ROOT, Server, add_server_options, server_for
from benchmarks.troublemakers import TROUBLEMAKERS
from benchmarks.turn import Turn, session_with

FELT = "end of speech -> first audio"
ORDER = ("alone", "beside", "alone", "beside")
CLIP_SECONDS = (2.0, 6.0)
"""The well-behaved caller says clips of this length: many turns in little time."""


@dataclass
class Comparison:
    """The well-behaved caller's turns, alone and beside one kind of trouble."""

    kind: str
    turns: dict[str, list[Turn]] = field(default_factory=lambda: {"alone": [], "beside": []})
    counts: Counter[str] = field(default_factory=Counter)
    """What the troublemaker did and what came of it."""
    ended_after_ms: list[float] = field(default_factory=list)
    """From the last audio of a caller who fell silent to the end of that turn."""
    loop_lag_ms: dict[str, object] = field(default_factory=dict)

    def add_trouble(self, told: dict[str, Any]) -> None:
        """Add what a troublemaker tells when it stops."""
        self.counts.update(told["counts"])
        self.ended_after_ms += told["ended_after_ms"]

    def felt_ms(self, how: str) -> dict[str, float | int | None]:
        """End of speech to first audio, in ms."""
        return spread(turn.stages_ms[FELT] for turn in answered(self.turns[how]))

    @property
    def ratio(self) -> float | None:
        """How many times as long the median wait is beside the trouble."""
        return ratio(self.felt_ms("beside")["median"], self.felt_ms("alone")["median"])


async def block(server: Server, clips: list[Clip]) -> list[Turn]:
    """The well-behaved caller's clips in a session of its own."""
    async with call(server.url, session=session_with()) as caller:
        return await converse(caller, clips)


async def block_beside(
    server: Server, clips: list[Clip], folder: Path, comparison: Comparison
) -> list[Turn]:
    """The same beside the troublemaker, who is a process of its own."""
    command = [sys.executable, "-m", "benchmarks.troublemakers", comparison.kind]
    process = await asyncio.create_subprocess_exec(
        *command, "--url", server.url, "--clips", str(folder), cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    if process.stdout is None:
        raise RuntimeError("the troublemaker has no output")
    await process.stdout.readuntil(b"ready\n")
    turns = await block(server, clips)
    told, _ = await process.communicate(b"")
    comparison.add_trouble(json.loads(told))
    return turns


async def compare(server: Server, clips: list[Clip], folder: Path, kind: str) -> Comparison:
    """A B A B for one kind of trouble."""
    comparison = Comparison(kind)
    for how in ORDER:
        if how == "alone":
            turns = await block(server, clips)
        else:
            turns = await block_beside(server, clips, folder, comparison)
        comparison.turns[how] += turns
        print(f"{kind}, {how}: {[turn.outcome for turn in turns]}", file=sys.stderr, flush=True)
    comparison.loop_lag_ms = (await server.status()).get("loop_lag_ms", {})
    return comparison


def row(comparison: Comparison) -> list[Cell]:
    alone, beside = comparison.felt_ms("alone"), comparison.felt_ms("beside")
    every = sum(len(turns) for turns in comparison.turns.values())
    got = sum(len(answered(turns)) for turns in comparison.turns.values())
    cells: list[Cell] = [comparison.kind, alone["median"], beside["median"], comparison.ratio]
    return [*cells, alone["max"], beside["max"], f"{got}/{every}"]


def facts(comparison: Comparison) -> dict[str, object]:
    """A comparison for the JSON line."""
    every = [turn for turns in comparison.turns.values() for turn in turns]
    return {
        "alone_ms": comparison.felt_ms("alone"),
        "beside_ms": comparison.felt_ms("beside"),
        "ratio": comparison.ratio,
        "stage_medians_ms": {
            how: {stage: each["median"] for stage, each in stage_spreads(turns).items()}
            for how, turns in comparison.turns.items()
        },
        "not_answered": [turn.outcome for turn in every if turn.outcome != "answered"],
        "trouble": comparison.counts,
        "silent_turn_ended_after_ms": spread(comparison.ended_after_ms),
        "loop_lag_ms_so_far": comparison.loop_lag_ms,
    }


def print_comparisons(comparisons: list[Comparison]) -> None:
    """A line for each kind of trouble, in ms, then what the trouble consisted of."""
    headings = ["trouble", "alone", "beside", "ratio", "alone max", "beside max", "answered"]
    print(f"well-behaved caller, {FELT}, ms, medians of {'-'.join(ORDER)}:\n")
    print(table(headings, map(row, comparisons)), end="\n\n")
    for comparison in comparisons:
        made = ", ".join(f"{what}: {times}" for what, times in comparison.counts.items())
        print(f"{comparison.kind}: {made}")
        if comparison.ended_after_ms:
            ended = spread(comparison.ended_after_ms)
            print(f"  its turn ended {ended['median']} ms after its last audio (median)")


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Compare for each kind of trouble and print the table; gives the JSON line."""
    shortest_s, longest_s = CLIP_SECONDS
    clips = [c for c in load_clips(args.clips) if shortest_s <= c.seconds <= longest_s]
    chosen = in_seeded_order(clips, args.turns, args.seed)
    about = machine()
    async with server_for(args) as server:
        comparisons = [await compare(server, chosen, args.clips, kind) for kind in args.trouble]
        health = await server.get("/health")
    print_comparisons(comparisons)
    return {
        "benchmark": "neighbours",
        "machine": about,
        "replier": None if args.url else args.replier,
        "turns_per_block": args.turns,
        "trouble": {comparison.kind: facts(comparison) for comparison in comparisons},
        "server_after": {"health": health, "exit_code": server.exit_code},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A well-behaved caller beside a troublemaker.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--turns", type=int, default=4, help="turns of each block")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--trouble", nargs="+", choices=TROUBLEMAKERS, default=[*TROUBLEMAKERS])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
