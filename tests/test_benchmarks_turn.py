"""Records of turns that did not go as they should, and how they are told."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clips import Clip
from benchmarks.record import Record
from benchmarks.turn import TRANSCRIBED, Turn, is_over, measured

CLIP = Clip("clip.flac", "speech", "one two", np.zeros(24_000, np.int16), 0, 23_999)


class Told(Record):
    """A record written by hand: what came, and at which second."""

    def speech(self, item_id: str, started_at: float, stopped_at: float | None) -> None:
        self.add({"type": "input_audio_buffer.speech_started", "item_id": item_id}, started_at)
        if stopped_at is not None:
            self.add({"type": "input_audio_buffer.speech_stopped", "item_id": item_id}, stopped_at)

    def heard(self, item_id: str, transcript: str, at: float) -> None:
        self.add({"type": TRANSCRIBED, "item_id": item_id, "transcript": transcript}, at)

    def response(self, response_id: str, created_at: float, status: str | None) -> None:
        self.add({"type": "response.created", "response": {"id": response_id}}, created_at)
        self.reply(response_id).add(created_at + 0.1, np.full(2400, 4000, np.int16))
        if status is not None:
            response = {"id": response_id, "status": status}
            self.add({"type": "response.done", "response": response}, created_at + 0.2)


def turn_of(record: Record, end_of_speech_at: float) -> Turn:
    return measured(record, 0, Turn(CLIP, 0.0, end_of_speech_at))


def test_a_split_turn_is_measured_from_its_last_utterance() -> None:
    told = Told()
    told.speech("item_1", 0.2, 1.0)
    told.heard("item_1", "one", 1.1)
    told.response("resp_1", 1.2, "cancelled")
    assert is_over(told, 0)
    told.speech("item_2", 1.5, 3.0)
    assert not is_over(told, 0)
    told.heard("item_2", "two", 3.1)
    told.response("resp_2", 3.2, "completed")
    assert is_over(told, 0)
    turn = turn_of(told, 2.5)
    assert (turn.outcome, turn.heard, len(turn.utterances)) == ("answered", "one two", 2)
    assert turn.response is not None
    assert turn.response.response_id == "resp_2"
    assert turn.stages_ms["end of speech -> decision"] == 500
    assert turn.stages_ms["end of speech -> first audio"] == pytest.approx(800)


def test_nothing_was_noticed() -> None:
    assert turn_of(Told(), 1.0).outcome == "not heard"


def test_the_turn_was_never_ended() -> None:
    told = Told()
    told.speech("item_1", 0.2, None)
    assert turn_of(told, 1.0).outcome == "no end of turn"


def test_the_last_words_were_not_noticed() -> None:
    told = Told()
    told.speech("item_1", 0.2, 1.0)
    told.response("resp_1", 1.2, "completed")
    assert turn_of(told, 2.0).outcome == "ended before its last words"


def test_no_words_were_understood() -> None:
    told = Told()
    told.speech("item_1", 0.2, 1.5)
    told.heard("item_1", "", 1.6)
    assert is_over(told, 0)
    assert turn_of(told, 1.0).outcome == "empty transcript"


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
def test_the_response_did_not_complete(status: str) -> None:
    told = Told()
    told.speech("item_1", 0.2, 1.5)
    told.heard("item_1", "one", 1.6)
    told.response("resp_1", 1.7, status)
    assert turn_of(told, 1.0).outcome == f"response {status}"


def test_events_before_the_turn_are_not_of_it() -> None:
    told = Told()
    told.speech("item_0", 0.1, 0.5)
    told.response("resp_0", 0.6, "completed")
    after = len(told.events)
    assert not is_over(told, after)
    assert measured(told, after, Turn(CLIP, 1.0, 2.0)).outcome == "not heard"
