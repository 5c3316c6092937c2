"""The turn detector, told as stories in seconds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.turns import (
    TABLE,
    Signal,
    SpeechStarted,
    SpeechStopped,
    State,
    TurnDetector,
    TurnSettings,
)
from tests.stories import FRAME, outline, seconds, silence, speech, tell


def test_a_turn_begins_with_its_prefix_and_ends_after_the_silence():
    events = tell(TurnDetector(), silence(1), speech(1), silence(1))
    assert outline(events) == [("start", 0.7), ("stop", 2.5)]
    assert seconds(events[1].last_speech) == 2.0


def test_a_start_is_told_once_200_ms_of_speech_are_heard():
    detector = TurnDetector()
    assert tell(detector, silence(1), speech(0.18)) == []
    assert outline(tell(detector, speech(0.02))) == [("start", 0.7)]


def test_a_click_is_no_turn():
    detector = TurnDetector()
    assert tell(detector, silence(1), speech(0.1), silence(2)) == []
    assert detector.false_onsets == 1
    assert detector.idle


def test_two_clicks_far_apart_do_not_add_up():
    assert tell(TurnDetector(), speech(0.14), silence(0.3), speech(0.14), silence(1)) == []


def test_a_pause_within_the_turn_does_not_end_it():
    events = tell(TurnDetector(), speech(1), silence(0.4), speech(1), silence(1))
    assert outline(events) == [("start", 0.0), ("stop", 2.9)]


def test_a_breath_in_the_pause_does_not_make_the_caller_wait_again():
    events = tell(TurnDetector(), speech(1), silence(0.3), speech(0.04), silence(1))
    assert outline(events) == [("start", 0.0), ("stop", 1.5)]


def test_speech_that_begins_at_the_end_of_the_pause_keeps_the_turn_open():
    events = tell(TurnDetector(), speech(1), silence(0.48), speech(0.3), silence(1))
    assert outline(events) == [("start", 0.0), ("stop", 2.28)]


def test_the_next_turn_does_not_hear_the_last_one_again():
    events = tell(TurnDetector(), speech(1), silence(0.5), speech(1), silence(1))
    assert outline(events) == [("start", 0.0), ("stop", 1.5), ("start", 1.5), ("stop", 3.0)]


def test_a_turn_that_is_too_long_is_split_and_nothing_is_lost():
    detector = TurnDetector(TurnSettings(max_turn_ms=2_000))
    events = tell(detector, speech(5), silence(1))
    assert outline(events) == [
        ("start", 0.0),
        ("stop", 2.0),
        ("start", 2.0),
        ("stop", 4.0),
        ("start", 4.0),
        ("stop", 5.5),
    ]
    assert [e.split for e in events if isinstance(e, SpeechStopped)] == [True, True, False]
    assert [e.continues for e in events if isinstance(e, SpeechStarted)] == [False, True, True]


def test_new_settings_reach_a_turn_in_progress():
    detector = TurnDetector()
    tell(detector, speech(1), silence(0.3))
    detector.configure(TurnSettings(silence_duration_ms=320))
    assert outline(tell(detector, silence(0.02))) == [("stop", 1.32)]


def test_reset_forgets_a_turn_and_gives_its_audio_to_no_other():
    detector = TurnDetector()
    tell(detector, speech(1))
    detector.reset()
    assert detector.idle
    assert outline(tell(detector, speech(0.5))) == [("start", 1.0)]


def test_a_pair_that_is_not_in_the_table_raises():
    detector = TurnDetector(state=State.IDLE)
    with pytest.raises(RuntimeError, match="IDLE on TOO_LONG"):
        detector._step(Signal.TOO_LONG)


def test_every_state_has_an_answer_to_every_frame():
    for state, signal in itertools.product(State, (Signal.SPEECH, Signal.SILENCE)):
        assert (state, signal) in TABLE


@given(st.lists(st.booleans(), max_size=600), st.integers(100, 3_000))
def test_starts_and_stops_alternate_and_never_overlap(frames, max_turn_ms):
    detector = TurnDetector(TurnSettings(max_turn_ms=max_turn_ms))
    events = tell(detector, frames, silence(1))
    kinds = [type(e) for e in events]
    assert kinds == [SpeechStarted, SpeechStopped] * (len(events) // 2)
    times = [e.start if isinstance(e, SpeechStarted) else e.end for e in events]
    assert times == sorted(times)
    assert detector.position == (len(frames) + len(silence(1))) * FRAME


@given(st.lists(st.booleans(), max_size=400))
def test_audio_that_a_turn_will_ask_for_is_never_forgotten(frames):
    detector = TurnDetector()
    kept = 0
    for frame in frames:
        for event in detector.push(FRAME, frame):
            if isinstance(event, SpeechStarted):
                assert event.start >= kept
        kept = detector.keep_from
