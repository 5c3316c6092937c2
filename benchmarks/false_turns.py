"""Turns that begin though nobody speaks: clips of noise through the ear, faster than real time.

The ear's own code and the real speech detector. Each clip is heard at several levels and as
telephone audio, for which the detector's threshold is lower; every play is a stream of its own with
silence before and after it, and all but the first begin at another place within the detector's
windows. `python -m benchmarks.noise --offline` prints what is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import numpy as np

from benchmarks.clips import EAR_RATE_HZ, SAMPLE_RATE_HZ, Clip, to_float
from benchmarks.recall import Condition, on_the_wire
from benchmarks.report import Cell, table

LEAD_S, AFTER_S = 1.0, 2.0
OFFSETS = 768
"""Samples at 24 kHz that one of the detector's windows of 32 ms has."""

SETTINGS = {
    "as recorded": Condition(),
    "-12 dB": Condition(gain_db=-12),
    "+12 dB": Condition(gain_db=12),
    "telephone": Condition(telephone=True),
    "tel. -12 dB": Condition(telephone=True, gain_db=-12),
    "tel. +12 dB": Condition(telephone=True, gain_db=12),
}


@dataclass(frozen=True)
class Heard:
    """What the ear made of all plays of a clip in one setting."""

    clip: str
    setting: str
    plays: int
    minutes: float
    """Of the clip itself, without the silence around it."""
    turns: int
    plays_with_turns: int
    longest_s: float
    """The longest of the turns."""

    @property
    def per_minute(self) -> float:
        return self.turns / self.minutes if self.minutes else 0.0


async def turns_in(detector: Any, clip: Clip, condition: Condition, offset: int) -> list[float]:
    """The seconds of each turn that begins while a clip is played, in a stream of its own."""
    from realtime.ear import Ear
    from realtime.session_config import ServerVad
    from realtime.turns import SpeechStarted, SpeechStopped

    sound = to_float(clip.pcm) * np.float32(10 ** (condition.gain_db / 20))
    lead, after = int(LEAD_S * SAMPLE_RATE_HZ) + offset, int(AFTER_S * SAMPLE_RATE_HZ)
    wire, data = on_the_wire(np.pad(np.clip(sound, -1, 1), (lead, after)), condition)
    ear = Ear(detector, owner=clip.name)
    ear.configure(ServerVad(), wire)
    chunk = wire.rate_hz // 50 * wire.sample_bytes
    turns, start = [], 0
    for place in range(0, len(data), chunk):
        for event in await ear.hear(data[place : place + chunk]):
            if isinstance(event, SpeechStarted):
                start = event.start
            elif isinstance(event, SpeechStopped):
                turns.append((event.end - start) / EAR_RATE_HZ)
    if ear.turns.in_turn:
        turns.append((ear.turns.position - start) / EAR_RATE_HZ)
    return turns


async def listen(detector: Any, clips: Sequence[Clip], plays: int, seed: int) -> list[Heard]:
    """Every clip so many times in every setting."""
    random = Random(seed)
    offsets = [0, *(random.randrange(OFFSETS) for _ in range(plays - 1))]

    async def heard(clip: Clip, setting: str) -> Heard:
        found = [await turns_in(detector, clip, SETTINGS[setting], each) for each in offsets]
        seconds = [s for turns in found for s in turns]
        return Heard(
            clip.name,
            setting,
            plays,
            round(plays * clip.seconds / 60, 3),
            len(seconds),
            sum(bool(turns) for turns in found),
            round(max(seconds, default=0.0), 2),
        )

    made = []
    for clip in clips:
        made += await asyncio.gather(*(heard(clip, setting) for setting in SETTINGS))
    return made


async def offline(clips: Sequence[Clip], plays: int, seed: int) -> list[Heard]:
    """The same with a detector of its own."""
    from realtime.engines.speech_detector import SileroDetector
    from realtime.metrics import Metrics

    detector = SileroDetector(Metrics())
    await asyncio.to_thread(detector.load)
    detector.start()
    try:
        return await listen(detector, clips, plays, seed)
    finally:
        await detector.close()


def per_minute(heard: Sequence[Heard]) -> dict[str, float]:
    """Turns a minute of all clips together, by setting."""
    rates = {}
    for setting in SETTINGS:
        of_it = [each for each in heard if each.setting == setting]
        minutes = sum(each.minutes for each in of_it)
        rates[setting] = round(sum(each.turns for each in of_it) / minutes, 2) if minutes else 0.0
    return rates


def print_found(heard: Sequence[Heard], voiced: set[str]) -> None:
    """A line for each clip: turns a minute by setting; those with voices last."""

    def row(name: str) -> list[Cell]:
        of_it = {each.setting: each for each in heard if each.clip == name}
        rates = [of_it[setting].per_minute for setting in SETTINGS]
        longest = max(each.longest_s for each in of_it.values())
        return [name, of_it["as recorded"].minutes, *rates, longest, "voices" * (name in voiced)]

    names = sorted({each.clip for each in heard}, key=lambda name: (name in voiced, name))
    print(table(["turns a minute", "min", *SETTINGS, "longest s", ""], map(row, names)))


def facts_of(heard: Sequence[Heard], voiced: set[str]) -> dict[str, object]:
    """For the JSON line."""
    return {
        "turns_per_minute_without_voices": per_minute([h for h in heard if h.clip not in voiced]),
        "turns_per_minute_with_voices": per_minute([h for h in heard if h.clip in voiced]),
        "each": [{**asdict(h), "per_minute": round(h.per_minute, 2)} for h in heard],
    }
