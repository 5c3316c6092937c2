"""One, two, four ... callers at once: how long each waits, how fairly, and what it costs.

    python -m benchmarks.concurrency --callers 1 2 4 8 --csv curve.csv --plot curve.svg
    python -m benchmarks.concurrency --callers 16 32 --csv curve.csv --plot curve.svg --append

Each level has a fresh server and a fresh process of callers (`crowd.py`). A level's row is written
as soon as it is measured; `--append` keeps the rows of earlier runs, and the plot shows them all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from benchmarks.crowd import add_crowd_options
from benchmarks.levels import (
    COLUMNS,
    Row,
    cores,
    drawing,
    level_facts,
    read_rows,
    server_columns,
    turn_columns,
    window_of,
    write_row,
)
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import ROOT, Server, add_server_options, room_for, server_for


async def level(args: argparse.Namespace, callers: int, *options: str) -> tuple[Row, Row]:
    """One level with a server of its own, started with more options; gives its CSV row and more
    for the JSON line.
    """
    command = [sys.executable, "-m", "benchmarks.crowd", "--callers", str(callers)]
    command += ["--seconds", str(args.seconds), "--ramp-s", str(args.ramp_s)]
    command += ["--seed", str(args.seed), "--encoding", args.encoding]
    command += ["--clips", str(args.clips.resolve())]
    async with server_for(args, *room_for(callers), *options) as server:
        before = await server.status()
        crowd = await asyncio.create_subprocess_exec(
            *command, "--url", server.url, cwd=ROOT, stdout=PIPE
        )
        try:
            cpu, window, told = await watch(server, crowd)
        finally:
            if crowd.returncode is None:
                crowd.kill()
                await crowd.wait()
        after = await server.status()
    utterances = sum(turn["utterances"] for turn in told["said"])
    row = {"callers": callers, **turn_columns(told, args.seconds, args.min_turns)}
    row |= server_columns(before, window, after, utterances) | cpu
    return row, level_facts(told, window, after, args.seconds, args.min_turns)


async def watch(server: Server, crowd: asyncio.subprocess.Process) -> tuple[Row, Row, Row]:
    """Wait for a crowd; gives cores in use in its window, /status of the window, what it tells."""
    if crowd.stdout is None:
        raise RuntimeError("the crowd has no output")
    await crowd.stdout.readuntil(b"begun\n")
    begun_at = time.perf_counter()
    begun = cpu_seconds(server.pid), cpu_seconds(crowd.pid)
    status = await server.status()
    await crowd.stdout.readuntil(b"over\n")
    seconds = time.perf_counter() - begun_at
    ended = cpu_seconds(server.pid), cpu_seconds(crowd.pid)
    window = window_of(status, await server.status())
    told, _ = await crowd.communicate()
    in_use = {
        name: cores(one, other, seconds)
        for name, one, other in zip(("server_cores", "caller_cores"), begun, ended, strict=True)
    }
    return in_use, window, json.loads(told)


def cells(row: Row) -> list[Cell]:
    return [row.get(column) for column in COLUMNS]


async def run(args: argparse.Namespace) -> Row:
    """All levels; gives the JSON line."""
    about, rows, facts = machine(), [], {}
    for n, callers in enumerate(args.callers):
        row, facts[str(callers)] = await level(args, callers)
        rows.append(row)
        if args.csv:
            write_row(args.csv, row, anew=n == 0 and not args.append)
        print({**row, **facts[str(callers)]["outcomes"]}, file=sys.stderr, flush=True)
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        args.plot.write_text(drawing(read_rows(args.csv) if args.csv else rows), encoding="utf-8")
    print(table(list(COLUMNS.values()), map(cells, rows)), end="\n\n")
    for callers, fact in facts.items():
        for turn in fact["not_answered"]:
            print(f"not answered, {callers} callers: {turn}")
        if fact["lost"]:
            print(f"calls lost, {callers} callers: {fact['lost']}")
    return {
        "benchmark": "concurrency",
        "machine": about,
        "replier": None if args.url else args.replier,
        "encoding": args.encoding,
        "seconds": args.seconds,
        "seed": args.seed,
        "min_turns": args.min_turns,
        "levels": rows,
        "more": facts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Many callers at once.")
    add_server_options(parser)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    add_crowd_options(parser)
    parser.add_argument("--min-turns", type=int, default=3, help="of a session, to be compared")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row for each level")
    parser.add_argument("--append", action="store_true", help="keep the rows that FILE has")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="the curves as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
