"""The least that Chatterbox's work can take on a machine: counted on the real modules.

T3's step reads its weights and the rows' keys and values once. S3Gen's operations are counted by
torch while it makes one line, whole and in chunks, because what streaming reads again costs as much
as what is new.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from benchmarks.chatterbox_rig import STREAMED, WHOLE, Rig
from benchmarks.floor import Floor, Rates, step_floor, work_floor
from realtime.engines.chatterbox.synthesizer import Job

Facts = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """Of one line, in operations."""

    flow: int
    vocoder: int

    @property
    def facts(self) -> Facts:
        return {
            "flow_gflop": round(self.flow / 1e9, 1),
            "vocoder_gflop": round(self.vocoder / 1e9, 1),
        }


def sound_work(rig: Rig, *, streamed: bool) -> Work:
    """What S3Gen computes for a line of `rig.tokens` tokens."""
    synthesizer = rig.synthesizer(STREAMED if streamed else WHOLE)
    counted = {"flow": 0, "vocoder": 0}

    def count(owner: Any, name: str) -> None:
        inner = owner.run

        def counting(*args: Any) -> Any:
            with FlopCounterMode(display=False) as counter:
                found = inner(*args)
            counted[name] += counter.get_total_flops()
            return found

        owner.run = counting

    count(synthesizer._flow, "flow")
    count(synthesizer._vocoder, "vocoder")
    draw = random.Random(1)
    tokens = [draw.randrange(6_561) for _ in range(rig.tokens)]
    sound = synthesizer.open(rig.conditionals, seed=1)
    for known in range(1, len(tokens) + 1):
        while synthesizer.due(sound, known, False):
            synthesizer.run([Job(sound, tokens[:known], False)])
    while synthesizer.due(sound, len(tokens), True):
        synthesizer.run([Job(sound, tokens, True)])
    return Work(**counted)


def t3_floor(rig: Rig, streams: int, rates: Rates) -> Floor:
    """Of one step, with the cache as long as it is in the middle of a line."""
    t3, size = rig.model.t3, 2 if rig.device == "cuda" else 4
    parameters = sum(p.numel() for part in (t3.tfmr, t3.speech_head) for p in part.parameters())
    shape = t3.tfmr.config
    rows = streams * (2 if rig.variant.guided else 1)
    prefix = rig.variant.prompt_tokens if rig.variant.name == "turbo" else 34
    positions = prefix + len(rig.row(1).text_tokens) + rig.tokens // 2
    cache = rows * positions * shape.num_hidden_layers * 2 * shape.hidden_size * size
    return step_floor(
        weights=parameters * size,
        cache=cache,
        parameters=parameters,
        rows=rows,
        half=rig.device == "cuda",
        rates=rates,
    )


def gaps(rig: Rig, rates: Rates, work: dict[str, Work], told: Facts) -> list[Facts]:
    """Floor, measurement and the sentence about both, for each number of streams and each mode."""
    found = []

    def add(mode: str, streams: str, stage: str, floor: Floor, measured_ms: float | None) -> None:
        what = f"{mode}, {streams} streams, {stage}"
        found.append(
            {
                "mode": mode,
                "streams": int(streams),
                "stage": stage,
                "floor_ms": round(floor.seconds * 1e3, 3),
                "measured_ms": measured_ms,
                "in_words": floor.against(what, (measured_ms or 0.0) / 1e3),
            }
        )

    for streams, facts in told.get("t3", {}).items():
        add("t3", streams, "a step", t3_floor(rig, int(streams), rates), facts["step_ms"])
    for mode in ("whole", "stream"):
        for streams, facts in told.get(mode, {}).items():
            flow_rate = rates.half_flops if rig.device == "cuda" else rates.flops
            ms, line = facts["stages_ms_a_line"], work[mode]
            add(mode, streams, "flow of a line", work_floor(line.flow, flow_rate), ms["flow"])
            add(
                mode,
                streams,
                "vocoder of a line",
                work_floor(line.vocoder, rates.flops),
                ms["vocoder"],
            )
    return found
