"""Restarts of an engine: at once, then after longer pauses, then no more."""

from __future__ import annotations

from realtime.restarts import LONGEST_PAUSE_S, Restarts


def test_the_first_is_at_once_and_the_next_wait_longer_each_time():
    restarts = Restarts()
    assert [restarts.pause_s(n) for n in range(5)] == [0, 1, 2, 4, 8]


def test_after_the_fifth_within_ten_minutes_there_is_none():
    restarts = Restarts()
    for n in range(5):
        restarts.pause_s(100.0 * n)
    assert restarts.pause_s(599.0) is None


def test_what_is_long_ago_is_forgotten():
    restarts = Restarts()
    for n in range(5):
        restarts.pause_s(100.0 * n)
    assert restarts.pause_s(600.0) == 8
    assert restarts.pause_s(2_000.0) == 0


def test_no_pause_is_longer_than_the_longest():
    restarts = Restarts(most=20)
    assert max(restarts.pause_s(0.0) or 0.0 for _ in range(20)) == LONGEST_PAUSE_S
