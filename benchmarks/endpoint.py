"""When is a turn over? The end-of-turn model beside plain silence: cut-offs against delay.

    python -m benchmarks.endpoint --clips DIR --svg FILE --json FILE

Recordings are cut in mid-clause and at ends of sentences, with 0.3 to 1.0 s of room tone in the
cut, and go through the ear; every pause that it finds is put before the model at several lengths
of silence, once. Over these answers policies are tried: when to ask, from which probability on a
pause is complete or incomplete, and how long each lasts then. What is shipped is what this picks:
of the policies that make people wait no longer on average than plain silence of some length, the
one that cuts off the fewest pauses in mid-clause and of those that were in the recordings.

The end-of-turn model is asked where the words leave a doubt. How much of a doubt is picked too: so
little that not to ask costs hardly anything.

The pick is also tried on recordings that it was not made on: the clips are dealt into two halves,
and each half is judged by what the other one picks.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import bootstrap
from benchmarks.clips import EAR_RATE_HZ, Pcm, add_clips_option, load_clips, to_pcm
from benchmarks.joined import MID_CLAUSE, SENTENCE_END, WHOLE, Joined, joined_turns
from benchmarks.pauses import (
    END,
    NATURAL,
    SOUND_KNOWN_MS,
    WORDS_KNOWN_MS,
    Outcome,
    Pause,
    Pauses,
    Policy,
    best,
    fitted,
    outcome,
)
from benchmarks.plot import Line, Panel, svg
from benchmarks.report import emit, machine, percentile, table
from realtime.batching import SPECULATION
from realtime.ear import Ear
from realtime.endpointing import (
    BOTH,
    SILENCE_MS,
    Levels,
    Waits,
    Weights,
    by_eagerness,
    by_model,
    exactly,
)
from realtime.engines import Utterance
from realtime.engines.end_of_turn import HEARD_SAMPLES, SmartTurn
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.speech_detector import SileroDetector
from realtime.engines.whisper import WhisperTranscriber
from realtime.formats import Format
from realtime.metrics import Metrics
from realtime.prompt import Message
from realtime.session_config import ServerVad
from realtime.settings import INSTRUCTIONS
from realtime.turns import RESUME_MS, SpeechStarted, TurnPaused, TurnResumed

HEARD_MS = (60, 120, 200, 300, 400)
SILENCES_MS = tuple(range(120, 1_500, 20))
COMPLETE_MS = (200, 260, 300, 340, 400, 460)
INCOMPLETE_MS = (600, 700, 800, 900, 1_000, 1_200, 1_500)
BY_SOUND = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.985)
BY_BOTH = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
UNSURE = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Words are believed alone where a sound of these probabilities would not outvote them."""
MORE_CUT, MORE_MS = 2.0, 5.0
"""What it may cost not to listen: percent of the pauses in mid-clause and of those that were in the
recordings, ms of the mean wait."""
AS_SILENCE_MS = {"high": 400, "nothing set": 500, "medium": 600, "low": 900}
"""What each may cost on average: as much as plain silence of this length."""
KINDS = (END, MID_CLAUSE, NATURAL)
MEDIANS_MS = tuple(range(200, 1_050, 50))
NEAR_SAMPLES = EAR_RATE_HZ // 4
"""The ear's last speech lies no further before a cut."""
WORDS_TAIL = EAR_RATE_HZ * 60 // 1000
"""Silence that the recogniser is given after the words."""
THREADS = 2
LONG_MS = 5_000
"""Silence that ends no turn here, so that all of its pauses are seen."""


@dataclass(frozen=True)
class Turn:
    """What is kept of a turn once it was heard."""

    clip: str
    kind: str


Heard = tuple[list[Turn], list[Pause], float]
Tried = list[tuple[Policy, Outcome]]


@dataclass(frozen=True)
class Rig:
    """The engines that hear the pauses and say what they think of them."""

    detector: SileroDetector
    model: SmartTurn
    transcriber: WhisperTranscriber
    replier: EmbeddedReplier

    async def words_end(self, heard: Pcm) -> float | None:
        """Whether the words of a turn end here; None where there are none."""
        asked = Utterance(heard, language="en", rank=SPECULATION)
        text = (await self.transcriber.transcribe(asked, owner="endpoint")).text
        if not text:
            return None
        prompt = [Message("system", INSTRUCTIONS), Message("user", text)]
        return await self.replier.ends(prompt, owner="endpoint")


async def pauses_of(turn: Joined, rig: Rig) -> list[Pause]:
    """The pause that was put into a turn, or of a whole one every pause and its end."""
    ear = Ear(rig.detector, owner=turn.name)
    ear.configure(ServerVad(silence_duration_ms=LONG_MS), Format("pcm", EAR_RATE_HZ))
    ear.turns.configure(replace(ear.turns.settings, pause_ms=HEARD_MS[0]))
    pcm = to_pcm(turn.audio)
    found, paused, begun = [], None, 0

    async def add(paused: int, lasted: float) -> None:
        near = turn.pause and turn.pause[0] - NEAR_SAMPLES <= paused <= turn.pause[1]
        if turn.kind == WHOLE:
            kind = NATURAL if np.isfinite(lasted) else END
        elif near and not found:
            kind = turn.kind
        else:
            return
        verdicts = _verdicts(rig.model, pcm[begun:], paused - begun, lasted)
        words = await rig.words_end(pcm[begun : paused + WORDS_TAIL])
        late_ms = (paused - turn.last_voiced) / EAR_RATE_HZ * 1000
        lasted_ms = lasted / EAR_RATE_HZ * 1000 if kind != END else None
        found.append(Pause(turn.name, kind, lasted_ms, late_ms, verdicts, turn.before, words))

    for start in range(0, pcm.size, EAR_RATE_HZ // 10):
        for event in await ear.hear(pcm[start : start + EAR_RATE_HZ // 10].tobytes()):
            match event:
                case SpeechStarted():
                    begun = event.start
                case TurnPaused():
                    paused = event.last_speech
                case TurnResumed() if paused is not None:
                    await add(paused, event.position - paused - RESUME_MS * EAR_RATE_HZ // 1000)
                    paused = None
    if paused is not None:
        await add(paused, np.inf)
    return found


def _verdicts(model: SmartTurn, heard: Pcm, last_speech: int, lasted: float) -> dict[int, float]:
    """The model's answers after several lengths of the silence, as far as it lasted."""
    verdicts = {}
    for ms in HEARD_MS:
        silence = ms * EAR_RATE_HZ // 1000
        if silence <= lasted:
            end = last_speech + silence
            [verdicts[ms]] = model.run([heard[max(0, end - HEARD_SAMPLES) : end]])
    return verdicts


def by_sound() -> Iterable[Policy]:
    """All that are tried where only the sound is judged."""
    for complete, incomplete, least in itertools.product(COMPLETE_MS, INCOMPLETE_MS, BY_SOUND):
        if SOUND_KNOWN_MS <= complete < incomplete:
            levels = Levels(least, complete, incomplete)
            yield Policy(Waits(SILENCE_MS, levels, levels), listens=True)


def by_both(weights: Weights) -> Iterable[Policy]:
    """All that are tried where the words are read too, beside what is shipped for the sound."""
    heard = by_model().heard
    for complete, incomplete, least in itertools.product(COMPLETE_MS, INCOMPLETE_MS, BY_BOTH):
        if WORDS_KNOWN_MS <= complete < incomplete:
            waits = Waits(SILENCE_MS, heard, Levels(least, complete, incomplete))
            yield Policy(waits, listens=True, reads=True, both=weights)


def tried_on(which: Sequence[Policy], pauses: Sequence[Pause], turns: Sequence[Turn]) -> Tried:
    """What each policy makes of the pauses."""
    put_in = Counter({MID_CLAUSE: 0, SENTENCE_END: 0})
    put_in.update(turn.kind for turn in turns if turn.kind != WHOLE)
    columns = Pauses(pauses, put_in)
    return [(policy, outcome(policy, columns)) for policy in which]


def frontier(tried: Tried) -> list[float | None]:
    """The fewest mid-clause cut-offs, in percent, at each of MEDIANS_MS or a lower median."""
    return [
        min((o.cut_percent[MID_CLAUSE] for _, o in tried if o.median_ms <= ms), default=None)
        for ms in MEDIANS_MS
    ]


def pick(tried: Tried, silent: Tried, eagerness: str) -> tuple[Policy, Outcome]:
    """What is to be shipped for it: of the policies tried, beside plain silence."""
    silence_ms = AS_SILENCE_MS[eagerness]
    [plain] = [found for policy, found in silent if policy.waits == exactly(silence_ms)]
    return best(tried, (MID_CLAUSE, NATURAL), mean_ms=plain.mean_ms)


def sparing(policy: Policy, pauses: Sequence[Pause], turns: Sequence[Turn]) -> Tried:
    """The same policy, asking the end-of-turn model less and less often."""
    less = [replace(policy, waits=replace(policy.waits, unsure=unsure)) for unsure in UNSURE]
    return tried_on(less, pauses, turns)


def seldom(tried: Tried) -> Policy:
    """The one that asks least often and costs hardly anything beside always asking."""
    (_, always), *_ = tried

    def cheap(found: Outcome) -> bool:
        kinds = (MID_CLAUSE, NATURAL)
        more = max(found.cut_percent[kind] - always.cut_percent[kind] for kind in kinds)
        return more <= MORE_CUT and found.mean_ms <= always.mean_ms + MORE_MS

    return [policy for policy, found in tried if cheap(found)][-1]


def asked_percent(policy: Policy, pauses: Sequence[Pause], kind: str) -> float:
    """Of the pauses of a kind, how many the end-of-turn model hears at most: some are over by
    then."""
    asked = policy.asks_sound(Pauses([p for p in pauses if p.kind == kind], {}))
    return 100 * float(asked.mean())


def asking_table(pauses: Sequence[Pause], turns: Sequence[Turn]) -> str:
    """What it costs to ask the end-of-turn model less often, for all that is shipped."""
    rows: list[list[Any]] = []
    for name, shipped_policy in shipped().items():
        if not shipped_policy.reads:
            continue
        tried = sparing(shipped_policy, pauses, turns)
        for policy, found in tried:
            asked = [asked_percent(policy, pauses, kind) for kind in KINDS]
            cut = found.cut_percent[MID_CLAUSE], found.cut_percent[NATURAL]
            picked = "*" if policy == seldom(tried) else ""
            rows.append([f"{name}, {policy.waits.unsure}", *asked, *cut, found.mean_ms, picked])
    heads = ["unsure", *(f"asked of {kind} %" for kind in KINDS)]
    return table([*heads, MID_CLAUSE, NATURAL, "mean", "picked"], rows)


def row(name: str, policy: Policy, found: Outcome) -> list[Any]:
    cut = found.cut_percent
    shares = [cut[MID_CLAUSE], cut[SENTENCE_END], cut[NATURAL]]
    return [name, *shares, found.median_ms, found.mean_ms, found.p95_ms, said(policy)]


def said(policy: Policy) -> str:
    w = policy.waits
    if not policy.listens:
        return f"{w.silence_ms} ms"
    by, levels = ("both", w.read) if policy.reads else ("the sound", w.heard)
    return f"{levels.least} by {by}: {levels.complete_ms}, else {levels.incomplete_ms} ms"


def facts(policy: Policy, found: Outcome) -> dict[str, Any]:
    return {
        "policy": said(policy),
        "cut_percent": {k: round(v, 1) for k, v in found.cut_percent.items()},
        "median_ms": round(found.median_ms),
        "mean_ms": round(found.mean_ms),
        "p95_ms": round(found.p95_ms),
    }


def halves(pauses: Sequence[Pause], turns: Sequence[Turn]) -> Outcome:
    """Each half of the clips judged by weights and a policy that the other half picks."""
    names = sorted({turn.clip for turn in turns})
    cut, put_in, waits = 0.0, 0, []
    for n in (0, 1):
        mine = set(names[n::2])
        fit = [p for p in pauses if clip(p) not in mine], [t for t in turns if t.clip not in mine]
        held = [p for p in pauses if clip(p) in mine], [t for t in turns if t.clip in mine]
        silent = tried_on(plain(), *fit)
        policy, _ = pick(tried_on(list(by_both(fitted(fit[0]))), *fit), silent, "nothing set")
        [(_, found)] = tried_on([policy], *held)
        count = sum(t.kind == MID_CLAUSE for t in held[1])
        cut += found.cut_percent[MID_CLAUSE] * count
        put_in += count
        waits += found.waits_ms
    return Outcome({MID_CLAUSE: cut / put_in}, tuple(waits))


def plain() -> list[Policy]:
    """Silence alone."""
    return [Policy(exactly(ms)) for ms in SILENCES_MS]


def clip(pause: Pause) -> str:
    return pause.turn.partition("#")[0]


def by_silence(pauses: Sequence[Pause]) -> list[list[Any]]:
    """How the model's answers depend on how much silence it heard."""
    rows: list[list[Any]] = []
    for kind in (END, MID_CLAUSE, SENTENCE_END, NATURAL):
        of_kind = [p for p in pauses if p.kind == kind]
        for ms in HEARD_MS:
            found = [p.verdicts[ms] for p in of_kind if ms in p.verdicts]
            if found:
                above = 100 * sum(f >= 0.5 for f in found) / len(found)
                rows.append([f"{kind}, {ms} ms", len(found), above, percentile(found, 50)])
    return rows


async def listen(turns: Sequence[Joined], models: dict[str, Path]) -> tuple[list[Pause], float]:
    """All pauses, and how long the end-of-turn model's runs took in ms at the median."""
    metrics = Metrics()
    rig = Rig(
        SileroDetector(metrics),
        SmartTurn(models["end_of_turn"], metrics=metrics),
        WhisperTranscriber(models["whisper"], threads=THREADS, metrics=metrics),
        EmbeddedReplier(models["llm"], threads=THREADS),
    )
    engines = (rig.detector, rig.model, rig.transcriber, rig.replier)
    for engine in engines:
        engine.load()
    rig.model.warm()
    for engine in engines:
        engine.start()
    try:
        pauses = [p for turn in turns for p in await pauses_of(turn, rig)]
    finally:
        for engine in engines:
            await engine.close()
    begun = time.perf_counter()
    rig.model.run([np.zeros(HEARD_SAMPLES, np.int16)])
    return pauses, (time.perf_counter() - begun) * 1e3


def hear(args: argparse.Namespace, models: dict[str, Path]) -> Heard:
    """Make the turns and listen to them; kept in `--pauses` for another look."""
    turns = joined_turns(load_clips(args.clips), models["whisper"], args.seed)
    pauses, took_ms = asyncio.run(listen(turns, models))
    kept = [Turn(turn.clip, turn.kind) for turn in turns]
    if args.pauses:
        args.pauses.write_bytes(msgspec.json.encode((kept, pauses, took_ms)))
    return kept, pauses, took_ms


def heard_before(path: Path | None) -> Heard | None:
    if path is None or not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=Heard)


def picture(lines: dict[str, Tried]) -> str:
    drawn = [Line(name, frontier(tried)) for name, tried in lines.items()]
    title = "Mid-clause pauses that end the turn, % (dashed: 5)"
    axis = "median wait from the last voiced sample to the end of the turn, at most, ms"
    return svg([Panel(title, drawn, 5.0)], MEDIANS_MS, axis)


def shipped() -> dict[str, Policy]:
    """What the server does, by what a client sets; without and with words that are read."""
    waits = {"nothing set": by_model(), **{e: by_eagerness(e) for e in ("high", "medium", "low")}}
    ours = {f"shipped: {name}": Policy(w, listens=True, reads=True) for name, w in waits.items()}
    return {"shipped: sound alone": Policy(by_model(), listens=True), **ours}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut-offs against delay.")
    add_clips_option(parser)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pauses", type=Path, metavar="FILE", help="keep or read the answers")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curves there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    told = machine()
    models = asyncio.run(
        bootstrap.ensure(bootstrap.plan_for("embedded"), bootstrap.default_volume())
    )
    turns, pauses, took_ms = heard_before(args.pauses) or hear(args, models)
    print(table(["pause, silence heard", "n", "% >= 0.5", "median"], by_silence(pauses)), "\n")
    weights = fitted(pauses)
    print(f"weights: {weights}; shipped: {BOTH}\n")
    silent = tried_on(plain(), pauses, turns)
    heard = tried_on(list(by_sound()), pauses, turns)
    read = tried_on(list(by_both(weights)), pauses, turns)
    rows = {
        "silence of 500 ms": next(e for e in silent if e[0].waits == exactly(SILENCE_MS)),
        **{f"by sound: {name}": pick(heard, silent, name) for name in AS_SILENCE_MS},
        **{f"by both: {name}": pick(read, silent, name) for name in AS_SILENCE_MS},
        **{name: tried_on([policy], pauses, turns)[0] for name, policy in shipped().items()},
    }
    headings = ["", MID_CLAUSE, SENTENCE_END, NATURAL, "median", "mean", "p95", "policy"]
    print(table(headings, [row(name, *each) for name, each in rows.items()]), "\n")
    print(asking_table(pauses, turns), "\n")
    held = halves(pauses, turns)
    lines = {"plain silence": silent, "sound": heard, "sound and words": read}
    curve = list(zip(MEDIANS_MS, *map(frontier, lines.values()), strict=True))
    print(table(["median ms at most", *(f"{name} %" for name in lines)], curve), "\n")
    if args.svg:
        args.svg.write_text(picture(lines), encoding="utf-8")
    emit(
        {
            "benchmark": "endpoint",
            "machine": told,
            "turns": Counter(turn.kind for turn in turns),
            "pauses": Counter(pause.kind for pause in pauses),
            "model_run_ms": round(took_ms, 1),
            "weights": str(weights),
            "policies": {name: facts(*each) for name, each in rows.items()},
            "held_out_nothing_set": {
                "cut_percent": round(held.cut_percent[MID_CLAUSE], 1),
                "median_ms": round(held.median_ms),
                "mean_ms": round(held.mean_ms),
                "p95_ms": round(held.p95_ms),
            },
            "curve": curve,
        },
        args.json,
    )


if __name__ == "__main__":
    main()
