"""How many replicas a pool should have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from realtime.cluster.autoscale import TARGET_S, QueuedSeconds, replicas_for, wanted
from realtime.cluster.deployment import span


@pytest.mark.parametrize(
    ("queued_s", "now", "expected"),
    [
        (0.0, 1, 1),
        (TARGET_S, 1, 1),
        (TARGET_S + 0.1, 1, 2),
        (3 * TARGET_S, 1, 3),
        (100 * TARGET_S, 1, 8),  # the most
        (0.0, 8, 7),  # one at a time
        (0.0, 2, 1),
    ],
)
def test_as_many_as_hold_what_is_queued(queued_s: float, now: int, expected: int) -> None:
    assert wanted(queued_s, now, least=1, most=8) == expected


def test_exactly_at_the_target_no_replica_is_added_by_rounding() -> None:
    assert [replicas_for(n * TARGET_S) for n in range(1, 50)] == list(range(1, 50))


def test_serve_s_policy_sums_what_the_replicas_recorded() -> None:
    context = SimpleNamespace(
        aggregated_metrics={"queued_s": {"r1": 6.0, "r2": 5.0}},
        target_num_replicas=2,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert QueuedSeconds(4.0)(context) == (3, {})


def test_before_anything_is_recorded_the_least_is_kept() -> None:
    context = SimpleNamespace(
        aggregated_metrics=None,
        target_num_replicas=1,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    assert QueuedSeconds()(context)[0] == 1


def test_a_span_of_replicas() -> None:
    assert span("3") == (3, 3)
    assert span("1:4") == (1, 4)


@pytest.mark.parametrize("text", ["0", "4:1", "0:2", "many", "1:2:3", "-1"])
def test_a_wrong_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"replicas|invalid literal"):
        span(text)
