"""A share of an engine's time: what it lets through in the long run, and at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.allowance import Allowance


def test_after_a_rest_a_burst_is_free():
    allowance = Allowance(0.1, 1.0)
    assert allowance.covers(0.4, at_s=100.0, spent_s=0.0)
    assert allowance.covers(0.4, at_s=100.1, spent_s=0.4)
    assert not allowance.covers(0.4, at_s=100.2, spent_s=0.8)
    assert allowance.covers(0.4, at_s=103.0, spent_s=0.8)


def test_what_costs_more_than_a_burst_is_never_begun():
    allowance = Allowance(0.1, 1.0)
    assert not any(allowance.covers(1.1, at_s=s, spent_s=0.0) for s in (0.0, 10.0, 1e6))


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 0.9)), max_size=50))
def test_in_the_long_run_no_more_than_the_share_is_spent(asked):
    allowance, at_s, spent_s = Allowance(0.12, 1.0), 0.0, 0.0
    for passed_s, cost_s in asked:
        at_s += passed_s
        if allowance.covers(cost_s, at_s=at_s, spent_s=spent_s):
            spent_s += cost_s
    assert spent_s <= 1.0 + 0.12 * at_s + 1e-9
