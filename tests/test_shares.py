"""Places among keys, told as arrivals and departures."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from realtime.admission import Admission, Place, Refusal, Visitor
from realtime.shares import CLAIM_S


def doors(places: int, keys: int) -> Admission:
    return Admission(places, keys=lambda: keys)


def ask(admission: Admission, key: str, now_s: float = 0.0) -> Place | Refusal:
    return admission.enter(now_s, Visitor(key))


def fill(admission: Admission, key: str, now_s: float = 0.0) -> list[Place]:
    inside = []
    while isinstance(place := ask(admission, key, now_s), Place):
        inside.append(place)
    return inside


def test_a_key_that_is_alone_on_its_server_has_all_places():
    assert len(fill(doors(16, keys=1), "a")) == 16


def test_an_eighth_is_kept_for_keys_that_are_not_here():
    admission = doors(16, keys=2)
    assert len(fill(admission, "a")) == 14
    refusal = ask(admission, "a")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "share"
    assert refusal.wire()["error"]["code"] == "fair_share_reached"
    assert isinstance(ask(admission, "b"), Place)
    assert isinstance(ask(admission, "b"), Place)
    assert isinstance(ask(admission, "b"), Refusal)


def test_of_few_places_none_is_kept_free():
    assert len(fill(doors(4, keys=2), "a")) == 4


def test_a_key_that_came_late_gets_what_becomes_free_up_to_its_share():
    """`a` asks for every place as soon as it is free, and before `b` does."""
    admission = doors(4, keys=2)
    inside = fill(admission, "a")
    for now_s in range(10):
        assert isinstance(ask(admission, "b", now_s), Refusal | Place)
        if admission.held()["a"] > 1:
            admission.leave(inside.pop(), now_s)
        if isinstance(again := ask(admission, "a", now_s), Place):
            inside.append(again)
    assert admission.held() == {"a": 2, "b": 2}


def test_a_claim_that_nobody_comes_back_for_is_forgotten():
    admission = doors(4, keys=2)
    inside = fill(admission, "a")
    assert isinstance(ask(admission, "b", 10.0), Refusal)
    admission.leave(inside.pop(), 11.0)
    assert isinstance(ask(admission, "a", 12.0), Refusal)
    assert isinstance(ask(admission, "a", 10.0 + CLAIM_S), Place)


def test_what_a_key_does_not_want_is_no_loss():
    """`b` has one session and asks for no more: `a` may have all the rest."""
    admission = doors(8, keys=2)
    assert isinstance(ask(admission, "b"), Place)
    assert len(fill(admission, "a")) == 7


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=80),
)
def test_no_story_passes_the_places_and_below_its_share_nobody_is_refused_a_free_one(
    places: int, keys: int, story: list[tuple[bool, int]]
) -> None:
    admission, inside, now_s = doors(places, keys), [], 0.0
    for arrives, number in story:
        now_s += 1.0
        key = f"key-{number % keys}"
        if arrives:
            held, free = admission.held(), places - admission.open
            answer = ask(admission, key, now_s)
            if isinstance(answer, Place):
                inside.append(answer)
            elif held[key] < places // keys:
                assert free == 0
        elif inside:
            admission.leave(inside.pop(number % len(inside)), now_s)
        assert admission.open == len(inside) <= places
    assert admission.held() == Counter(place.visitor.key for place in inside)
