"""What is measured of Chatterbox: T3 alone, lines whole, lines streamed, and one who comes last.

Each function is one block: it measures once, and tells raw figures in seconds. Blocks of ours and
of upstream take turns, so that a machine that slows down does so for both.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.chatterbox_rig import OURS, STREAMED, WHOLE, Rig
from benchmarks.report import percentile, ratio, spread
from benchmarks.stages import StageClock, shares

Facts = dict[str, Any]

SCHEDULES = {"whole": WHOLE, "stream": STREAMED}
MARK = "watermark"
PROBES_FROM = 10_000
"""Numbers of lines that nobody else says."""


def upstream(rig: Rig, numbers: Sequence[int], clock: StageClock) -> Facts:
    """`generate`, one line after the other, and within it T3 alone."""
    clock.clear()
    said = rig.say_upstream(numbers)
    lines_s = [seconds for seconds, _ in said]
    return {
        "lines": len(said),
        "line_s": lines_s,
        "audio_s": sum(audio_s for _, audio_s in said),
        "wall_s": sum(lines_s),
        "tokens": clock.calls["t3 tokens"],
        "t3_s": clock.seconds["t3"],
        "stages_s": dict(clock.seconds),
    }


def t3(rig: Rig, streams: int) -> Facts:
    """So many rows join, and step until all have their tokens; nothing is made of these."""
    decoder = rig.decoder(streams)
    rows = [rig.row(1 + n) for n in range(streams)]
    rig.wait()
    begun_at = time.perf_counter()
    for row in rows:
        decoder.join(row)
    rig.wait()
    joined_at = time.perf_counter()
    before = decoder.steps
    while not all(row.ended for row in rows):
        decoder.step()
    rig.wait()
    ended_at = time.perf_counter()
    return {
        "prefill_s": joined_at - begun_at,
        "steps_s": ended_at - joined_at,
        "wall_s": ended_at - begun_at,
        "steps": decoder.steps - before,
        "tokens": sum(len(row.tokens) for row in rows),
        "cache_bytes": decoder.memory_bytes,
    }


async def said(rig: Rig, mode: str, streams: int, clock: StageClock | None, **how: Any) -> Facts:
    """So many lines, asked for at the same moment, through the voice's own threads."""
    async with rig.service(streams, SCHEDULES[mode], clock=clock, **how) as service:
        if rig.device == "cuda":  # the first batch of a shape is slow
            await service.say([rig.request(1 + n) for n in range(streams)])
        if clock:
            clock.clear()
        _forget_peak(rig)
        before = service.decoder.steps
        begun_at = time.perf_counter()
        lines = await service.say([rig.request(1 + n) for n in range(streams)])
        facts = {
            "wall_s": max(line.ended_s for line in lines) - begun_at,
            "steps": service.decoder.steps - before,
            "memory": _memory(rig, service.decoder.memory_bytes),
        }
    facts |= {
        "first_ms": [line.first_ms for line in lines],
        "dry_ms": [line.reply.dry_ms for line in lines],
        "chunks": [len(line.reply.pieces) for line in lines],
        "audio_s": sum(line.audio_s for line in lines),
        "tokens": sum(line.tokens for line in lines),
    }
    if clock:
        facts["stages_s"] = {stage: clock.seconds[stage] for stage in (*OURS, MARK)}
        facts["calls"] = {stage: clock.calls[stage] for stage in (*OURS, MARK)}
    return facts


async def beside(rig: Rig, streams: int, probes: int, **how: Any) -> Facts:
    """A line that is asked for while all others are being spoken: how long it is to its first
    sound. The others' lines follow one another without a pause; the probe's is then dropped."""
    async with rig.service(streams, STREAMED, clock=None, **how) as service:
        speaking = asyncio.Event()
        begun: set[int] = set()

        async def keep_speaking(owner: int) -> None:
            number = 1 + owner
            while True:
                stream = service.begin(rig.request(number), owner)
                try:
                    while await stream.sounds.get() is not None:
                        begun.add(owner)
                        if len(begun) == streams - 1:
                            speaking.set()
                finally:
                    service.worker.cancel(stream)
                number += streams

        others = [asyncio.create_task(keep_speaking(n)) for n in range(streams - 1)]
        first_ms = []
        try:
            if others:
                await speaking.wait()
            for probe in range(probes):
                stream = service.begin(rig.request(PROBES_FROM + probe), "probe")
                await stream.sounds.get()
                first_ms.append((time.perf_counter() - stream.since_s) * 1e3)
                service.worker.cancel(stream)
                await asyncio.sleep(0.05)
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
    return {"first_ms": first_ms}


def told_upstream(rounds: Sequence[Facts]) -> Facts:
    """Upstream's rounds as one."""
    lines_s = [seconds for each in rounds for seconds in each["line_s"]]
    stages: Facts = {
        name: sum(each["stages_s"].get(name, 0.0) for each in rounds)
        for name in ("t3", "flow", "vocoder", MARK)
    }
    return {
        "lines": len(lines_s),
        "line_ms": spread(1e3 * seconds for seconds in lines_s),
        "times_real_time": _middle(rounds, "audio_s", "wall_s"),
        "tokens_per_s": _middle(rounds, "tokens", "wall_s"),
        "t3_tokens_per_s": _middle(rounds, "tokens", "t3_s"),
        "shares_percent": shares(stages, sum(lines_s)),
    }


def told_t3(rounds: Sequence[Facts]) -> Facts:
    steps_ms = [1e3 * each["steps_s"] / max(1, each["steps"]) for each in rounds]
    return {
        "tokens_per_s": _middle(rounds, "tokens", "wall_s"),
        "tokens_per_s_in_steps": _middle(rounds, "tokens", "steps_s"),
        "step_ms": round(statistics.median(steps_ms), 3),
        "prefill_ms_all": round(1e3 * statistics.median(e["prefill_s"] for e in rounds), 2),
        "cache_mb": round(rounds[0]["cache_bytes"] / 1e6),
    }


def told_said(rounds: Sequence[Facts], clocked: Sequence[Facts]) -> Facts:
    """`rounds` for speed, `clocked` for shares: on a CPU they are the same."""
    first_ms = [ms for each in rounds for ms in each["first_ms"]]
    dry_ms = [ms for each in rounds for ms in each["dry_ms"]]
    stages = {name: sum(each["stages_s"][name] for each in clocked) for name in (*OURS, MARK)}
    return {
        "first_ms": spread(first_ms),
        "times_real_time": _middle(rounds, "audio_s", "wall_s"),
        "tokens_per_s": _middle(rounds, "tokens", "wall_s"),
        "dry_lines": sum(ms > 1 for ms in dry_ms),
        "lines": len(dry_ms),
        "dry_ms_p95": round(percentile(dry_ms, 95), 1),
        "chunks_a_line": round(statistics.mean(n for e in rounds for n in e["chunks"]), 1),
        "shares_percent": shares(stages, sum(e["wall_s"] for e in clocked), beside=(MARK,)),
        "stages_ms_a_line": {
            name: round(1e3 * s / sum(len(e["chunks"]) for e in clocked), 2)
            for name, s in stages.items()
        },
        "calls": {name: sum(e["calls"][name] for e in clocked) for name in (*OURS, MARK)},
        "memory": rounds[-1]["memory"],
    }


def _middle(rounds: Sequence[Facts], above: str, below: str) -> float | None:
    """The median over the rounds of a quotient."""
    found = [r for each in rounds if (r := ratio(each[above], each[below])) is not None]
    return round(statistics.median(found), 2) if found else None


def _forget_peak(rig: Rig) -> None:
    if rig.device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _memory(rig: Rig, cache_bytes: int) -> Facts:
    """Of the GPU, in MB: torch's own, both copies of the weights included, and the process's."""
    if rig.device != "cuda":
        return {"cache_mb": round(cache_bytes / 1e6)}
    free, total = torch.cuda.mem_get_info()
    return {
        "cache_mb": round(cache_bytes / 1e6),
        "allocated_mb": round(torch.cuda.memory_allocated() / 1e6),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 1e6),
        "reserved_mb": round(torch.cuda.memory_reserved() / 1e6),
        "device_in_use_mb": round((total - free) / 1e6),
    }
