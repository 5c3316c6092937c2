"""How long a caller waits for an answer, stage by stage, at real pace.

    python -m benchmarks.latency --turns 20 --replier echo

One caller, one session, one clip after the other; the next begins when the reply has been heard to
its end and thought about. README.md says what each column means.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from pathlib import Path

from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.report import Cell, emit, machine, spread, spread_rows, table
from benchmarks.server import Server, add_server_options, server_for
from benchmarks.turn import Turn, session_with, take_turn

THINK_S = 0.7
STAGES = (
    "end of speech -> decision",
    "decision -> transcript",
    "transcript -> first text",
    "first text -> first audio",
    "decision -> first audio",
    "end of speech -> first audio",
)
SHORT = ("decision", "transcript", "text", "audio", "dec->audio", "eos->audio")


async def converse(caller: Caller, clips: Iterable[Clip]) -> list[Turn]:
    """One turn after the other, each reply heard to its end."""
    turns = []
    for clip in clips:
        turns.append(await take_turn(caller, clip))
        response = turns[-1].response
        await caller.listen(response.response_id if response else "", THINK_S)
    return turns


def answered(turns: Iterable[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.outcome == "answered"]


def turn_row(turn: Turn) -> list[Cell]:
    """A line of the table: the stages of an answered turn, or why there are none."""
    if turn.outcome != "answered":
        return [turn.clip.name, len(turn.utterances), *[None] * len(STAGES), turn.outcome]
    stages = [turn.stages_ms[stage] for stage in STAGES]
    return [turn.clip.name, len(turn.utterances), *stages, f"{turn.audio_s:.1f} s"]


def stage_spreads(turns: Iterable[Turn]) -> dict[str, dict[str, float | int | None]]:
    """Median, p95 and max of each stage over the answered turns, in ms."""
    stages = [turn.stages_ms for turn in answered(turns)]
    return {stage: spread(each[stage] for each in stages) for stage in STAGES}


def turn_facts(turn: Turn) -> dict[str, object]:
    """A turn for the JSON line."""
    facts: dict[str, object] = {"clip": turn.clip.name, "outcome": turn.outcome}
    if turn.outcome == "answered":
        facts |= {"ms": list(turn.stages_ms.values()), "dry_ms": round(turn.dry_ms, 1)}
    return facts | {"utterances": len(turn.utterances), "heard": turn.heard}


def print_turns(turns: list[Turn], spreads: dict[str, dict[str, float | int | None]]) -> None:
    """The tables: a line for each turn, then one for each stage; all in ms."""
    print(table(["clip", "utt.", *SHORT, "reply"], map(turn_row, turns)), end="\n\n")
    print(table(["ms", "n", "median", "p95", "max"], spread_rows(spreads)))
    split = sum(len(turn.utterances) > 1 for turn in turns)
    print(f"\n{len(answered(turns))} of {len(turns)} turns answered; {split} were split by a pause")
    print("and are measured from their last utterance.")
    for turn in turns:
        if turn.outcome != "answered":
            print(f"not answered: {turn.clip.name}: {turn.outcome}, heard {turn.heard!r}")


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Converse with a server and print the tables; gives the JSON line."""
    clips = in_seeded_order(load_clips(args.clips), args.turns, args.seed)
    facts = machine()
    server: Server
    async with server_for(args) as server:
        session = session_with(args.silence_ms)
        async with call(server.url, binary=args.binary, session=session) as caller:
            turns = await converse(caller, clips)
        status = await server.status()
    spreads = stage_spreads(turns)
    print_turns(turns, spreads)
    return {
        "benchmark": "latency",
        "machine": facts,
        "replier": args.replier if not args.url else None,
        "encoding": "binary" if args.binary else "base64",
        "silence_ms": args.silence_ms,
        "turns": len(turns),
        "answered": len(answered(turns)),
        "split": sum(len(turn.utterances) > 1 for turn in turns),
        "stages_ms": spreads,
        "dry_ms": spread(turn.dry_ms for turn in answered(turns)),
        "caller_late_ms": spread(caller.microphone.late_ms),
        "errors": [e.event["error"] for e in caller.record.since(0, "error")],
        "server": {"ready_s": server.ready_s, "exit_code": server.exit_code, "status": status},
        "each": [turn_facts(turn) for turn in turns],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a caller waits, stage by stage.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--silence-ms", type=int, help="silence that ends a turn (server's own)")
    parser.add_argument("--binary", action="store_true", help="audio in binary frames")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
