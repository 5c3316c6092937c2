"""What the engines take from each other: each one alone and all at once, in one process.

    python -m benchmarks.contention --seconds 5

A is with the server's thread budget: threads for each engine, how OpenMP waits, how long a thread
may hold the interpreter. B leaves all that as the libraries have it. Both are set before a library
is loaded, so each block of A B A B is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import DEFAULT_CLIPS, read_pcm, to_ear, to_pcm
from benchmarks.report import Cell, emit, machine, percentile, ratio, table
from benchmarks.server import ROOT

ORDER = ("budget", "none", "budget", "none")
UNITS = {
    "whisper": "ms an utterance",
    "llm": "tokens a second",
    "voice": "times real time",
    "silero": "ms a window",
    "loop": "ms of lag, p99",
}
HIGHER_IS_BETTER = ("llm", "voice")
STREAMS = 4
"""Callers whose windows Silero hears, one each 32 ms."""
WINDOW_SAMPLES = 512
WINDOW_S = 0.032
TICK_S = 0.005
WHISPER_RATE_HZ = 16_000
UTTERANCE_S = 5
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody on the farm takes any notice."
QUESTION = "Tell me a long story about a lighthouse and the people who live in it."

Stage = Callable[[Any, Any, float], Awaitable[float]]
"""Engines, the utterance, and a perf_counter time to stop at -> the stage's figure."""


async def whisper(engines: Any, audio: Any, until: float) -> float:
    """Median time of one utterance, in ms."""
    from realtime.engines import Utterance

    took_ms = []
    while time.perf_counter() < until:
        begun_at = time.perf_counter()
        await engines.transcriber.transcribe(Utterance(audio), owner="whisper")
        took_ms.append((time.perf_counter() - begun_at) * 1000)
    return percentile(took_ms, 50)


async def llm(engines: Any, audio: Any, until: float) -> float:
    """Tokens a second while replies are being written; a delta is a token."""
    from realtime.prompt import Message

    tokens, writing_s = 0, 0.0
    while time.perf_counter() < until:
        last_at = None
        async for _ in engines.replier.reply(
            [Message("user", QUESTION)], max_tokens=96, owner="llm"
        ):
            now = time.perf_counter()
            if last_at is not None:
                tokens, writing_s = tokens + 1, writing_s + now - last_at
            last_at = now
            if now > until:
                break
    return tokens / writing_s if writing_s else 0.0


async def voice(engines: Any, audio: Any, until: float) -> float:
    """Seconds of speech made in a second."""
    from benchmarks.clips import SAMPLE_RATE_HZ
    from realtime.engines import Line

    made_s, begun_at = 0.0, time.perf_counter()
    while time.perf_counter() < until:
        async for pcm in engines.voice.speak(Line(SENTENCE), owner="voice"):
            made_s += pcm.size / SAMPLE_RATE_HZ
    return made_s / (time.perf_counter() - begun_at)


async def silero(engines: Any, audio: Any, until: float) -> float:
    """p95 of the time of one window of each of several streams, at real pace, in ms."""
    from realtime.engines import HearingState

    states = [HearingState() for _ in range(STREAMS)]
    windows = audio[: audio.size // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
    took_ms: list[float] = []
    due_at = time.perf_counter()
    while time.perf_counter() < until:
        due_at += WINDOW_S
        await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
        begun_at, window = time.perf_counter(), windows[len(took_ms) % len(windows)]
        heard = (
            engines.detector.probabilities(state, [window], owner=n)
            for n, state in enumerate(states)
        )
        await asyncio.gather(*heard)
        took_ms.append((time.perf_counter() - begun_at) * 1000)
    return percentile(took_ms, 95)


async def loop(engines: Any, audio: Any, until: float) -> float:
    """p99 of how much later than asked for the event loop wakes a task, in ms."""
    late_ms = []
    while (begun_at := time.perf_counter()) < until:
        await asyncio.sleep(TICK_S)
        late_ms.append((time.perf_counter() - begun_at - TICK_S) * 1000)
    return percentile(late_ms, 99)


STAGES: dict[str, Stage] = {
    "whisper": whisper,
    "llm": llm,
    "voice": voice,
    "silero": silero,
    "loop": loop,
}


async def block(how: str, clip: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Load the engines, then each stage alone, then all of them at once."""
    import bootstrap
    from realtime.engines.llm import EmbeddedReplier
    from realtime.metrics import Metrics
    from realtime.runtime import load_embedded
    from realtime.threads import ThreadBudget, thread_budget

    budget = thread_budget() if how == "budget" else ThreadBudget(whisper=0, llm=-1)
    models = await bootstrap.ensure(bootstrap.plan_for("embedded"), bootstrap.default_volume())
    runtime = await load_embedded(
        models,
        replier=EmbeddedReplier(models["llm"], threads=budget.llm),
        instructions="Be brief.",
        budget=budget,
        metrics=Metrics(),
    )
    heard = to_pcm(np.resize(to_ear(read_pcm(clip)), UTTERANCE_S * WHISPER_RATE_HZ))

    async def measured(stage: Stage) -> float:
        return round(await stage(runtime.engines, heard, time.perf_counter() + seconds), 2)

    try:
        alone = {name: await measured(stage) for name, stage in STAGES.items()}
        every = await asyncio.gather(*(measured(stage) for stage in STAGES.values()))
    finally:
        await runtime.close()
    return {"alone": alone, "together": dict(zip(STAGES, every, strict=True))}


def run_block(how: str, clip: Path, seconds: float) -> None:
    """One block in this process; its figures are printed as JSON."""
    import uvloop

    if how == "budget":
        from realtime.threads import apply_process_limits, thread_budget

        apply_process_limits(thread_budget())
    print(json.dumps(uvloop.run(block(how, clip, seconds))))


def run_blocks(clip: Path, seconds: float) -> dict[str, list[dict[str, dict[str, float]]]]:
    """A B A B, each block in a process of its own."""
    found: dict[str, list[dict[str, dict[str, float]]]] = {"budget": [], "none": []}
    for how in ORDER:
        command = [sys.executable, "-m", "benchmarks.contention", "--block", how]
        command += ["--clip", str(clip.resolve()), "--seconds", str(seconds)]
        told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found[how].append(json.loads(told.stdout.splitlines()[-1]))
        print(f"{how}: {found[how][-1]}", file=sys.stderr, flush=True)
    return found


def means(blocks: list[dict[str, dict[str, float]]], when: str) -> dict[str, float]:
    """The mean of each stage's figure over the blocks."""
    return {name: sum(b[when][name] for b in blocks) / len(blocks) for name in STAGES}


def rows(found: dict[str, list[dict[str, dict[str, float]]]]) -> list[list[Cell]]:
    """A line for each stage: alone, together and how much slower, with the budget and without."""
    lines: list[list[Cell]] = []
    for name in STAGES:
        line: list[Cell] = [name, UNITS[name]]
        for how in ("budget", "none"):
            alone, together = (means(found[how], when)[name] for when in ("alone", "together"))
            rises = name in HIGHER_IS_BETTER
            line += [alone, together, ratio(alone, together) if rises else ratio(together, alone)]
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="What the engines take from each other.")
    clip = next(iter(sorted(DEFAULT_CLIPS.glob("*.flac"))), None)
    parser.add_argument("--clip", type=Path, default=clip, help="recording that Whisper hears")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each stage of each block")
    parser.add_argument("--block", choices=("budget", "none"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    if args.block:
        run_block(args.block, args.clip, args.seconds)
        return
    facts = machine()
    found = run_blocks(args.clip, args.seconds)
    headings = ["stage", "unit", "A alone", "A all", "slower", "B alone", "B all", "slower"]
    print("A: with the thread budget, B: without; means of A B A B\n")
    print(table(headings, rows(found)))
    figures = {how: {w: means(found[how], w) for w in ("alone", "together")} for how in found}
    result = {"benchmark": "contention", "machine": facts, "means": figures, "blocks": found}
    emit({**result, "units": UNITS, "seconds": args.seconds}, args.json)


if __name__ == "__main__":
    main()
