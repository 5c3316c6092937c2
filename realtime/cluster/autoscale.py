"""How many replicas a pool should have: by the seconds of audio that are queued in it. Pure.

Serve calls a `QueuedSeconds` with what each replica recorded (`record_autoscaling_stats`) and
applies its own delays to the answer, so that neither a burst nor a pause moves anything.
"""

from __future__ import annotations

import math
from typing import Any

QUEUED = "queued_s"
"""The name under which replicas record it."""

TARGET_S = 2.0
"""Seconds of audio in a replica, waiting or worked on, on the mean. One turn is about 4 s, so a
replica that takes one after the other is at work half of the time; one that makes batches of them
may have a higher target."""


def replicas_for(queued_s: float, *, target_s: float = TARGET_S) -> int:
    """Replicas that hold so much audio at the target."""
    return math.ceil(queued_s / target_s - 1e-9)


def wanted(queued_s: float, now: int, *, least: int, most: int, target_s: float = TARGET_S) -> int:
    """The answer, within bounds; one at a time downwards, since a replica takes long to come back.

    >>> wanted(5.0, 1, least=1, most=4)
    3
    >>> wanted(0.0, 3, least=1, most=4)
    2
    """
    count = replicas_for(queued_s, target_s=target_s)
    if count < now:
        count = now - 1
    return max(least, min(most, count))


class QueuedSeconds:
    """Serve's policy: an `AutoscalingContext` in, the number of replicas and the state out."""

    def __init__(self, target_s: float = TARGET_S) -> None:
        self._target_s = target_s

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        told = (context.aggregated_metrics or {}).get(QUEUED, {})
        count = wanted(
            sum(told.values()),
            context.target_num_replicas,
            least=context.capacity_adjusted_min_replicas,
            most=context.capacity_adjusted_max_replicas,
            target_s=self._target_s,
        )
        return count, {}
