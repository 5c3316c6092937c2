"""Files that are transcribed while people talk: what do callers feel, how long do files take?

    python -m benchmarks.files --callers 4 --seconds 60 --files 60 600
    python -m benchmarks.files --quick

One server that echoes. In turn without and with files, twice (A B A B): the same callers with the
same seeds (`crowd.py`), and beside them, in the blocks with files, one sender for each length in
`--files` who sends a recording of so many seconds again as soon as it was answered. A block ends
when the last file has been answered.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import soundfile

from benchmarks.clips import SAMPLE_RATE_HZ, Clip, Pcm, load_clips
from benchmarks.crowd import add_crowd_options
from benchmarks.levels import FELT, answered_within
from benchmarks.report import Cell, emit, machine, percentile, ratio, spread, table
from benchmarks.server import ROOT, Server, add_server_options, room_for, server_for

PAUSE_S = 0.6
"""Between two clips of a recording."""

FILE_WITHIN_S = 1_800.0


@dataclass(frozen=True)
class Sent:
    """One file that was answered."""

    seconds: float
    took_s: float
    words: int

    @property
    def real_time_factor(self) -> float:
        """Time that it took over its length."""
        return self.took_s / self.seconds


@dataclass
class Block:
    """One run of the callers, with or without files beside them."""

    with_files: bool
    told: dict[str, Any]
    sent: list[Sent] = field(default_factory=list)

    def felt_ms(self, seconds: float) -> list[float]:
        """End of speech to first audio of each turn that was answered in the window."""
        turns = answered_within(self.told["said"], seconds)
        return [t["stages_ms"][FELT] for t in turns if t["stages_ms"][FELT] is not None]


def recording(clips: list[Clip], seconds: float) -> bytes:
    """Clips one after the other, with pauses, for so long: a FLAC file."""
    wanted, samples = int(seconds * SAMPLE_RATE_HZ), 0
    parts: list[Pcm] = []
    for clip in cycle(clips):
        if samples >= wanted:
            break
        parts += [clip.pcm, np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.int16)]
        samples += len(parts[-2]) + len(parts[-1])
    sink = io.BytesIO()
    soundfile.write(sink, np.concatenate(parts)[:wanted], SAMPLE_RATE_HZ, format="FLAC")
    return sink.getvalue()


async def send(server: Server, file: bytes, seconds: float) -> Sent:
    """Send one file and wait for its words."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("model", "whisper-1")
    form.add_field("response_format", "verbose_json")
    form.add_field("file", io.BytesIO(file), filename="recording.flac")
    timeout = aiohttp.ClientTimeout(total=FILE_WITHIN_S)
    begun_at = time.perf_counter()
    url = f"{server.url}/v1/audio/transcriptions"
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.post(url, data=form) as answer,
    ):
        answer.raise_for_status()
        body = await answer.json()
    return Sent(seconds, time.perf_counter() - begun_at, len(body["text"].split()))


async def send_on(
    server: Server, file: bytes, seconds: float, over: asyncio.Event, sent: list[Sent]
) -> None:
    """Send a file again and again until the callers are done; once in any case."""
    while True:
        sent.append(await send(server, file, seconds))
        if over.is_set():
            return


async def block(args: argparse.Namespace, server: Server, files: dict[float, bytes]) -> Block:
    """The callers once; with files beside them if there are any."""
    command = [sys.executable, "-m", "benchmarks.crowd", "--url", server.url]
    command += ["--callers", str(args.callers), "--seconds", str(args.seconds)]
    command += ["--ramp-s", str(args.ramp_s), "--seed", str(args.seed)]
    command += ["--encoding", args.encoding, "--clips", str(args.clips.resolve())]
    crowd = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    over, sent = asyncio.Event(), list[Sent]()
    try:
        if crowd.stdout is None:
            raise RuntimeError("the crowd has no output")
        await crowd.stdout.readuntil(b"begun\n")
        async with asyncio.TaskGroup() as tasks:
            for seconds, file in files.items():
                tasks.create_task(send_on(server, file, seconds, over, sent))
            await crowd.stdout.readuntil(b"over\n")
            over.set()
            told, _ = await crowd.communicate()
    finally:
        if crowd.returncode is None:
            crowd.kill()
            await crowd.wait()
    return Block(bool(files), json.loads(told), sent)


def felt(blocks: list[Block], seconds: float) -> dict[str, Any]:
    """What callers waited for over some blocks, in ms."""
    known = [ms for b in blocks for ms in b.felt_ms(seconds)]
    quantiles = {f"p{q}": round(percentile(known, q), 1) if known else None for q in (50, 95)}
    lost = sum(sum(b.told["lost"].values()) for b in blocks)
    return {"turns": len(known), **quantiles, "calls_lost": lost}


def figures(blocks: list[Block], seconds: float) -> dict[str, Any]:
    """The ratios of what callers felt, and the files' real-time factors."""
    alone = felt([b for b in blocks if not b.with_files], seconds)
    beside = felt([b for b in blocks if b.with_files], seconds)
    sent = [s for b in blocks for s in b.sent]
    lengths = sorted({s.seconds for s in sent})
    return {
        "alone_ms": alone,
        "beside_files_ms": beside,
        "ratio": {q: ratio(beside[q], alone[q]) for q in ("p50", "p95")},
        "blocks": [{"files": b.with_files, **felt([b], seconds)} for b in blocks],
        "files": {
            f"{length:g}": {
                "answered": sum(s.seconds == length for s in sent),
                "took_s": spread(s.took_s for s in sent if s.seconds == length),
                "real_time_factor": round(
                    percentile([s.real_time_factor for s in sent if s.seconds == length], 50), 3
                ),
                "words": max(s.words for s in sent if s.seconds == length),
            }
            for length in lengths
        },
    }


def show(told: dict[str, Any]) -> None:
    """The blocks and the files as tables."""
    rows: list[list[Cell]] = [
        ["with files" if b["files"] else "alone", b["turns"], b["p50"], b["p95"], b["calls_lost"]]
        for b in told["blocks"]
    ]
    print(table(["callers", "turns", "p50 ms", "p95 ms", "calls lost"], rows), end="\n\n")
    files: list[list[Cell]] = [
        [f"{length} s", f["answered"], f["took_s"]["median"], f["real_time_factor"], f["words"]]
        for length, f in told["files"].items()
    ]
    print(table(["file", "answered", "took s", "real-time factor", "words"], files), end="\n\n")


async def run(args: argparse.Namespace) -> dict[str, object]:
    """A B A B; gives the JSON line."""
    about = machine()
    clips = load_clips(args.clips)
    files = {seconds: recording(clips, seconds) for seconds in args.files}
    async with server_for(args, *room_for(2 * args.callers)) as server:
        blocks = [
            await block(args, server, beside) for _ in range(args.rounds) for beside in ({}, files)
        ]
        status = await server.status()
    told = figures(blocks, args.seconds)
    show(told)
    return {
        "benchmark": "files",
        "machine": about,
        "replier": None if args.url else args.replier,
        "callers": args.callers,
        "seconds": args.seconds,
        "seed": args.seed,
        **told,
        "loop_lag_ms": status.get("loop_lag_ms"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Files beside live callers.")
    add_server_options(parser)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--files", type=float, nargs="+", default=[60.0, 600.0], metavar="SECONDS")
    parser.add_argument("--rounds", type=int, default=2, help="of A and B (2)")
    parser.add_argument("--quick", action="store_true", help="see that it works: 1 round of 10 s")
    add_crowd_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    if args.quick:
        args.callers, args.seconds, args.ramp_s = 2, 10.0, 2.0
        args.files, args.rounds = [20.0], 1
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
