"""Ten minutes of conversation on the page: does its memory grow, does its sound break?

    python -m benchmarks.page_soak --minutes 10

A headless Chromium talks to the server with clips, one after the other, whether or not the reply
before has ended. The heap is measured after a collection. What the page keeps to be downloaded, the
sound of both sides, grows by design until half an hour is full; it lies in buffers beside the heap.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.browser import Visit, add_browser_option, room, visit
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.report import Cell, emit, machine, percentile, table
from benchmarks.server import add_server_options, server_for

SETTLES_S = 1.0
"""After the first sound of the first reply; underruns are counted from then on."""

QUEUE_EVERY_S = 0.2


def script(clips: list[Clip], minutes: float, gap_s: float) -> list[tuple[float, Clip]]:
    """Clips to the end, with a silence after each."""
    said, at_s = [], 2.0
    for clip in in_seeded_order(clips, 2_000):
        if at_s + clip.seconds > minutes * 60:
            return said
        said.append((at_s, clip))
        at_s += clip.seconds + gap_s
    return said


async def sample(devtools: Any, visited: Visit, since: float) -> dict[str, float]:
    """The page's memory and sound at one moment."""
    await devtools.send("HeapProfiler.collectGarbage")
    heap = await devtools.send("Runtime.getHeapUsage")
    nodes = await devtools.send("Memory.getDOMCounters")
    figures = await visited.figures()
    return {
        "s": round(time.perf_counter() - since, 1),
        "heap_mb": round(heap["usedSize"] / 1e6, 2),
        "buffers_mb": round(heap.get("backingStorageSize", 0) / 1e6, 2),
        "nodes": nodes["nodes"],
        "played_s": round(figures["playedSamples"] / 24_000, 1),
        "underruns": figures["underruns"],
        "dropped": figures["droppedChunks"],
        "stale": figures["staleFrames"],
    }


async def watch_queue(visited: Visit, queued_ms: list[float]) -> None:
    """How much of a reply waits in the page, while one is played."""
    while True:
        await asyncio.sleep(QUEUE_EVERY_S)
        told = "[window.banter.state, window.banter.audio.queuedMs]"
        state, queued = await visited.page.evaluate(told)
        if state == "speaking" and queued is not None:
            queued_ms.append(queued)


async def first_sound(visited: Visit) -> None:
    await visited.state("speaking")
    await asyncio.sleep(SETTLES_S)


def growth(samples: list[dict[str, float]], key: str) -> float:
    """MB a minute, over the second half: the first one fills what is kept anyway."""
    late = samples[len(samples) // 2 :]
    seconds = late[-1]["s"] - late[0]["s"]
    return round((late[-1][key] - late[0][key]) / seconds * 60, 3) if seconds else 0.0


async def soak(args: argparse.Namespace) -> dict[str, object]:
    said = script(load_clips(args.clips), args.minutes, args.gap)
    heard = room(said, args.minutes * 60 + 5)
    queued_ms: list[float] = []
    async with (
        server_for(args) as server,
        visit(server.url, args.chromium, heard) as visited,
    ):
        devtools = await visited.page.context.new_cdp_session(visited.page)
        since = time.perf_counter()
        await visited.talk()
        watching = asyncio.create_task(watch_queue(visited, queued_ms))
        await first_sound(visited)
        samples = [await sample(devtools, visited, since)]
        while (left_s := args.minutes * 60 - (time.perf_counter() - since)) > 1:
            await asyncio.sleep(min(args.every, left_s))
            samples.append(await sample(devtools, visited, since))
            print(samples[-1], flush=True)
        watching.cancel()
        kept = await visited.saved()
        alert = await visited.page.locator("#notice-text").text_content()
    rows: list[list[Cell]] = [
        [f"{s['s']:.0f} s", *(s[key] for key in list(s)[1:])] for s in samples
    ]
    print(table(["at", "heap MB", "buffers MB", "nodes", "played s", *list(samples[0])[5:]], rows))
    return {
        "benchmark": "page_soak",
        "machine": machine(),
        "replier": args.replier if not args.url else None,
        "minutes": args.minutes,
        "said": len(said),
        "turns": len(kept["latency"]),
        "heap_mb": {"first": samples[0]["heap_mb"], "last": samples[-1]["heap_mb"]},
        "heap_mb_a_minute": growth(samples, "heap_mb"),
        "buffers_mb_a_minute": growth(samples, "buffers_mb"),
        "underruns_after_the_first_second": samples[-1]["underruns"] - samples[0]["underruns"],
        "underruns_each": [
            round(after["underruns"] - before["underruns"]) for before, after in pairwise(samples)
        ],
        "dropped_chunks": samples[-1]["dropped"],
        "stale_frames": samples[-1]["stale"],
        "queue_ms": {
            f"p{q}": round(percentile(queued_ms, q)) for q in (5, 50, 95, 100) if queued_ms
        },
        "played_s": samples[-1]["played_s"],
        "page_errors": visited.errors,
        "notice": alert,
        "samples": samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_server_options(parser, replier="embedded")
    add_clips_option(parser)
    add_browser_option(parser)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--gap", type=float, default=7.0, help="seconds between two clips (7)")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between samples (15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(soak(args)), args.json)


if __name__ == "__main__":
    main()
