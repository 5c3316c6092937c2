"""Keys that are none: so many of an address, then it waits."""

from __future__ import annotations

from realtime.attempts import Attempts


def test_after_a_burst_an_address_waits_for_the_next_token():
    attempts = Attempts(burst=3, every_s=5.0)
    assert [attempts.failed("a", 0.0) for _ in range(5)] == [0, 0, 0, 5, 5]
    assert attempts.failed("b", 0.0) == 0
    assert attempts.failed("a", 4.0) == 1
    assert attempts.failed("a", 5.0) == 0
    assert attempts.failed("a", 5.0) == 5


def test_tokens_come_back_up_to_the_burst():
    attempts = Attempts(burst=2, every_s=1.0)
    for _ in range(4):
        attempts.failed("a", 0.0)
    assert [attempts.failed("a", 1_000.0) for _ in range(3)] == [0, 0, 1]


def test_this_machine_never_waits():
    attempts = Attempts(burst=1)
    assert [attempts.failed("", 0.0) for _ in range(50)] == [0] * 50


def test_what_is_remembered_is_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr("realtime.attempts.MAX_ADDRESSES", 3)
    attempts = Attempts(burst=1, every_s=60.0)
    for address in "abc":
        attempts.failed(address, 0.0)
    assert attempts.failed("a", 0.0) > 0
    attempts.failed("d", 0.0)
    assert attempts.failed("b", 0.0) == 0  # it was forgotten
    assert attempts.failed("a", 0.0) > 0
    assert len(attempts._buckets) == 3
