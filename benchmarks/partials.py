"""Words while somebody speaks: how soon, how often wrong, at what cost, under which settings.

    python -m benchmarks.partials --clips DIR

Each clip of speech is one turn of one caller, told to the server's recogniser as it grows: every
step of audio once, at the rank of partials. The runs are real and their times are measured; the
caller's clock is simulated, so a clip takes as long as its runs. A word is late by the time from
its end, as the final's alignment has it, to the moment when it is told. The settings that are
compared: the step, the windows that partials are heard in, and how many words at the end of a
hypothesis are not believed.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clips import EAR_RATE_HZ, add_clips_option, load_clips
from benchmarks.recogniser import as_heard, model_path, recogniser
from benchmarks.report import emit, machine, percentile, ratio, spread, table

CONFIRMED_S = 0.3 + 0.2
"""From a turn's first sample: the prefix, and the speech that confirms it."""
STEPS_S = (0.2, 0.25, 0.4)
WINDOWS = ((15.0,), (8.0, 15.0), (5.0, 8.0, 15.0))
SHIPPED = (0.25, WINDOWS[1])
TAIL_S = 0.5
HOLDS = (0, 1, 2)
BETWEEN_S = 6.0
"""From the end of a turn to the next: a reply."""


@dataclass(frozen=True)
class Run:
    """One question: the turn up to `to_s`, what was heard in it, and how long that took."""

    to_s: float
    text: str
    took_s: float


@dataclass
class Told:
    """What one turn showed."""

    final: str
    shown: str
    rest: str
    late_s: list[float] = field(default_factory=list)
    """Of each word that was told before the final, from its end."""
    first_late_s: float | None = None
    asked: int = 0
    spent_s: float = 0.0
    seconds: float = 0.0
    wrong: int = 0
    """Shown words that the final has not, in the same order."""


async def runs_of(transcriber: Any, pcm: Any, step_s: float) -> list[Run]:
    """Every step of a turn, one after the other."""
    from realtime.batching import PARTIAL
    from realtime.engines import Utterance

    runs, to = [], int(CONFIRMED_S * EAR_RATE_HZ)
    while to < len(pcm) - EAR_RATE_HZ // 5:
        begun = time.perf_counter()
        asked = Utterance(pcm[:to], rank=PARTIAL)
        text = (await transcriber.transcribe(asked, owner="partials")).text
        runs.append(Run(to / EAR_RATE_HZ, text, time.perf_counter() - begun))
        to += int(step_s * EAR_RATE_HZ)
    return runs


def tell(
    runs: Sequence[Run], final: Any, holds: int, allowance: Any, at_s: float, spent_s: float
) -> Told:
    """Play the runs to the policy: those that would have been asked for, when they would, in a
    turn that begins at `at_s`, when `spent_s` have been spent on turns before."""
    from realtime.agreement import Agreement, key, units

    agreement, told = Agreement(holds), Told(final.text, "", "")
    ends = [word.end_s for passage in final.passages for word in passage.words if key(word.text)]
    free_s = 0.0
    for run in runs:
        cost_s = run.took_s
        if run.to_s < free_s or not allowance.covers(
            cost_s, at_s=at_s + run.to_s, spent_s=spent_s + told.spent_s
        ):
            continue
        told.asked += 1
        told.spent_s += cost_s
        free_s = run.to_s + cost_s
        if not run.text:
            continue
        before = len(units(agreement.shown))
        agreement.hear(run.text)
        late = [free_s - end_s for end_s in ends[before : len(units(agreement.shown))]]
        told.late_s += late
        if not before and late:
            told.first_late_s = late[0]
    shown, said = ([key(u) for u in units(text)] for text in (agreement.shown, final.text))
    told.wrong = len(shown) - _common(shown, said)
    told.shown = agreement.shown
    told.rest = agreement.finish(final.text)
    return told


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        last, row = row, [0]
        for n, other in enumerate(b):
            row.append(last[n] + 1 if word == other else max(last[n + 1], row[n]))
    return row[-1]


def facts_of(told: Sequence[Told]) -> dict[str, Any]:
    shown = sum(len(t.shown.split()) for t in told)
    first = [t.first_late_s for t in told if t.first_late_s is not None]
    late = [s for t in told for s in t.late_s]
    return {
        "turns": len(told),
        "turns_with_words": sum(bool(t.shown) for t in told),
        "first_word_late_ms": spread([1e3 * s for s in first]),
        "first_within_700_ms_percent": round(100 * sum(s <= 0.7 for s in first) / len(first), 1),
        "words_late_ms": spread([1e3 * s for s in late]),
        "shown_early_percent": round(100 * shown / sum(len(t.final.split()) for t in told), 1),
        "shown_wrong_percent": round(100 * sum(t.wrong for t in told) / max(1, shown), 2),
        "deltas_are_final_percent": round(
            100 * sum(t.shown + t.rest == t.final for t in told) / len(told), 1
        ),
        "asked_per_turn": ratio(sum(t.asked for t in told), len(told)),
        "share_percent": round(
            100 * sum(t.spent_s for t in told) / sum(t.seconds for t in told), 1
        ),
    }


async def run(args: argparse.Namespace) -> dict[str, object]:
    from realtime.allowance import Allowance
    from realtime.engines import Utterance
    from realtime.engines import whisper as shipped
    from realtime.recognition import WINDOWS_S, Windows

    about, clips = machine(), load_clips(args.clips)[: args.count]
    settings: list[dict[str, Any]] = []
    spoken = [(clip, as_heard(clip)) for clip in clips]
    async with recogniser(await model_path(), {}) as heard:
        finals = [
            await heard.transcriber.transcribe(Utterance(pcm, words=True), owner="final")
            for _, pcm in spoken
        ]
        combinations = [
            (step_s, windows)
            for step_s in STEPS_S
            for windows in WINDOWS
            if args.sweep or (step_s, windows) == SHIPPED
        ]
        for step_s, windows in combinations:
            merged = (*(w for w in windows if w < WINDOWS_S[0]), *WINDOWS_S)
            heard.transcriber._partial_windows = Windows(merged, TAIL_S)
            all_runs = [await runs_of(heard.transcriber, pcm, step_s) for _, pcm in spoken]
            took = [r.took_s for runs in all_runs for r in runs]
            for holds in HOLDS:
                told: list[Told] = []
                allowance = Allowance(shipped.PARTIAL_SHARE, shipped.PARTIAL_BURST_S)
                for (_, pcm), runs, final in zip(spoken, all_runs, finals, strict=True):
                    at_s = sum(t.seconds for t in told)
                    one = tell(runs, final, holds, allowance, at_s, sum(t.spent_s for t in told))
                    one.seconds = len(pcm) / EAR_RATE_HZ + BETWEEN_S
                    told.append(one)
                settings.append(
                    {
                        "step_s": step_s,
                        "windows_s": list(windows),
                        "holds": holds,
                        "run_ms": round(1e3 * percentile(took, 50), 1),
                        **facts_of(told),
                    }
                )
                if args.show:
                    for (clip, _), one in zip(spoken, told, strict=True):
                        if one.shown + one.rest != one.final:
                            print(f"{clip.name}: {one.shown!r} + {one.rest!r}, final {one.final!r}")
    print(table(HEADINGS, map(_row, settings)), end="\n\n")
    return {"benchmark": "partials", "machine": about, "settings": settings}


HEADINGS = [
    *("step, windows, holds", "run ms", "first p50", "p95", "<=700 %", "words p50", "p95"),
    *("shown %", "wrong %", "= final %", "share %"),
]


def _row(facts: dict[str, Any]) -> list[Any]:
    windows = "/".join(f"{w:g}" for w in facts["windows_s"])
    first, words = facts["first_word_late_ms"], facts["words_late_ms"]
    return [
        f"{facts['step_s']:g} s, {windows} s, {facts['holds']}",
        facts["run_ms"],
        *(first["median"], first["p95"], facts["first_within_700_ms_percent"]),
        *(words["median"], words["p95"], facts["shown_early_percent"]),
        *(facts["shown_wrong_percent"], facts["deltas_are_final_percent"]),
        facts["share_percent"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Words while somebody speaks.")
    add_clips_option(parser)
    parser.add_argument("--count", type=int, default=None, help="clips, from the first")
    parser.add_argument("--sweep", action="store_true", help="all steps and windows")
    parser.add_argument("--show", action="store_true", help="turns that showed something else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
