"""How people speak to it, and how soon it knows that they are done: shares, waits, clips. Pure.

The clips are real ones: `benchmarks/service/speech.json` holds, of each, where it is voiced and
where it pauses, and into which pieces its words would be cut if they were a reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.arrivals import think_s
from benchmarks.planning.service import FOLDER, Spread
from realtime.endpointing import NOTHING_SET, Verdict, Waits
from realtime.turns import RESUME_MS, TurnSettings

SPEECH = FOLDER / "speech.json"
PAUSE_S = TurnSettings().pause_ms / 1e3
RESUME_S = RESUME_MS / 1e3

SOUND_SURE, SOUND_FOOLED = 0.65, 0.3
"""Shares of pauses, of real ends and of others; by `endpoint.py` on 46 recordings, see LOG.md."""


@dataclass(frozen=True)
class Clip:
    """Something that is said."""

    stretches: tuple[tuple[float, float], ...]
    """Seconds of voice, and of the pause after it; after the last there is none."""
    pieces: tuple[int, ...]
    """Characters of each piece, were it a reply."""
    lead_s: float = 0.0
    """Silence before the first word."""

    @property
    def voiced_s(self) -> float:
        """From the first to the last sound."""
        return sum(voice_s + pause_s for voice_s, pause_s in self.stretches)


@dataclass(frozen=True)
class Judges:
    """What the end-of-turn model says of a pause, as shares: it is sometimes wrong. Words are read
    by the embedded language model alone, and nobody here has that."""

    sound_sure: float = SOUND_SURE
    """Of real ends, those that sound like one."""
    sound_fooled: float = SOUND_FOOLED
    """Of pauses within a turn, those that sound like an end."""

    def sound(self, end: bool, random: Random) -> float:
        """A probability beyond what `Waits.heard` asks for, or below."""
        return float(random.random() < (self.sound_sure if end else self.sound_fooled))


@dataclass(frozen=True)
class Replies:
    """What answers: an `endpoint` is waited for; an `echo` is there at once, and says what was
    said."""

    kind: str = "endpoint"
    first_words: Spread = field(default_factory=lambda: Spread(0.35, 0.8))
    """From asking an endpoint to the end of the first piece."""


@dataclass(frozen=True)
class Habits:
    """Of all callers."""

    clips: tuple[Clip, ...]
    judges: Judges = field(default_factory=Judges)
    waits: Waits = NOTHING_SET
    asks: bool = True
    """Whether there is an end-of-turn model."""
    replies: Replies = field(default_factory=Replies)
    speculates: bool = True
    partials: bool = True
    """Whether callers want to see their words while they speak."""
    barge_in: float = 0.1
    """Share of replies that are talked over, at any place of them."""
    network_s: float = 0.02
    """Between a caller and the front end, each way."""
    ear_s: tuple[float, float] = (0.02, 0.06)
    """How late the ear notices silence: frames, windows, the gate."""
    onset_s: float = 0.02
    """Of a reply's sound, what is kept of the silence before it: that is waiting too."""
    call_s: float = 300.0
    """Mean length of a conversation, exponential."""

    def think_s(self, random: Random) -> float:
        """From the end of a reply to the next word."""
        return think_s(random)

    def late_s(self, random: Random) -> float:
        """From a sound to its being noticed."""
        return self.network_s + random.uniform(*self.ear_s)

    def limit_s(self, verdict: Verdict) -> float:
        """What a pause has to last by what is known of it."""
        return self.waits.after(verdict) / 1e3


def read_clips(
    path: Path = SPEECH,
    *,
    shortest_s: float = 0.0,
    longest_s: float = 60.0,
    voice: str = "pieces",
) -> tuple[Clip, ...]:
    """The clips of a file whose length is within these bounds, with replies as they are cut for
    this kind of voice."""
    told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Clip(noticed(clip["stretches"]), tuple(clip[voice]), clip["lead_s"])
        for clip in told["clips"]
        if shortest_s <= clip["seconds"] <= longest_s
    )


def noticed(stretches: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """Without the voice that is too short to end a pause: it is a part of it, and at the end of a
    clip of the silence that follows."""
    kept: list[tuple[float, float]] = []
    for voice_s, pause_s in stretches:
        if kept and kept[-1][1] >= PAUSE_S and voice_s <= RESUME_S:
            before_s, silent_s = kept[-1]
            kept[-1] = before_s, silent_s + voice_s + pause_s if pause_s else 0.0
        else:
            kept.append((voice_s, pause_s))
    return tuple(kept)
