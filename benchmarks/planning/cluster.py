"""What is rented and how it is joined: GPUs and what is on them, front ends, the way between."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.planning.scaling import Policy
from benchmarks.planning.service import FrontEnd, Machine


@dataclass(frozen=True)
class Layout:
    """GPUs, by what is on them."""

    both: int = 0
    """One replica of each engine, which share the GPU."""
    transcription: int = 0
    voice: int = 0

    @property
    def gpus(self) -> int:
        return self.both + self.transcription + self.voice


@dataclass(frozen=True)
class Cluster:
    """What is rented, and how it is joined."""

    machine: Machine
    front: FrontEnd
    layout: Layout
    places: int = 64
    """Of one front end; `realtime.capacity` allows no more."""
    fronts: int = 1
    one_machine: bool = False
    """Everything shares the cores of one machine, as with `make run`; a front end has no others."""
    hop_s: float = 0.0
    """From a front end to a pool, each way."""
    told_every_s: float = 0.0
    """How often replicas tell their load without being asked for anything; see `pool.py`."""
    taken: float = 0.0
    """Cores of the one machine that others keep busy all the time."""
    fails_every_s: float = 0.0
    """Of each replica, on average; 0: never."""
    grows: Policy | None = None
