"""How long a caller waits for an answer, stage by stage, at real pace.

    python -m benchmarks.latency --turns 20 --replier echo
    python -m benchmarks.latency --turns 20 --replier embedded --arms plain,shipped,plain,shipped

One caller, one session, one clip after the other; the next begins when the reply has been heard to
its end and thought about. README.md says what each column means. Arms are kinds of servers that are
compared: each is started anew with the same clips, and turns of arms of one name count together.
`--drawing` writes where the milliseconds of each arm go as an SVG file.

A reply that is begun ahead cannot sound before the turn is decided, nor before its draft has done
all its work. `beyond` is what the first audio came later than the later of these two: what the
server loses between its stages.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.report import Cell, emit, machine, spread, spread_rows, table
from benchmarks.server import Server, add_server_options, server_for
from benchmarks.turn import Turn, between_ms, session_with, take_turn
from benchmarks.waterfall import Bar, waterfall

THINK_S = 0.7
STAGES = (
    "end of speech -> decision",
    "decision -> transcript",
    "transcript -> first text",
    "first text -> first audio",
    "decision -> first audio",
    "end of speech -> first audio",
)
ARMS = {
    "shipped": (),
    "no-speculation": ("--speculation", "off"),
    "silence-alone": ("--end-of-turn", "off"),
    "plain": ("--speculation", "off", "--end-of-turn", "off"),
    "no-partials": (),
}
"""Options of the servers that can be compared."""

MODULES = {"no-partials": ("benchmarks.without_partials",)}
"""Arms that no option of the server makes."""

SHORT = ("decision", "transcript", "text", "audio", "dec->audio", "eos->audio")


@dataclass(frozen=True)
class Ahead:
    """Drafts of one run, by its server's `/status`: medians in ms."""

    begun_ms: float
    """From the last speech to a draft's beginning."""
    work_ms: float
    """From there to its first sound, over the drafts that came so far: those that were overtaken by
    the decision are not in it, so it is rather too short, and what is `beyond` it too long."""
    assumed: bool
    """`begun_ms` is the pause in which a draft begins, as the server does not tell it."""

    def beyond_ms(self, turn: Turn) -> float | None:
        """What a turn's first audio came later than the decision and the draft's work allow; less
        than nothing where its draft was quicker than the median."""
        if turn.outcome != "answered" or turn.decided_at is None:
            return None
        worked_at = turn.end_of_speech_at + (self.begun_ms + self.work_ms) / 1000
        return between_ms(max(turn.decided_at, worked_at), turn.first_audio_at)


def ahead_of(status: dict[str, Any]) -> Ahead | None:
    """Of a server whose drafts came to a sound; None of one that has no such drafts."""
    from realtime.turns import TurnSettings

    series = status.get("series", {})
    begun, work = (series.get(f"speculation.{name}_ms") for name in ("begun", "sound"))
    if work is None:
        return None
    begun_ms = TurnSettings().pause_ms if begun is None else begun["p50"]
    return Ahead(begun_ms, work["p50"], begun is None)


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


def turn_row(turn: Turn, beyond_ms: float | None) -> list[Cell]:
    """A line of the table: the stages of an answered turn, or why there are none."""
    if turn.outcome != "answered":
        return [turn.clip.name, len(turn.utterances), *[None] * len(STAGES), None, turn.outcome]
    stages = [turn.stages_ms[stage] for stage in STAGES]
    return [turn.clip.name, len(turn.utterances), *stages, beyond_ms, f"{turn.audio_s:.1f} s"]


Spreads = dict[str, dict[str, float | int | None]]


def stage_spreads(turns: Iterable[Turn]) -> Spreads:
    """Median, p95 and max of each stage over the answered turns, in ms."""
    stages = [turn.stages_ms for turn in answered(turns)]
    return {stage: spread(each[stage] for each in stages) for stage in STAGES}


def turn_facts(turn: Turn, beyond_ms: float | None) -> dict[str, object]:
    """A turn for the JSON line."""
    facts: dict[str, object] = {"clip": turn.clip.name, "outcome": turn.outcome}
    if turn.outcome == "answered":
        facts |= {"ms": list(turn.stages_ms.values()), "dry_ms": round(turn.dry_ms, 1)}
        facts |= {"beyond_ms": beyond_ms}
    return facts | {"utterances": len(turn.utterances), "heard": turn.heard}


def print_turns(turns: list[Turn], spreads: Spreads, beyond_ms: list[float | None]) -> None:
    """The tables: a line for each turn, then one for each stage; all in ms."""
    rows = map(turn_row, turns, beyond_ms)
    print(table(["clip", "utt.", *SHORT, "beyond", "reply"], rows), end="\n\n")
    shown = {**spreads, "beyond": spread(beyond_ms)}
    print(table(["ms", "n", "median", "p95", "max"], spread_rows(shown)))
    split = sum(len(turn.utterances) > 1 for turn in turns)
    print(f"\n{len(answered(turns))} of {len(turns)} turns answered; {split} were split by a pause")
    print("and are measured from their last utterance.")
    for turn in turns:
        if turn.outcome != "answered":
            print(f"not answered: {turn.clip.name}: {turn.outcome}, heard {turn.heard!r}")


def speculated(status: dict[str, Any]) -> dict[str, Any]:
    """What a server's status says of replies that were begun ahead."""
    counts = status.get("counts", {})
    return {name: n for name, n in counts.items() if name.startswith("speculation.")}


def bar(name: str, spreads: Spreads) -> Bar:
    """An arm's medians, in the order in which they pass."""
    parts = {stage: spreads[stage]["median"] or 0.0 for stage in STAGES[:4]}
    return Bar(name, parts, spreads["end of speech -> first audio"]["p95"])


async def compare(args: argparse.Namespace) -> dict[str, object]:
    """One arm after the other; the JSON line tells of each by its name."""
    runs = []
    for name in args.arms:
        print(f"\n{name}", flush=True)
        args.module = MODULES.get(name, ("realtime",))
        runs.append((name, *await converse_with(args, *ARMS[name])))
    arms: dict[str, object] = {}
    bars = []
    for name in dict.fromkeys(args.arms):
        turns = [turn for arm, told, *_ in runs if arm == name for turn in told]
        beyond_ms = [ms for arm, _, told, _ in runs if arm == name for ms in told]
        spreads = stage_spreads(turns)
        print(f"\nall of {name}")
        print_turns(turns, spreads, beyond_ms)
        bars.append(bar(name, spreads))
        arms[name] = {
            "turns": len(turns),
            "answered": len(answered(turns)),
            "split": sum(len(turn.utterances) > 1 for turn in turns),
            "stages_ms": spreads,
            "beyond_ms": spread(beyond_ms),
            "speculation": [facts["speculation"] for arm, *_, facts in runs if arm == name],
        }
    if args.drawing:
        args.drawing.write_text(waterfall(bars, "ms after the last word, medians"))
    return {
        "benchmark": "latency",
        "machine": machine(),
        "replier": args.replier,
        "order": args.arms,
        "arms": arms,
        "runs": [facts for *_, facts in runs],
    }


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Converse with a server, or one after the other; gives the JSON line."""
    if args.arms:
        return await compare(args)
    return (await converse_with(args))[-1]


async def converse_with(
    args: argparse.Namespace, *options: str
) -> tuple[list[Turn], list[float | None], dict[str, object]]:
    """Converse with one server and print the tables; its turns, what each took beyond its work, and
    the JSON line."""
    clips = in_seeded_order(load_clips(args.clips), args.turns, args.seed)
    facts = machine()
    server: Server
    async with server_for(args, *options) as server:
        session = session_with(args.silence_ms)
        async with call(server.url, binary=args.binary, session=session) as caller:
            turns = await converse(caller, clips)
        status = await server.status()
    spreads, ahead = stage_spreads(turns), ahead_of(status)
    beyond_ms = [ahead.beyond_ms(turn) if ahead else None for turn in turns]
    print_turns(turns, spreads, beyond_ms)
    return (
        turns,
        beyond_ms,
        {
            "benchmark": "latency",
            "options": options,
            "speculation": speculated(status),
            "machine": facts,
            "replier": args.replier if not args.url else None,
            "encoding": "binary" if args.binary else "base64",
            "silence_ms": args.silence_ms,
            "turns": len(turns),
            "answered": len(answered(turns)),
            "split": sum(len(turn.utterances) > 1 for turn in turns),
            "stages_ms": spreads,
            "drafts": vars(ahead) if ahead else None,
            "beyond_ms": spread(beyond_ms),
            "dry_ms": spread(turn.dry_ms for turn in answered(turns)),
            "caller_late_ms": spread(caller.microphone.late_ms),
            "errors": [e.event["error"] for e in caller.record.since(0, "error")],
            "server": {"ready_s": server.ready_s, "exit_code": server.exit_code, "status": status},
            "each": list(map(turn_facts, turns, beyond_ms)),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a caller waits, stage by stage.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--silence-ms", type=int, help="silence that ends a turn (server's own)")
    parser.add_argument("--binary", action="store_true", help="audio in binary frames")
    parser.add_argument(
        "--arms",
        type=lambda names: [name for name in names.split(",") if ARMS[name] is not None],
        help=f"servers to compare, in their order, of {', '.join(ARMS)}",
    )
    parser.add_argument("--drawing", type=Path, metavar="FILE", help="SVG file, with --arms")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
