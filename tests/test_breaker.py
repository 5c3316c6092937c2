"""The circuit breaker before an endpoint: when it opens, who tries, when it closes."""

from __future__ import annotations

from realtime.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker


def failing(breaker: Breaker, times: int, now_s: float = 0.0) -> None:
    for _ in range(times):
        attempt = breaker.enter(now_s)
        assert attempt
        breaker.failed(attempt, now_s)


def test_failures_in_a_row_open_it_and_a_success_in_between_starts_anew():
    breaker = Breaker(limit=3)
    failing(breaker, 2)
    attempt = breaker.enter(0.0)
    assert attempt
    breaker.succeeded(attempt)
    failing(breaker, 2)
    assert breaker.state(0.0) == "closed"
    failing(breaker, 1)
    assert (breaker.state(0.0), breaker.opened) == ("open", 1)
    assert breaker.enter(FIRST_PAUSE_S - 0.1) is None
    assert breaker.wait_s(1.0) == FIRST_PAUSE_S - 1


def test_after_the_pause_one_tries_and_the_others_wait_for_what_he_finds():
    breaker = Breaker(limit=1)
    failing(breaker, 1)
    trial = breaker.enter(FIRST_PAUSE_S)
    assert trial
    assert breaker.state(FIRST_PAUSE_S) == "half_open"
    assert breaker.enter(FIRST_PAUSE_S + 1) is None
    breaker.succeeded(trial)
    assert breaker.state(FIRST_PAUSE_S + 1) == "closed"
    assert breaker.wait_s(FIRST_PAUSE_S + 1) == 0
    assert breaker.enter(FIRST_PAUSE_S + 1)


def test_a_trial_that_fails_doubles_the_pause_up_to_the_longest():
    breaker, now_s, pauses = Breaker(limit=1), 0.0, []
    failing(breaker, 1)
    for _ in range(6):
        now_s += breaker.pause_s
        failing(breaker, 1, now_s)
        pauses.append(breaker.pause_s)
    assert pauses == [10, 20, 40, 60, 60, LONGEST_PAUSE_S]


def test_a_trial_whose_caller_left_lets_the_next_one_try():
    breaker = Breaker(limit=1)
    failing(breaker, 1)
    trial = breaker.enter(FIRST_PAUSE_S)
    assert trial
    breaker.left(trial)
    assert breaker.enter(FIRST_PAUSE_S)


def test_who_was_let_in_before_it_opened_decides_nothing_for_the_trial():
    breaker = Breaker(limit=1)
    early = breaker.enter(0.0)
    assert early
    failing(breaker, 1)
    trial = breaker.enter(FIRST_PAUSE_S)
    assert trial
    breaker.left(early)
    breaker.failed(early, FIRST_PAUSE_S)
    assert breaker.enter(FIRST_PAUSE_S) is None
    assert breaker.state(FIRST_PAUSE_S) == "half_open"


def test_while_the_trial_is_being_answered_the_next_one_may_try():
    breaker = Breaker(limit=1)
    failing(breaker, 1)
    trial = breaker.enter(FIRST_PAUSE_S)
    assert trial
    breaker.begun(trial)
    second = breaker.enter(FIRST_PAUSE_S)
    assert second
    assert breaker.enter(FIRST_PAUSE_S) is None
    assert breaker.state(FIRST_PAUSE_S) == "half_open"
    breaker.failed(trial, FIRST_PAUSE_S)  # broken off
    assert (breaker.state(FIRST_PAUSE_S), breaker.pause_s) == ("open", 2 * FIRST_PAUSE_S)
    breaker.failed(second, FIRST_PAUSE_S + 1)  # begun before: it adds no pause
    breaker.succeeded(second)
    assert (breaker.state(FIRST_PAUSE_S + 1), breaker.opened) == ("open", 2)
    assert breaker.pause_s == 2 * FIRST_PAUSE_S


def test_answers_that_begin_and_break_off_are_failures_in_a_row():
    breaker = Breaker(limit=3)
    for _ in range(3):
        attempt = breaker.enter(0.0)
        assert attempt
        breaker.begun(attempt)
        breaker.failed(attempt, 0.0)
        breaker.left(attempt)
    assert breaker.state(0.0) == "open"
