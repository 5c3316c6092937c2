"""How long a restart takes, from the start of the process to the first 200 on `/health`, by step.

    python -m benchmarks.startup --starts 10

The volume is complete, as it is at each start but the first. `/health` is asked every 5 ms. The
steps are the server's own account of its start (`start_s` in `/status`); what is left of the whole
is the interpreter and the imports. Beside it: how long the bootstrap takes
alone.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from benchmarks.report import Cell, emit, machine, spread, table
from benchmarks.server import ROOT

ASK_EVERY_S = 0.005
GIVES_UP_S = 60.0
IMPORTS = "interpreter and imports"
VERDICT = """
import asyncio, time, bootstrap
plan, volume = bootstrap.plan_for("embedded"), bootstrap.default_volume()
begun = time.perf_counter()
asyncio.run(bootstrap.ensure(plan, volume))
print(time.perf_counter() - begun)
"""


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def first_health(http: aiohttp.ClientSession, url: str) -> None:
    """Ask until `/health` answers 200.

    Raises:
        TimeoutError: it does not within a minute.
    """
    async with asyncio.timeout(GIVES_UP_S):
        while True:
            try:
                async with http.get(f"{url}/health") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(ASK_EVERY_S)


async def start(options: list[str]) -> dict[str, float]:
    """Start a server and stop it again; the seconds of each step, and `total`."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "realtime", "--port", str(port), *options]
    begun_at = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as http:
            await first_health(http, url)
            total_s = time.perf_counter() - begun_at
            async with http.get(f"{url}/status") as answer:
                steps: Mapping[str, float] = (await answer.json())["start_s"]
    finally:
        process.terminate()
        await process.wait()
    return {IMPORTS: total_s - sum(steps.values()), **steps, "total": total_s}


def verdict_s() -> float:
    """Seconds of the bootstrap step alone, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-c", VERDICT], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(told.stdout)


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Start a server again and again and print the table; gives the JSON line."""
    facts = machine()
    options = ["--replier", args.replier]
    starts = []
    for n in range(args.starts + 1):
        steps = await start(options)
        if n:  # the first fills the page cache
            starts.append(steps)
        print(f"start {n}: {steps['total']:.2f} s", file=sys.stderr, flush=True)
    rows: list[list[Cell]] = []
    for step in starts[0]:
        values_ms = [each[step] * 1000 for each in starts]
        rows.append([step, round(statistics.median(values_ms)), round(max(values_ms))])
    print(table(["step", "median ms", "max ms"], rows))
    verdicts_ms = [verdict_s() * 1000 for _ in range(args.starts)]
    print(f"\nbootstrap alone on a complete volume: median {statistics.median(verdicts_ms):.1f} ms")
    return {
        "benchmark": "startup",
        "machine": facts,
        "replier": args.replier,
        "starts": args.starts,
        "steps_ms": {step: spread(each[step] * 1000 for each in starts) for step in starts[0]},
        "bootstrap_alone_ms": spread(verdicts_ms),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a restart takes, by step.")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--replier", choices=("embedded", "echo"), default="embedded")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
