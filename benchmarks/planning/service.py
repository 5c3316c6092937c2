"""How long engines take on one kind of machine: a JSON file, read and checked. Pure.

`service_times.py` writes such a file from measurements. Figures that nobody measured say so in
`sources`, each with where it comes from, and the file is marked `"measured": false`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

FOLDER = Path(__file__).parent.parent / "service"


@dataclass(frozen=True)
class Line:
    """A run's time: a fixed part, one for each unit of weight, and by how much runs differ."""

    fixed_s: float
    each_s: float
    spread: float = 0.0
    """Standard deviation of the logarithm of a run's time over the line's."""
    width: float = 1.0
    """Of a device, while it runs; see `device.py`."""

    def at(self, weight: float) -> float:
        """A run without the spread."""
        return self.fixed_s + self.each_s * weight

    def times(self, factor: float) -> Line:
        """A line that is so many times as long."""
        return replace(self, fixed_s=factor * self.fixed_s, each_s=factor * self.each_s)

    def seconds(self, weight: float, random: Random, *, more_s: float = 0.0) -> float:
        """One run, drawn; `more_s` is what it takes beside the line."""
        drawn = random.lognormvariate(0.0, self.spread) if self.spread else 1.0
        return (self.fixed_s + self.each_s * weight + more_s) * drawn


@dataclass(frozen=True)
class Recogniser:
    """Whisper. The weight of a run is the summed length of its windows in seconds; beside that it
    takes as long as its longest utterance has words."""

    run: Line
    features: Line
    """Log-mel features of an utterance, by its seconds. On a machine with a GPU their width is 0:
    they take others' time."""
    said_s: float = 0.0
    """More of a run for each second of its longest utterance."""
    windows_s: tuple[float, ...] = (8.0, 15.0, 30.0)


@dataclass(frozen=True)
class PieceVoice:
    """A voice that speaks one piece at a time. The weight is its characters."""

    run: Line
    s_per_char: float
    kind: Literal["pieces"] = "pieces"


@dataclass(frozen=True)
class ChunkVoice:
    """Chatterbox: many lines at a time, sound in chunks."""

    begin: Line
    """A line's text and voice are read; its weight is 1."""
    step: Line
    """One token for each line; the weight is their number."""
    flow: Line
    """Tokens to frames, for all chunks of a run; the weight is the tokens that are read."""
    vocoder: Line
    """Frames to sound, likewise; the weight is the frames that are read."""
    s_per_char: float
    streams: int = 16
    """Lines at a time; Banter's `--voice-streams`."""
    kind: Literal["chunks"] = "chunks"


@dataclass(frozen=True)
class Spread:
    """A time that is waited for, by its median and 95th percentile, drawn from a lognormal."""

    median_s: float
    p95_s: float

    def seconds(self, random: Random) -> float:
        """One wait, drawn."""
        if not self.median_s:
            return 0.0
        return self.median_s * (self.p95_s / self.median_s) ** (random.gauss(0.0, 1.0) / 1.6449)


@dataclass(frozen=True)
class FrontEnd:
    """The machine that sockets and ears live on."""

    cores: float
    end_of_turn: Line
    """The weight is the number of pauses in the run."""
    caller_cores: float = 0.0
    """Of one caller, as long as he is connected: his socket and all that hears silence."""
    ear_cores: float = 0.0
    """The more of one who speaks: voice detection."""


@dataclass(frozen=True)
class Machine:
    """All that one file holds; what it does not tell of is None."""

    name: str
    measured: bool
    capacity: float
    """Cores, or 1 for a GPU."""
    recogniser: Recogniser
    voice: PieceVoice | ChunkVoice
    front: FrontEnd | None = None
    warm_s: float = 60.0
    """From asking for a replica until it serves."""
    on_cpu: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)
    """Everything else: the machine, the date, the source of each figure."""


def read_machine(path: Path) -> Machine:
    """A file of service times.

    Raises:
        ValueError: it lacks something, or holds what nobody knows; the message names the file.
    """
    told = json.loads(path.read_text(encoding="utf-8"))
    try:
        return _machine(told)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file of service times: {error!r}") from error


def read_front(path: Path) -> FrontEnd:
    """The front end of such a file, which need not tell of anything else.

    Raises:
        ValueError: it does not tell of one; the message names the file.
    """
    told = json.loads(path.read_text(encoding="utf-8"))
    try:
        return _front(told["front_end"], _factors(told).get("end_of_turn", 1.0))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not tell of a front end: {error!r}") from error


def named(name: str) -> Path:
    """The file of a name in `benchmarks/service`, or a path as it is."""
    inside = FOLDER / f"{name}.json"
    return inside if inside.exists() else Path(name)


def _machine(told: Mapping[str, Any]) -> Machine:
    device, heard, voice = told["device"], told["transcription"], told["voice"]
    front, served = told.get("front_end"), _factors(told)
    return Machine(
        name=told["name"],
        measured=told["measured"],
        capacity=device["capacity"],
        on_cpu=device["kind"] == "cpu",
        recogniser=_recogniser(heard, served),
        voice=_voice(voice, served.get("voice", 1.0)),
        front=front and _front(front, served.get("end_of_turn", 1.0)),
        warm_s=told.get("warm_s", 60.0),
        about={key: told[key] for key in ("machine", "sources", "notes") if key in told},
    )


def _factors(told: Mapping[str, Any]) -> dict[str, float]:
    """What runs in a server take over what they take alone, by stage."""
    return {stage: each["factor"] for stage, each in told.get("in_server", {}).items()}


def _front(told: Mapping[str, Any], served: float) -> FrontEnd:
    return FrontEnd(**{**told, "end_of_turn": Line(**told["end_of_turn"]).times(served)})


def _recogniser(told: Mapping[str, Any], served: Mapping[str, float]) -> Recogniser:
    factor = served.get("transcription", 1.0)
    return Recogniser(
        run=Line(**told["run"]).times(factor),
        features=Line(**told["features"]).times(served.get("transcription.features", 1.0)),
        said_s=factor * told.get("said_s", 0.0),
        windows_s=tuple(told["windows_s"]),
    )


def _voice(told: Mapping[str, Any], served: float) -> PieceVoice | ChunkVoice:
    if told["kind"] == "pieces":
        return PieceVoice(Line(**told["run"]).times(served), told["s_per_char"])
    if told["kind"] == "chunks":
        lines = (Line(**told[part]) for part in ("begin", "step", "flow", "vocoder"))
        return ChunkVoice(*lines, told["s_per_char"], told["streams"])
    raise ValueError(f"a voice is of kind pieces or chunks, not {told['kind']!r}")
