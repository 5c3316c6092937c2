"""Chatterbox in simulated time against what `chatterbox.py` measured: lines that are asked for at
once, and one that is asked for while others are spoken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any

import simpy

from benchmarks.planning.device import Device
from benchmarks.planning.fitting import chunk_voice
from benchmarks.planning.job import Job
from benchmarks.planning.service import ChunkVoice, Line
from benchmarks.planning.streams import StreamReplica
from benchmarks.report import percentile
from realtime.engines.chatterbox.pieces import TOKENS_PER_S

PROBES = 40
WARM_S = 30.0


def at_once(how: ChunkVoice, count: int, line_s: float) -> tuple[list[float], float]:
    """Seconds to the first sound of so many lines, and seconds of sound made in a second."""
    env = simpy.Environment()
    replica = StreamReplica(env, Device(env), how, Random(7))
    first_s: dict[int, float] = {}
    for number in range(count):
        replica.submit(_line(number, line_s, lambda n: first_s.setdefault(n, env.now)))
    env.run()
    return list(first_s.values()), count * line_s / env.now


def beside(how: ChunkVoice, others: int, line_s: float) -> list[float]:
    """Seconds to the first sound of lines that come one by one while others never cease."""
    env = simpy.Environment()
    replica = StreamReplica(env, Device(env), how, Random(7))
    waits: list[float] = []

    def again(number: int) -> None:
        job = _line(number, line_s, lambda n: None)
        job.over = lambda fate: again(number)
        replica.submit(job)

    def probe() -> simpy.events.ProcessGenerator:
        yield env.timeout(WARM_S)
        for _ in range(PROBES):
            asked_s, heard = env.now, env.event()
            job = _line(-1, line_s, partial(_once, heard))
            replica.submit(job)
            yield heard
            waits.append(env.now - asked_s)
            replica.withdraw(job)
            yield env.timeout(0.05)

    for number in range(others):
        again(number)
    env.run(until=env.process(probe()))
    return waits


def _once(event: simpy.Event, owner: int) -> None:
    if not event.triggered:
        event.succeed()


def _line(owner: int, line_s: float, heard: Callable[[int], object]) -> Job:
    return Job(owner, line_s, 1.0, lambda fate: None, lambda seconds: heard(owner) and None)


def compared(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `chatterbox.py --json` tells, with the simulation of its figures beside."""
    line_s = told["tokens"] / TOKENS_PER_S
    rows = []
    for n, measured in told["stream"].items():
        streams = int(n)
        voice = chunk_voice(told, streams=streams, chars_per_s=15.0)
        lines = (Line(**voice[part]) for part in ("begin", "step", "flow", "vocoder"))
        how = ChunkVoice(*lines, voice["s_per_char"], streams)
        first_s, times = at_once(how, streams, line_s)
        figures = {
            "at once": (measured["first_ms"]["median"], 1e3 * percentile(first_s, 50)),
            "times real time": (measured["times_real_time"], times),
        }
        if n in told.get("beside", {}):
            waits = beside(how, streams - 1, line_s)
            median_ms = told["beside"][n]["first_ms"]["median"]
            figures["beside"] = (median_ms, 1e3 * percentile(waits, 50))
        rows += [
            {
                "streams": streams,
                "what": what,
                "measured": real,
                "simulated": round(simulated, 2 if simulated < 10 else 1),
                "error_percent": round(100 * (simulated / real - 1), 1),
            }
            for what, (real, simulated) in figures.items()
        ]
    return rows
