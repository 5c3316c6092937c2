"""A small cluster for the tests of the simulation: round figures, and nothing at random in them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from benchmarks.planning.cluster import Cluster, Layout
from benchmarks.planning.habits import Clip, Habits, Judges, Replies
from benchmarks.planning.service import (
    ChunkVoice,
    FrontEnd,
    Line,
    Machine,
    PieceVoice,
    Recogniser,
    Spread,
)
from realtime.endpointing import exactly

FEATURES_S, RUN_S, EACH_S = 0.010, 0.100, 0.005
WINDOW_S = 8.0
PIECE_S, CHAR_S = 0.020, 0.0005
FRONT = FrontEnd(4.0, Line(0.0, 0.050))
CPU = Machine(
    "made up",
    False,
    1.0,
    Recogniser(Line(RUN_S, EACH_S), Line(FEATURES_S, 0.0, width=0.0)),
    PieceVoice(Line(PIECE_S, CHAR_S), s_per_char=0.05),
    FRONT,
    warm_s=10.0,
)
STREAMING = ChunkVoice(
    begin=Line(0.010, 0.0),
    step=Line(0.004, 0.0001),
    flow=Line(0.015, 0.00002),
    vocoder=Line(0.005, 0.00002),
    s_per_char=0.05,
)
SAYS = Clip(stretches=((2.0, 0.0),), pieces=(40, 60))
PAUSES = Clip(stretches=((1.5, 0.3), (1.0, 0.0)), pieces=(30,))


class Even(Random):
    """Draws nothing: the middle of everything."""

    def random(self) -> float:
        return 0.5


def habits(**given: Any) -> Habits:
    """Callers who say one sentence, whose end plain silence of 500 ms is."""
    plain: dict[str, Any] = {
        "clips": (SAYS,),
        "judges": Judges(),
        "waits": exactly(500),
        "asks": False,
        "replies": Replies("endpoint", Spread(0.3, 0.3)),
        "speculates": False,
        "partials": False,
        "barge_in": 0.0,
        "network_s": 0.010,
        "ear_s": (0.040, 0.040),
    }
    return Habits(**{**plain, **given})


def cluster(gpus: int = 1, *, machine: Machine = CPU, **given: Any) -> Cluster:
    """So many GPUs with both engines on each."""
    plain = Cluster(machine, FRONT, Layout(both=gpus), places=10_000)
    return replace(plain, **given)
