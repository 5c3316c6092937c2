"""The turn detector, told as stories in seconds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.endpointing import Levels, Waits, exactly
from realtime.turns import (
    TABLE,
    Signal,
    SpeechStarted,
    SpeechStopped,
    State,
    TurnDetector,
    TurnPaused,
    TurnResumed,
    TurnSettings,
)
from tests.stories import FRAME, outline, score, seconds, silence, speech, tell

BY_MODEL = TurnSettings(
    waits=Waits(500, Levels(0.7, 200, 1_200), Levels(0.5, 300, 1_000)),
)


def test_a_turn_begins_with_its_prefix_and_ends_after_the_silence():
    events = tell(TurnDetector(), silence(1), speech(1), silence(1))
    assert outline(events) == [("start", 0.7), ("stop", 2.5)]
    assert seconds(events[-1].last_speech) == 2.0


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
    assert outline(events) == [("start", 0.0), ("stop", 1.5), ("start", 1.2), ("stop", 3.0)]


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
    detector.configure(TurnSettings(waits=exactly(320)))
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
    events = [e for e in events if isinstance(e, SpeechStarted | SpeechStopped)]
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


def test_a_short_silence_within_a_turn_is_a_pause_and_speech_ends_it():
    events = tell(TurnDetector(), speech(1), silence(0.3), speech(1), silence(1))
    assert score(events) == [
        ("start", 0.0),
        ("pause", 1.06),
        ("resume", 1.36),
        ("pause", 2.36),
        ("stop", 2.8),
    ]
    assert [seconds(e.last_speech) for e in events if isinstance(e, TurnPaused)] == [1.0, 2.3]


def test_a_turn_that_is_too_long_goes_on_over_a_gap_between_two_words():
    detector = TurnDetector(TurnSettings(max_turn_ms=2_000))
    events = tell(detector, speech(1.98), silence(0.02), speech(1), silence(1))
    kinds = [(type(e), getattr(e, "split", getattr(e, "continues", None))) for e in events]
    assert kinds[:3] == [(SpeechStarted, False), (SpeechStopped, True), (SpeechStarted, True)]


def test_a_silence_shorter_than_a_pause_is_not_told():
    events = tell(TurnDetector(), speech(1), silence(0.04), speech(1))
    assert score(events) == [("start", 0.0)]


def test_a_click_in_a_pause_does_not_end_it():
    events = tell(TurnDetector(), speech(1), silence(0.2), speech(0.04), silence(0.2))
    assert score(events) == [("start", 0.0), ("pause", 1.06)]


@pytest.mark.parametrize("silence_ms", [20, 40, 60, 140])
def test_a_pause_that_ends_the_turn_is_told_first(silence_ms):
    events = tell(TurnDetector(TurnSettings(waits=exactly(silence_ms))), speech(1), silence(0.5))
    paused, stopped = (1_000 + min(silence_ms, 60)) / 1_000, (1_000 + silence_ms) / 1_000
    assert score(events) == [("start", 0.0), ("pause", paused), ("stop", stopped)]


def after_verdict(probability: float, *, at: float = 0.16) -> list[tuple[str, float]]:
    """A second of speech, then silence; the verdict comes `at` seconds into it."""
    detector = TurnDetector(BY_MODEL)
    events = tell(detector, speech(1), silence(at))
    detector.decide(events[-1].last_speech, sound=probability)
    return outline(events + tell(detector, silence(2)))


@pytest.mark.parametrize(("probability", "stop"), [(0.9, 1.2), (0.7, 1.2), (0.69, 2.2), (0.0, 2.2)])
def test_the_verdict_says_how_long_the_pause_lasts(probability, stop):
    assert after_verdict(probability) == [("start", 0.0), ("stop", stop)]


def test_words_that_are_read_later_count_more():
    detector = TurnDetector(BY_MODEL)
    [_, pause] = tell(detector, speech(1), silence(0.16))
    detector.decide(pause.last_speech, reading=True)
    detector.decide(pause.last_speech, sound=0.9)
    assert tell(detector, silence(0.1)) == []
    detector.decide(pause.last_speech, words=0.0, reading=False)
    assert outline(tell(detector, silence(2))) == [("stop", 2.0)]


def test_a_verdict_that_comes_late_counts_from_the_next_frame():
    assert after_verdict(0.9, at=0.4) == [("start", 0.0), ("stop", 1.42)]


def test_a_verdict_on_an_earlier_pause_is_ignored():
    detector = TurnDetector(BY_MODEL)
    [_, first] = tell(detector, speech(1), silence(0.2))
    tell(detector, speech(1), silence(0.2))
    detector.decide(first.last_speech, sound=1.0)
    assert outline(tell(detector, silence(1))) == [("stop", 2.7)]


def test_a_verdict_ends_with_its_pause():
    detector = TurnDetector(BY_MODEL)
    [_, first] = tell(detector, speech(1), silence(0.16))
    detector.decide(first.last_speech, sound=1.0)
    assert outline(tell(detector, speech(1), silence(1))) == [("stop", 2.66)]


def test_a_verdict_after_the_end_changes_nothing():
    detector = TurnDetector(BY_MODEL)
    [*_, stop] = tell(detector, speech(1), silence(1))
    detector.decide(stop.last_speech, sound=0.0)
    assert outline(tell(detector, speech(1), silence(1))) == [("start", 1.7), ("stop", 3.5)]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=30),
    st.lists(st.floats(0, 1), max_size=30),
    st.integers(100, 3_000),
)
def test_a_turn_is_a_start_pauses_that_end_and_a_stop_in_a_pause(runs, verdicts, max_turn_ms):
    detector = TurnDetector(TurnSettings(waits=BY_MODEL.waits, max_turn_ms=max_turn_ms))
    said = iter(verdicts)
    told = []
    for speaking, frames in [*runs, (False, 100)]:
        for _ in range(frames):
            for event in detector.push(FRAME, speaking):
                told.append(event)
                if isinstance(event, TurnPaused) and (verdict := next(said, None)) is not None:
                    detector.decide(event.last_speech, sound=verdict)
    allowed = {
        SpeechStarted: (TurnPaused, SpeechStopped),
        TurnPaused: (TurnResumed, SpeechStopped),
        TurnResumed: (TurnPaused, SpeechStopped),
        SpeechStopped: (SpeechStarted,),
    }
    for before, after in itertools.pairwise(told):
        assert type(after) in allowed[type(before)]
        if isinstance(after, SpeechStopped) and not isinstance(before, TurnPaused):
            assert after.split
    assert not told or isinstance(told[-1], SpeechStopped)
