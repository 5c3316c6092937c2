"""Are short windows and batches as accurate as plain faster-whisper, and what do they save?

    python -m benchmarks.wer --clips DIR            # against plain faster-whisper, A B A B
    python -m benchmarks.wer --clips DIR --sweep    # windows, margins and batches: what to ship
    python -m benchmarks.wer --clips DIR --leads 0 70 150 260 390    # the words alone, more surely

A is faster-whisper's `transcribe` with beam 5 and its windows of 30 s, one recording after the
other. B is the server's transcriber, as shipped, with all recordings waiting, and once more with
eight: they are asked for together, and the next eight when all have their words. Both have the same
weights, threads and process. A long recording goes window by window, so few of them fill no batch.

What one reading makes of one word more or less is luck: a recording that begins a tenth of a second
later is read otherwise. With `--leads` both read every recording several times, with so many
milliseconds of silence before it, and their errors are compared by recording.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import EAR_RATE_HZ, add_clips_option
from benchmarks.readings import (
    KINDS,
    Reading,
    Recording,
    errors_in,
    load_plain,
    loops_in,
    plain,
    recordings,
    shipped,
    shipped_once,
)
from benchmarks.recogniser import model_path, recogniser
from benchmarks.report import Cell, emit, machine, ratio, table
from benchmarks.words import WordErrors, difference, summed

Facts = dict[str, Any]

ROUNDS = 2
AT_ONCE = {"all waiting": None, "8 waiting": 8}
NOTHING = Reading([], 0.0, {})
WINDOWS = ((8.0, 15.0, 30.0), (10.0, 15.0, 30.0), (15.0, 30.0), (20.0, 30.0), (30.0,))
TAILS_S = (0.5, 1.0, 2.0)
BATCHES = (1, 8)


def percent(errors: WordErrors) -> float:
    """Word error rate in percent."""
    return round(100 * (errors.rate or 0.0), 2)


def facts_of(reading: Reading, heard: list[Recording]) -> Facts:
    """Of one reading, for the table and the JSON line."""
    found = summed(errors_in(reading, heard))
    return {
        "wrong": found.wrong,
        "words": found.words,
        "wer_percent": percent(found),
        "loops_caught": reading.counts.get("looped", 0),
        "loops_left": loops_in(reading, heard),
        "retried": reading.counts.get("retried", 0),
        "encodes": reading.counts.get("encodes"),
        "seconds": round(reading.seconds, 2),
    }


def row(name: str, facts: Facts) -> list[Cell]:
    left = len(facts["loops_left"])
    caught, retried, encodes = (facts[k] for k in ("loops_caught", "retried", "encodes"))
    return [name, facts["wer_percent"], caught, left, retried, encodes, facts["seconds"]]


HEADINGS = ["", "WER %", "loops caught", "left", "retried", "batches", "seconds"]


async def against_plain(path: Path, heard: list[Recording], threads: int) -> Facts:
    """A B A B: plain, then all waiting, then eight waiting; turns and long recordings apart."""
    model = load_plain(path, threads)
    apart = [[each for each in heard if each.kind == kind] for kind in KINDS]
    rounds: list[dict[str, list[Reading]]] = []
    async with recogniser(path, {}) as how:
        for _ in range(ROUNDS):
            found = {"plain": [await asyncio.to_thread(plain, model, each) for each in apart]}
            for name, at_once in AT_ONCE.items():
                found[name] = [
                    await shipped(how.transcriber, how.metrics, each, at_once=at_once)
                    for each in apart
                ]
            rounds.append(found)
    told = [{n: facts_of(sum(r, NOTHING), heard) for n, r in found.items()} for found in rounds]
    print(table(HEADINGS, [row(name, f) for each in told for name, f in each.items()]))
    ours, theirs = (sum(rounds[0][name], NOTHING) for name in ("all waiting", "plain"))
    differs = difference(errors_in(ours, heard), errors_in(theirs, heard))
    show_differences(heard, theirs, ours)
    print(
        f"\nWER, shipped minus plain: {differs.points:+.2f} points, "
        f"95 % upper bound {differs.upper_95:+.2f}, interval {differs.interval_95}\n"
    )
    speed = {kind: speeds(rounds, n, apart[n]) for n, kind in enumerate(KINDS)}
    rows = [
        [kind, *found["seconds"].values(), *found["times"].values()]
        for kind, found in speed.items()
    ]
    print(
        table(
            ["seconds of both rounds", "plain", *AT_ONCE, *(f"{n}: times" for n in AT_ONCE)], rows
        )
    )
    return {"rounds": told, "difference_points": asdict(differs), "speed": speed}


def speeds(rounds: list[dict[str, list[Reading]]], kind: int, heard: list[Recording]) -> Facts:
    """Seconds for the recordings of a kind in all rounds, and how many times as fast as plain."""
    seconds = {n: round(sum(r[n][kind].seconds for r in rounds), 2) for n in ("plain", *AT_ONCE)}
    times = {name: ratio(seconds["plain"], seconds[name]) for name in AT_ONCE}
    return {
        "recordings": len(heard),
        "audio_s": round(sum(each.seconds for each in heard), 1),
        "seconds": seconds,
        "times": times,
    }


def show_differences(heard: list[Recording], plain: Reading, shipped: Reading) -> None:
    """The recordings that one read worse than the other."""
    for each, theirs, ours, a, b in zip(
        heard,
        errors_in(plain, heard),
        errors_in(shipped, heard),
        plain.texts,
        shipped.texts,
        strict=True,
    ):
        if theirs != ours:
            print(f"\n{each.name}: {theirs.wrong} wrong in plain, {ours.wrong} in shipped")
            print(f"  said    {each.transcript}\n  plain   {a}\n  shipped {b}")


def led(heard: Sequence[Recording], lead_ms: int) -> list[Recording]:
    """The same recordings after so much silence."""
    silence = np.zeros(EAR_RATE_HZ * lead_ms // 1000, np.int16)
    return [replace(each, pcm=np.concatenate((silence, each.pcm))) for each in heard]


async def over_leads(
    path: Path, heard: list[Recording], threads: int, leads_ms: Sequence[int]
) -> Facts:
    """Plain and shipped in turn, for each silence before the recordings."""
    model = load_plain(path, threads)
    found: dict[str, list[list[WordErrors]]] = {"plain": [], "shipped": []}
    async with recogniser(path, {}) as how:
        for lead_ms in leads_ms:
            later = led(heard, lead_ms)
            readings = {
                "plain": await asyncio.to_thread(plain, model, later),
                "shipped": await shipped(how.transcriber, how.metrics, later),
            }
            for name, reading in readings.items():
                found[name].append(errors_in(reading, later))
    told = {
        name: [percent(summed(errors)) for errors in readings] for name, readings in found.items()
    }
    rows = list(zip(leads_ms, *told.values(), strict=True))
    print(table(["ms before", *(f"{name} %" for name in told)], rows))
    theirs, ours = (
        [summed(of_one) for of_one in zip(*each, strict=True)] for each in found.values()
    )
    differs = difference(ours, theirs)
    print(
        f"\nWER, shipped minus plain: {differs.points:+.2f} points, "
        f"95 % upper bound {differs.upper_95:+.2f}, interval {differs.interval_95}"
    )
    return {"leads_ms": list(leads_ms), "wer_percent": told, "difference_points": asdict(differs)}


async def sweep(path: Path, heard: list[Recording]) -> Facts:
    """Every set of windows with every margin, in batches and without."""
    found: list[Facts] = []
    for windows in WINDOWS:
        for tail_s in TAILS_S:
            for batch in BATCHES:
                options = {"windows": windows, "tail_s": tail_s, "max_batch": batch}
                reading = await shipped_once(path, heard, options)
                found.append({**options, **facts_of(reading, heard)})
                print(found[-1], file=sys.stderr, flush=True)
    rows = [
        row(f"{'/'.join(f'{w:g}' for w in f['windows'])} s, {f['tail_s']:g} s, {f['max_batch']}", f)
        for f in found
    ]
    print(table(["windows, tail, batch", *HEADINGS[1:]], rows))
    return {"sweep": found}


def main() -> None:
    parser = argparse.ArgumentParser(description="Word errors and speed against plain Whisper.")
    add_clips_option(parser)
    parser.add_argument("--sweep", action="store_true", help="windows, margins and batches instead")
    parser.add_argument(
        "--leads", type=int, nargs="+", metavar="MS", help="silences before the recordings instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    from realtime.threads import apply_process_limits, thread_budget

    apply_process_limits(thread_budget())
    facts = machine()
    heard = recordings(args.clips)
    audio_s = round(sum(each.seconds for each in heard), 1)
    path = asyncio.run(model_path())
    threads = thread_budget().whisper
    if args.leads:
        run = over_leads(path, heard, threads, args.leads)
    else:
        run = sweep(path, heard) if args.sweep else against_plain(path, heard, threads)
    figures = asyncio.run(run)
    told = {"benchmark": "wer", "machine": facts, "recordings": len(heard), "audio_s": audio_s}
    emit({**told, "threads": threads, **figures}, args.json)


if __name__ == "__main__":
    main()
