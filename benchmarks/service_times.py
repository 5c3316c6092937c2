"""How long engines take on this machine, for `capacity.py`: a file that replaces assumed figures.

    python -m benchmarks.service_times --name mine --json benchmarks/service/mine.json
    python -m benchmarks.service_times --name mine --json mine.json --parts transcription \\
        --device cuda --whisper DIR                     # a GPU; DIR in CTranslate2's form
    python -m benchmarks.service_times --name mine --json mine.json --parts voice \\
        --chatterbox chatterbox.json                    # of `benchmarks.chatterbox --json`

Parts are measured one after the other, each alone; a part that the file has already and that is not
named is kept. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cpu import Others
from benchmarks.report import Cell, emit, machine, table
from realtime.threads import apply_process_limits, cores, thread_budget

if TYPE_CHECKING:
    from benchmarks.clips import Clip

PARTS = ("transcription", "voice", "end_of_turn", "ear", "in_server")
WINDOWS_S = (8.0, 15.0)
CHARS_PER_S = 15.0
"""Of Chatterbox, as Banter takes it to be."""

QUIET_CORES = 0.1
"""What others may take of the machine while it is measured."""

Facts = dict[str, Any]


def measure(args: argparse.Namespace, told: Facts) -> Facts:
    """The parts that are asked for, written into what is there already."""
    budget = thread_budget()
    apply_process_limits(budget)  # before numpy is loaded
    from benchmarks.clips import DEFAULT_CLIPS, load_clips
    from benchmarks.planning import measuring
    from benchmarks.planning.fitting import chunk_voice

    told = {"name": args.name, "measured": True, **told, "machine": machine()}
    on_gpu = args.device == "cuda"
    if "device" not in told or "transcription" in args.parts:
        told["device"] = {"kind": "gpu" if on_gpu else "cpu", "capacity": 1 if on_gpu else cores()}
    sources = told.setdefault("sources", {})
    clips = short_enough(load_clips(args.clips or DEFAULT_CLIPS))
    models = asyncio.run(folders()) if needs_models(args) else {}
    by_part = {
        "transcription": lambda: measuring.transcription(
            args.whisper or models["whisper"],
            clips,
            WINDOWS_S,
            device=args.device,
            threads=budget.whisper,
        ),
        "voice": lambda: (
            chunk_voice(
                json.loads(args.chatterbox.read_text(encoding="utf-8")),
                streams=args.streams,
                chars_per_s=CHARS_PER_S,
            )
            if args.chatterbox
            else measuring.embedded_voice(clips)
        ),
    }
    for part in args.parts:
        others = Others()
        if part == "in_server":
            folder = args.clips or DEFAULT_CLIPS
            told[part] = asyncio.run(measuring.in_server(folder, told))
        elif part in by_part:
            told[part] = by_part[part]()
        else:
            front = told.setdefault("front_end", {"cores": cores()})
            if part == "ear":
                front |= asyncio.run(measuring.front_end(clips))
            else:
                front["end_of_turn"] = measuring.end_of_turn(models["end_of_turn"], clips)
        sources[part] = f"measured, {told['machine']['cpu']}, {told['machine']['at'][:10]}"
        told.setdefault("others_cores", {})[part] = others.cores
        if (others.cores or 0.0) > QUIET_CORES:
            print(
                f"{part}: others took {others.cores} cores meanwhile; measure it again",
                file=sys.stderr,
            )
    return told


def needs_models(args: argparse.Namespace) -> bool:
    """Whether the embedded models are asked for."""
    own = {"transcription"} if args.whisper else set()
    return bool({"transcription", "end_of_turn"} & set(args.parts) - own)


async def folders() -> dict[str, Path]:
    """Where the embedded models lie."""
    import bootstrap

    plan = bootstrap.plan_for("embedded", llm=False, end_of_turn=True)
    return dict(await bootstrap.ensure(plan, bootstrap.default_volume()))


def short_enough(clips: Sequence[Clip]) -> list[Clip]:
    """Those that are one window."""
    return [clip for clip in clips if clip.seconds <= WINDOWS_S[-1] - 1.5]


def rows(told: Facts) -> list[list[Cell]]:
    """A line for each kind of run."""
    heard, voice, front = (told.get(each, {}) for each in ("transcription", "voice", "front_end"))
    named = {
        "Whisper, a second of window": heard.get("run"),
        "features, a second of speech": heard.get("features"),
        "voice, a character": voice.get("run"),
        "voice, to begin a line": voice.get("begin"),
        "voice, a step, each row": voice.get("step"),
        "voice, a run's flow, a token": voice.get("flow"),
        "voice, a run's vocoder, a frame": voice.get("vocoder"),
        "end of turn, a pause": front.get("end_of_turn"),
    }
    return [
        [name, 1e3 * line["fixed_s"], 1e3 * line["each_s"], line["spread"], line["width"]]
        for name, line in named.items()
        if line
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="How long engines take on this machine.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--whisper", type=Path, metavar="DIR", help="default: the embedded one")
    parser.add_argument("--chatterbox", type=Path, metavar="FILE", help="of benchmarks.chatterbox")
    parser.add_argument("--streams", type=int, default=16, help="as --voice-streams of the server")
    parser.add_argument("--clips", type=Path, metavar="DIR", help="recordings (tests/data)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    if "in_server" in args.parts and (args.device == "cuda" or args.whisper or args.chatterbox):
        parser.error("in_server is of the embedded engines: name the --parts without it")
    told = {}
    if args.json and args.json.exists():
        told = json.loads(args.json.read_text(encoding="utf-8"))
    told = measure(args, told)
    headings = ["", "fixed ms", "each ms", "spread", "width"]
    print(table(headings, rows(told)), end="\n\n")
    emit(told, args.json)


if __name__ == "__main__":
    main()
