"""Who offers the load, and what is counted of it."""

from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace

import pytest

from benchmarks.overload import NAMES, Load, note, split


def load(begin_at: float = 0.0, stop_at: float = 10.0) -> Load:
    return Load("", dict.fromkeys(NAMES, ""), [], begin_at, stop_at, retry_s=7.0)


@pytest.mark.parametrize(
    ("callers", "each"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (8, (4, 2, 2)), (9, (5, 2, 2))]
)
def test_half_of_the_callers_have_the_first_key(callers: int, each: tuple[int, ...]) -> None:
    names = split(callers)
    assert tuple(Counter(names)[name] for name in NAMES) == each
    assert names == sorted(names, key=lambda name: name != NAMES[0])


def test_a_place_counts_for_the_time_within_the_window() -> None:
    seen = load()
    seen.held = [
        ("first", -5.0, 5.0),
        ("first", 8.0, 20.0),
        ("second", 1.0, 4.0),
        ("third", 11.0, 12.0),
    ]
    assert seen.places_s() == {"first": 7.0, "second": 3.0, "third": 0.0}
    assert seen.report()["share"] == {"first": 0.7, "second": 0.3, "third": 0.0}


@pytest.mark.parametrize(("told", "after_s"), [({"Retry-After": "3"}, 3.0), ({}, 7.0), (None, 7.0)])
def test_who_is_refused_comes_again_when_it_is_told(told, after_s: float) -> None:
    seen, refusal = load(), SimpleNamespace(headers=told)
    assert note(refusal, time.perf_counter(), seen) == after_s
    assert len(seen.refused_ms) == 1
    assert seen.told == {f"Retry-After {(told or {}).get('Retry-After', 'missing')}": 1}


def test_what_was_refused_before_the_window_is_not_measured() -> None:
    seen = load(begin_at=time.perf_counter() + 100)
    note(SimpleNamespace(headers={}), time.perf_counter(), seen)
    assert seen.refused_ms == []
