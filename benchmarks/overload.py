"""Twice the callers that are let in: what the admitted wait, how the others are told, who gets in.

    python -m benchmarks.overload --max-sessions 8 --seconds 60 --json overload.json

A server with so many places and three keys is called three times: by one caller, by as many as it
has places for, and by twice as many. Of these one key has half, and its callers come first; the
other two share the rest. Each says a few turns, hangs up, and comes again; who is refused comes
again when `Retry-After` says so, as it is or `--retry-s` at the most. A key's share is of the time
that all places together were taken in the window, which is the last part of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import uvloop

from benchmarks.arrivals import endless, think_s
from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, load_clips
from benchmarks.crowd import clips_of_length
from benchmarks.report import emit, machine, ratio, spread, spread_rows, table
from benchmarks.server import add_server_options, started_server
from benchmarks.turn import session_with, take_turn

NAMES = ("first", "second", "third")
TURNS = 3
"""That a caller says before it hangs up."""

GOAL_RATIO, GOAL_REFUSED_MS = 1.5, 100.0
WAITED = "end of speech -> first audio"
REFUSED = 503


@dataclass
class Load:
    """One of the three: who called, and what came of it. Times are of perf_counter."""

    url: str
    keys: dict[str, str]
    clips: list[Clip]
    begin_at: float
    stop_at: float
    retry_s: float
    waited_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    """Refusals by code and by what `Retry-After` said."""
    outcomes: Counter[str] = field(default_factory=Counter)
    held: list[tuple[str, float, float]] = field(default_factory=list)
    """Places: whose, from when, until when."""

    def places_s(self) -> dict[str, float]:
        """Seconds in the window that places were taken, by key."""
        found = dict.fromkeys(self.keys, 0.0)
        for name, begun_at, ended_at in self.held:
            found[name] += max(0.0, min(ended_at, self.stop_at) - max(begun_at, self.begin_at))
        return found

    def report(self) -> dict[str, Any]:
        seconds = self.places_s()
        return {
            "waited_ms": spread(self.waited_ms),
            "refused_ms": spread(self.refused_ms),
            "refusals": dict(self.told),
            "outcomes": dict(self.outcomes),
            "share": {name: ratio(s, sum(seconds.values())) for name, s in seconds.items()},
        }


async def be_one(number: int, name: str, load: Load) -> None:
    """One caller, again and again."""
    random = Random(f"7 {number} {name}")
    clips = endless(load.clips, random)
    while time.perf_counter() < load.stop_at:
        begun_at = time.perf_counter()
        try:
            session = session_with()
            async with call(load.url, binary=True, session=session, key=load.keys[name]) as caller:
                held_at = time.perf_counter()
                try:
                    await converse(caller, clips, load, random)
                finally:
                    load.held.append((name, held_at, time.perf_counter()))
            await asyncio.sleep(random.uniform(0.1, 0.5))
        except aiohttp.WSServerHandshakeError as refusal:
            if refusal.status != REFUSED:
                raise
            after_s = note(refusal, begun_at, load)
            await asyncio.sleep(min(after_s, load.retry_s) * random.uniform(0.9, 1.1))


def note(refusal: aiohttp.WSServerHandshakeError, begun_at: float, load: Load) -> float:
    """Count a refusal; when to come again."""
    after = (refusal.headers or {}).get("Retry-After", "")
    load.told[f"Retry-After {after or 'missing'}"] += 1
    if time.perf_counter() >= load.begin_at:
        load.refused_ms.append((time.perf_counter() - begun_at) * 1e3)
    return float(after) if after.isdigit() else load.retry_s


async def converse(caller: Caller, clips: Any, load: Load, random: Random) -> None:
    for _ in range(TURNS):
        if time.perf_counter() >= load.stop_at:
            return
        turn = await take_turn(caller, next(clips))
        load.outcomes[turn.outcome] += 1
        waited_ms = turn.stages_ms[WAITED] if turn.outcome == "answered" else None
        if waited_ms is not None and load.begin_at <= turn.end_of_speech_at < load.stop_at:
            load.waited_ms.append(waited_ms)
        response_id = turn.response.response_id if turn.response else ""
        await caller.listen(response_id, think_s(random))


def split(callers: int) -> list[str]:
    """The key of each: half have the first, and the others take turns; one has the first."""
    first = (callers + 1) // 2
    return [NAMES[0]] * first + [NAMES[1 + n % 2] for n in range(callers - first)]


async def offered(
    args: argparse.Namespace, url: str, keys: dict[str, str], clips: list[Clip], callers: int
) -> Load:
    """So many callers at once, those of the first key first."""
    now = time.perf_counter()
    stop_at = now + args.settle_s + args.seconds
    load = Load(url, keys, clips, now + args.settle_s, stop_at, args.retry_s)
    async with asyncio.TaskGroup() as tasks:
        for number, name in enumerate(split(callers)):
            tasks.create_task(be_one(number, name, load))
            await asyncio.sleep(args.ramp_s / callers)
    return load


async def run(args: argparse.Namespace) -> dict[str, Any]:
    """All three; gives the JSON line."""
    about, clips = machine(), clips_of_length(load_clips(args.clips))
    keys = {name: secrets.token_hex(24) for name in NAMES}
    with tempfile.TemporaryDirectory(prefix="banter-overload-") as folder:
        file = Path(folder) / "keys.toml"
        file.touch(0o600)
        file.write_text("".join(f'[[key]]\nname = "{n}"\nkey = "{k}"\n' for n, k in keys.items()))
        options = ("--max-sessions", str(args.max_sessions), "--keys-file", str(file))
        loads = {}
        for title, callers in (
            ("one caller", 1),
            ("all places", args.max_sessions),
            ("twice as many", 2 * args.max_sessions),
        ):
            async with started_server(args.replier, *options) as server:
                loads[title] = (await offered(args, server.url, keys, clips, callers)).report()
            print(title, loads[title], file=sys.stderr, flush=True)
    show(loads)
    alone, admitted, over = (loads[title]["waited_ms"]["p95"] for title in loads)
    refused = loads["twice as many"]["refused_ms"]
    return {
        "benchmark": "overload",
        "machine": about,
        "replier": args.replier,
        "max_sessions": args.max_sessions,
        "seconds": args.seconds,
        "p95_ratio": ratio(over, admitted),
        "p95_ratio_to_one_caller": ratio(over, alone),
        "refused_within_goal": refused["n"] > 0 and refused["max"] < GOAL_REFUSED_MS,
        "goals": {"p95_ratio": GOAL_RATIO, "refused_ms": GOAL_REFUSED_MS},
        "loads": loads,
    }


def show(loads: dict[str, dict[str, Any]]) -> None:
    head = ["", "n", "median", "p95", "max"]
    print(table(head, spread_rows({f"waited, {k}": v["waited_ms"] for k, v in loads.items()})))
    print(table(head, spread_rows({f"refused, {k}": v["refused_ms"] for k, v in loads.items()})))
    rows = [[title, *load["share"].values()] for title, load in loads.items()]
    print(table(["share of the places", *NAMES], rows), end="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Twice the callers that are let in.")
    add_server_options(parser)
    parser.add_argument("--max-sessions", type=int, default=4, help="places (4)")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, of each load")
    parser.add_argument("--settle-s", type=float, default=30.0, help="before that, unmeasured")
    parser.add_argument("--ramp-s", type=float, default=4.0, help="in which callers begin")
    parser.add_argument(
        "--retry-s", type=float, default=10.0, help="who is refused waits no longer"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    add_clips_option(parser)
    args = parser.parse_args()
    if args.url:
        parser.error("--url: the server has to be one with these keys; it is started here")
    emit(uvloop.run(run(args)), args.json)


if __name__ == "__main__":
    main()
