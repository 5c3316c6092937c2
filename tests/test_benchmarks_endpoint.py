"""Policies over pauses: what they cut off and what they make people wait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.joined import RoomTone, _joined
from benchmarks.pauses import (
    END,
    NATURAL,
    SOUND_KNOWN_MS,
    WORDS_KNOWN_MS,
    Pause,
    Pauses,
    Policy,
    best,
    fitted,
    outcome,
)
from realtime.endpointing import Levels, Verdict, Waits, exactly

MID = "mid-clause"
WAITS = Waits(500, Levels(0.8, 200, 1_000), Levels(0.4, 340, 1_200))
LISTENS = Policy(WAITS, listens=True)
READS = Policy(WAITS, listens=True, reads=True)


def mid(lasted_ms: float, complete: float) -> Pause:
    return Pause("a#1", MID, lasted_ms, 0.0, {120: complete})


def end(complete: float, late_ms: float = 40.0) -> Pause:
    return Pause("a#0", END, None, late_ms, {120: complete})


def test_a_pause_is_cut_off_when_it_outlasts_what_the_policy_wants():
    pauses = Pauses([mid(300, 0.9), mid(180, 0.9), mid(900, 0.1), mid(1_100, 0.1)], {MID: 5})
    assert outcome(LISTENS, pauses).cut_percent == {MID: 40.0, NATURAL: 0.0}
    assert outcome(Policy(exactly(500)), pauses).cut_percent[MID] == 40.0


def test_the_wait_counts_from_the_last_voiced_sample():
    found = outcome(LISTENS, Pauses([end(0.9), end(0.1), end(0.9, 0.0)], {}))
    assert found.waits_ms == (240.0, 1_040.0, 200.0)
    assert (found.median_ms, found.mean_ms) == (240.0, pytest.approx(493.3, abs=0.1))


def test_a_verdict_ends_nothing_before_it_is_known():
    at_once = Levels(0.4, 20, 1_000)
    early = Pauses([Pause("a#0", END, None, 0.0, {120: 0.9}, words=0.9)], {})
    for policy, known_ms in ((LISTENS, SOUND_KNOWN_MS), (READS, WORDS_KNOWN_MS)):
        hasty = replace(policy, waits=Waits(500, at_once, at_once))
        assert outcome(hasty, early).waits_ms == (float(known_ms),)


@given(st.floats(0, 1), st.none() | st.floats(0, 1))
def test_a_policy_waits_as_the_server_does(complete, words):
    pauses = Pauses([replace(end(complete, 0.0), words=words)], {})
    assert outcome(LISTENS, pauses).waits_ms == (float(WAITS.after(Verdict(complete))),)
    if words is not None:
        asked = WAITS.wants_sound(Verdict(words=words, listening=True), 500)
        known = Verdict(complete if asked else None, words)
        assert outcome(READS, pauses).waits_ms == (float(WAITS.after(known)),)


def test_the_weights_are_those_that_tell_ends_from_pauses():
    rng = np.random.default_rng(3)
    pauses = [
        replace(end(0.5 + 0.4 * over), kind=END if over else MID, words=float(words))
        for over in (True, False)
        for words in rng.uniform(0.3, 0.9, 50) * (1.0 if over else 0.01)
    ]
    weights = fitted(pauses)
    assert weights.sound > 0
    assert weights.words > 0
    assert all(
        (weights.together(Verdict(p.verdicts[120], p.words)) > 0.5) == (p.kind == END)
        for p in pauses
    )


def test_the_best_cuts_off_fewest_within_the_mean_wait():
    pauses = Pauses([mid(600, 0.9), mid(600, 0.1), end(0.9), end(0.9), end(0.1)], {MID: 2})
    tried = [(p, outcome(p, pauses)) for p in (Policy(exactly(500)), LISTENS)]
    assert best(tried, (MID,), mean_ms=540)[0].waits == WAITS
    assert best(tried[:1], (MID,), mean_ms=540)[1].cut_percent[MID] == 100.0


def test_room_tone_is_as_loud_as_the_quietest_stretch_and_says_nothing():
    rng = np.random.default_rng(0)
    heard = np.concatenate((rng.normal(0, 0.1, 16_000), rng.normal(0, 0.002, 8_000)))
    tone = RoomTone(heard.astype(np.float32), 1).of(16_000)
    assert np.sqrt(np.mean(np.square(tone))) == pytest.approx(0.002, rel=0.2)
    joined = _joined(heard[:4_000].astype(np.float32), tone)
    assert len(joined) == 20_000
    assert joined[4_000] == joined[3_999] == 0
