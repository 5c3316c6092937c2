"""From what a turn costs to how many sessions: the formula and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.capacity import CYCLE_S, FEWEST, MOST, UTILISATION, Cost, capacity_for


def sessions(cores: int, **costs: Cost) -> int:
    return capacity_for(costs, cores).sessions


def test_all_stages_share_the_cores() -> None:
    costs = {"transcription": Cost(0.3, threads=2), "voice": Cost(0.1), "reply": Cost(0.6, 2)}
    assert sessions(2, **costs) == int(UTILISATION * CYCLE_S * 2 / 1.0)


def test_a_stage_with_one_thread_is_a_bound_of_its_own() -> None:
    costs = {"transcription": Cost(0.3, threads=8), "voice": Cost(0.5)}
    assert sessions(16, **costs) == int(UTILISATION * CYCLE_S / 0.5)


@pytest.mark.parametrize(("cpu_s", "expected"), [(1_000.0, FEWEST), (1e-9, MOST), (0.0, MOST)])
def test_no_measurement_makes_it_absurd(cpu_s: float, expected: int) -> None:
    assert sessions(2, voice=Cost(cpu_s)) == expected


@given(st.floats(0.001, 10), st.floats(1, 3), st.integers(1, 16))
def test_what_costs_more_never_lets_more_in_and_more_cores_never_fewer(
    cpu_s: float, inflated: float, cores: int
) -> None:
    quiet = sessions(cores, reply=Cost(cpu_s, threads=cores))
    assert sessions(cores, reply=Cost(cpu_s * inflated, threads=cores)) <= quiet
    assert sessions(cores + 1, reply=Cost(cpu_s, threads=cores + 1)) >= quiet


def test_the_report_tells_the_costs_in_milliseconds() -> None:
    capacity = capacity_for({"voice": Cost(0.0312), "reply": Cost(1.0, 2)}, 2)
    assert capacity.report() == {
        "max_sessions": capacity.sessions,
        "turn_cpu_ms": {"voice": 31, "reply": 1_000},
    }
