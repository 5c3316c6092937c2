"""Places for callers, told as arrivals and departures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.admission import (
    MAX_RETRY_S,
    MIN_RETRY_S,
    RESTART_S,
    RETRY_AFTER_S,
    Admission,
    Place,
    Refusal,
)


def let_in(admission: Admission, now_s: float = 0.0) -> Place:
    place = admission.enter(now_s)
    assert isinstance(place, Place)
    return place


def turned_away(admission: Admission, now_s: float = 0.0) -> Refusal:
    refusal = admission.enter(now_s)
    assert isinstance(refusal, Refusal)
    return refusal


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_no_more_than_the_places_are_ever_taken(places: int, story: list[bool]) -> None:
    """True is an arrival, False the departure of whoever came first."""
    admission = Admission(places)
    inside: list[Place] = []
    refused = 0
    for arrival in story:
        if arrival and len(inside) == places:
            turned_away(admission)
            refused += 1
        elif arrival:
            inside.append(let_in(admission))
        elif inside:
            admission.leave(inside.pop(0), 1.0)
        assert admission.open == len(inside) <= places
        assert (admission.refusal() is None) == (len(inside) < places)
    assert admission.refused == refused


def test_a_refusal_names_the_setting_the_remedy_and_the_wait() -> None:
    admission = Admission(1)
    let_in(admission)
    refusal = turned_away(admission)
    assert (refusal.reason, refusal.retry_after_s) == ("saturated", RETRY_AFTER_S)
    error = refusal.wire()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "max_sessions_reached"
    assert "--max-sessions (BANTER_MAX_SESSIONS)" in refusal.message
    assert f"try again in {RETRY_AFTER_S} s" in refusal.message


@pytest.mark.parametrize(
    ("places", "lasted_s", "wait_s"),
    [(4, 120.0, 30), (4, 1.0, MIN_RETRY_S), (1, 3_600.0, MAX_RETRY_S)],
)
def test_the_wait_is_what_a_place_takes_to_become_free(
    places: int, lasted_s: float, wait_s: int
) -> None:
    """With all places taken, one is given back every mean session over the number of places."""
    admission = Admission(places)
    for _ in range(20):
        admission.leave(let_in(admission, 0.0), lasted_s)
    for _ in range(places):
        let_in(admission)
    assert turned_away(admission).retry_after_s == wait_s


def test_nobody_is_let_in_while_the_server_goes_away() -> None:
    admission = Admission(2)
    place = let_in(admission)
    admission.draining = True
    refusal = turned_away(admission)
    assert (refusal.reason, refusal.retry_after_s) == ("draining", RESTART_S)
    assert refusal.wire()["error"]["code"] == "shutting_down"
    admission.leave(place, 1.0)
    assert admission.open == 0


def test_a_place_is_given_back_once() -> None:
    admission = Admission(2)
    place = let_in(admission)
    let_in(admission)
    admission.leave(place, 1.0)
    with pytest.raises(KeyError):
        admission.leave(place, 1.0)
    assert admission.open == 1


def test_nobody_is_let_in_while_engines_elsewhere_are_out() -> None:
    out = ["no replica of voice lives"]
    admission = Admission(4, elsewhere=lambda: out[0])
    told = admission.enter(0.0)
    assert isinstance(told, Refusal)
    assert told.reason == "unavailable"
    assert told.message.startswith("no replica of voice lives")
    assert told.retry_after_s > 0
    out[0] = ""
    assert isinstance(admission.enter(0.0), Place)
