"""The model of what was heard, told in seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.playout import Pacing, Playout

RATE = 24_000


def test_it_plays_what_was_sent_and_no_more():
    playout = Playout(RATE)
    playout.add(RATE, now_s=10)
    assert playout.heard(10) == 0
    assert playout.heard(10.25) == 6_000
    assert playout.heard(12) == RATE


def test_it_stalls_when_there_is_nothing_left():
    playout = Playout(RATE)
    playout.add(RATE, now_s=10)
    playout.add(RATE, now_s=13)  # two seconds of nothing in between
    assert playout.heard(13) == RATE
    assert playout.heard(13.5) == RATE + 12_000


def test_an_interruption_ends_it():
    playout = Playout(RATE)
    playout.add(2 * RATE, now_s=0)
    assert playout.stop(0.5) == 12_000
    assert playout.heard(9) == 12_000


def test_the_first_300_ms_leave_at_once_and_then_500_ms_ahead():
    pacing, playout, now = Pacing(), Playout(RATE), 0.0
    sent_at = []
    for _ in range(20):
        now += pacing.wait_s(playout, 2_400, now)
        playout.add(2_400, now)
        sent_at.append(round(now, 3))
    assert sent_at[:5] == [0.0] * 5
    assert sent_at[5:8] == pytest.approx([0.1, 0.2, 0.3])
    assert sent_at[-1] == pytest.approx(1.5)


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 24_000)), max_size=30))
def test_never_more_than_the_time_that_passed_nor_than_was_sent(steps):
    playout, now, first, last = Playout(RATE), 0.0, None, 0
    for wait, samples in steps:
        now += wait
        heard = playout.heard(now)
        assert last <= heard <= playout.sent
        if first is not None:
            assert heard <= (now - first) * RATE + 1
        first = now if first is None else first
        playout.add(samples, now)
        last = heard
