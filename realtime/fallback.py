"""What to try when a hypothesis is doubtful, and which attempt to believe in the end. Pure.

One window more, then warmer: first the same audio in Whisper's own window of 30 s, then sampled at
rising temperatures, as in faster-whisper. It stops at the first attempt that is not doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realtime.batching import FILE, FINAL, PARTIAL, SPECULATION
from realtime.hypothesis import Hypothesis
from realtime.recognition import WHISPER_S

TEMPERATURES = {
    FINAL: (0.2, 0.4),
    SPECULATION: (0.2, 0.4),
    FILE: (0.2, 0.4, 0.6, 0.8, 1.0),
}
"""By rank. Somebody waits for the answer to a final: what two temperatures do not mend is given as
it is; a speculation is to have the words that the final would. A partial is not tried again, the
next one comes soon."""


@dataclass(frozen=True)
class Attempt:
    """How one window of audio is decoded; greedily at temperature 0."""

    window_s: float
    temperature: float = 0.0


Tried = tuple[Attempt, Hypothesis]


def next_attempt(tried: Sequence[Tried], rank: int = FINAL) -> Attempt | None:
    """The attempt that follows those of `tried`; None where the last one is believed, or was the
    last."""
    last, hypothesis = tried[-1]
    if rank == PARTIAL or not hypothesis.doubtful:
        return None
    if last.window_s < WHISPER_S:
        return Attempt(WHISPER_S)
    warmer = [t for t in TEMPERATURES[rank] if t > last.temperature]
    return Attempt(WHISPER_S, warmer[0]) if warmer else None


def best(tried: Sequence[Tried]) -> Hypothesis:
    """The last hypothesis if it is believed; else the most probable of those that do not loop, or
    of all if all do."""
    hypotheses = [hypothesis for _, hypothesis in tried]
    if not hypotheses[-1].doubtful:
        return hypotheses[-1]
    straight = [h for h in hypotheses if not h.loops]
    return max(straight or hypotheses, key=lambda h: h.log_probability)
