"""The order in which an interrupted response has to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.interruption import STARTED, TAIL, order_faults, verdict
from benchmarks.record import AUDIO_DELTA, Stamped
from benchmarks.turn import Response


def as_events(kinds: Sequence[str]) -> list[Stamped]:
    """Events of resp_1 and its item, in the order given, one a second."""
    events = []
    for second, kind in enumerate(kinds):
        event: dict[str, Any] = {"type": kind}
        if kind == "response.done":
            event["response"] = {"id": "resp_1"}
        elif kind == "conversation.item.done":
            event["item"] = {"id": "item_1"}
        elif kind != STARTED:
            event["response_id"] = "resp_1"
        events.append(Stamped(float(second), event))
    return events


def faults(*kinds: str) -> list[str]:
    return order_faults(as_events(kinds), "resp_1", "item_1")


def test_the_right_order() -> None:
    assert faults(AUDIO_DELTA, STARTED, *TAIL) == []


def test_events_of_others_do_not_count() -> None:
    other = Stamped(99.0, {"type": AUDIO_DELTA, "response_id": "resp_2"})
    their_item = Stamped(99.0, {"type": "conversation.item.done", "item": {"id": "item_2"}})
    events = [*as_events([STARTED, *TAIL]), other, their_item]
    assert order_faults(events, "resp_1", "item_1") == []


@pytest.mark.parametrize(
    ("kinds", "fault"),
    [
        ([STARTED, *TAIL[:-1]], "no response.done"),
        ([STARTED, *TAIL, AUDIO_DELTA], f"{AUDIO_DELTA} after response.done"),
        ([STARTED, *TAIL[1:]], "the tail was " + ", ".join(TAIL[1:])),
        ([*TAIL, STARTED], "the tail came before speech_started"),
        ([STARTED, AUDIO_DELTA, *TAIL], "audio after speech_started"),
    ],
)
def test_what_can_be_wrong(kinds: list[str], fault: str) -> None:
    assert faults(*kinds) == [fault]


@pytest.mark.parametrize(
    ("status", "reason", "done_at", "word"),
    [
        ("cancelled", "turn_detected", 2.0, "interrupted"),
        ("cancelled", "client_cancelled", 2.0, "interrupted, cancelled as client_cancelled"),
        ("completed", None, 0.5, "was complete before"),
        ("completed", None, 2.0, "went on (completed)"),
        (None, None, None, "went on (None)"),
    ],
)
def test_what_became_of_the_old_reply(
    status: str | None, reason: str | None, done_at: float | None, word: str
) -> None:
    old = Response("resp_1", 0.0, 0.1, 0.4, done_at, status, reason, "")
    assert verdict(old, noticed_at=1.0) == word
