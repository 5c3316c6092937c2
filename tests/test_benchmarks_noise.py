"""Noise heard offline: what counts as a turn that nobody spoke, and how often clips are played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.clips import Clip, to_pcm
from benchmarks.false_turns import SETTINGS, Heard, facts_of, listen, per_minute, turns_in
from benchmarks.noise import plays
from benchmarks.recall import Condition

RATE = 24_000


class Loud:
    """Takes a window for speech by its level, as Silero does not."""

    async def probabilities(
        self, _state: Any, windows: Sequence[Any], *, owner: Any
    ) -> list[float]:
        return [float(np.sqrt((w.astype(float) ** 2).mean()) > 2_000) for w in windows]


def hiss(level: float, seconds: float = 2.0, name: str = "hiss") -> Clip:
    """Noise of so much of full scale; the gate takes it for a voice."""
    sound = np.random.default_rng(0).normal(0, level, int(seconds * RATE)).astype(np.float32)
    return Clip(name, "noise", "", to_pcm(sound), 0, int(seconds * RATE) - 1)


async def test_noise_that_the_detector_takes_for_speech_is_a_turn_as_long_as_it_lasts() -> None:
    for offset in (0, 500):
        [seconds] = await turns_in(Loud(), hiss(0.15), Condition(), offset)
        assert seconds == pytest.approx(2.0 + 0.3 + 0.5, abs=0.3)  # with its prefix and its end


async def test_the_level_is_the_settings() -> None:
    assert await turns_in(Loud(), hiss(0.15), SETTINGS["-12 dB"], 0) == []
    assert await turns_in(Loud(), hiss(0.03), Condition(), 0) == []
    assert len(await turns_in(Loud(), hiss(0.03), SETTINGS["+12 dB"], 0)) == 1


async def test_turns_are_counted_by_clip_and_setting_over_all_plays() -> None:
    heard = await listen(Loud(), [hiss(0.15), hiss(0.001, name="still")], 3, 7)
    found = {(each.clip, each.setting): each for each in heard}
    assert len(found) == 2 * len(SETTINGS)
    loud = found["hiss", "as recorded"]
    assert (loud.turns, loud.plays_with_turns, loud.minutes) == (3, 3, 0.1)
    assert loud.per_minute == pytest.approx(30)
    assert not any(each.turns for each in heard if each.clip == "still")


def test_clips_with_voices_are_counted_apart() -> None:
    heard = [
        Heard("rain", "as recorded", 2, 1.0, 0, 0, 0.0),
        Heard("wipers", "as recorded", 2, 1.0, 3, 2, 1.5),
        Heard("cafe", "as recorded", 2, 1.0, 9, 2, 8.0),
    ]
    assert per_minute(heard[:2])["as recorded"] == 1.5
    facts = facts_of(heard, {"cafe"})
    told = [facts[f"turns_per_minute_{kind}_voices"]["as recorded"] for kind in ("without", "with")]
    assert told == [1.5, 9.0]


def test_so_many_minutes_are_played_of_each_clip_without_voices() -> None:
    clips = [hiss(0.1, 2.0, "short"), hiss(0.1, 10.0, "long"), hiss(0.1, 1.0, "cafe")]
    listed = plays(clips, ["cafe"], 2, 7, minutes=0.5)
    counts = {clip.name: sum(p.clip is clip for p in listed) for clip in clips}
    assert counts == {"short": 15, "long": 3, "cafe": 2}
