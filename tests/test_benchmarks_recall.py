"""What the ear loses: how loud a background is mixed in, and what counts as found and ended."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.clips import Clip, to_pcm
from benchmarks.partials import Run, tell
from benchmarks.recall import LEAD_S, Condition, Scene, _judged, sound_of
from realtime.allowance import Allowance

RATE = 24_000
LEAD = int(LEAD_S * RATE)


@pytest.fixture
def scene() -> Scene:
    """A second of tone in a clip of three, beside noise as long as it takes."""
    sound = np.zeros(3 * RATE, np.float32)
    sound[RATE : 2 * RATE] = 0.1 * np.sin(np.arange(RATE) * 0.1)
    voiced = np.zeros(300, bool)
    voiced[100:200] = True
    noise = np.random.default_rng(0).normal(0, 0.3, 7 * RATE).astype(np.float32)
    clip = Clip("a", "speech", "a", to_pcm(sound), RATE, 2 * RATE - 1)
    return Scene(clip, noise, noise, noise, voiced)


def power_db(sound: np.ndarray) -> float:
    return 10 * np.log10(float((sound.astype(np.float64) ** 2).mean()))


@pytest.mark.parametrize("db", [20, 5])
@pytest.mark.parametrize("level", [None, -40.0])
def test_noise_is_so_far_below_the_voice(scene, db, level):
    quiet = sound_of(scene, Condition(level_dbfs=level))
    noisy = sound_of(scene, Condition(level_dbfs=level, noise_db=db))
    length = scene.noise[: len(quiet)]
    mixed = sound_of(replace(scene, noise=length), Condition(level_dbfs=level, noise_db=db))
    voice = power_db(quiet[LEAD + RATE : LEAD + 2 * RATE])
    assert voice - power_db(mixed[:LEAD]) == pytest.approx(db, abs=1.5)
    assert len(noisy) == len(quiet)
    if level is not None:
        assert voice == pytest.approx(level, abs=0.5)


def at(seconds: float) -> int:
    return int((LEAD_S + seconds) * 16_000)


@pytest.mark.parametrize(
    ("turns", "in_turn", "found", "ended"),
    [
        ([(at(0.8), at(2.5))], False, True, True),
        ([(at(0.8), at(1.5)), (at(1.55), at(2.5))], False, True, True),
        ([(at(1.3), at(2.5))], False, False, True),
        ([(at(0.8), at(4.0))], True, True, False),
        ([], False, False, False),
    ],
)
def test_a_turn_is_found_by_its_voice_and_ended_by_its_stop(scene, turns, in_turn, found, ended):
    heard = _judged(scene, turns, in_turn=in_turn)
    assert (heard.found, heard.ended) == (found, ended)


def test_a_word_is_late_from_its_end_to_its_telling():
    words = [SimpleNamespace(text=" So", end_s=0.5), SimpleNamespace(text=" my", end_s=0.9)]
    final = SimpleNamespace(text="So my", passages=[SimpleNamespace(words=words)])
    runs = [Run(0.75, "so", 0.1), Run(1.0, "so my", 0.1), Run(1.25, "so by", 0.1)]
    told = tell(runs, final, 0, Allowance(0.12, 1.0), 0.0, 0.0)
    assert told.late_s == pytest.approx([0.6])
    assert (told.shown + told.rest, told.wrong, told.asked) == ("so my", 0, 3)
    broke = tell(runs, final, 0, Allowance(0.0, 0.15), 0.0, 0.0)
    assert (broke.asked, broke.shown) == (1, "")
