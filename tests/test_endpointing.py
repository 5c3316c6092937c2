"""What a pause has to last, by what the client asked for and what the model says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.endpointing import (
    BOTH,
    EAGERNESS,
    SILENCE_MS,
    Levels,
    Verdict,
    Waits,
    by_eagerness,
    by_model,
    exactly,
)
from realtime.session_config import SemanticVad, ServerVad, SessionConfig

probabilities = st.floats(0, 1)
said = st.none() | probabilities
verdicts = st.builds(Verdict, said, said, st.booleans(), st.booleans())
UNKNOWN = Verdict()
WAITS = Waits(500, Levels(0.8, 200, 1_000), Levels(0.4, 300, 1_200))


def test_a_complete_pause_ends_soon_an_incomplete_one_late_and_without_a_verdict_silence_counts():
    assert WAITS.after(UNKNOWN) == 500
    found = [WAITS.after(Verdict(sound=p)) for p in (0.0, 0.79, 0.8, 1.0)]
    assert found == [1_000, 1_000, 200, 200]


def test_words_that_are_read_count_more_than_the_sound():
    for sound in (None, 0.05, 0.95):
        found = [WAITS.after(Verdict(sound, words)) for words in (0.0, 0.9)]
        assert found == [1_200, 300]


def test_both_together_are_a_logistic_regression():
    assert BOTH.together(Verdict(0.5, 1.0)) == pytest.approx(1 / (1 + math.exp(-1.36)), abs=1e-3)
    assert 0 < BOTH.together(Verdict(0.0, 0.0)) < BOTH.together(Verdict(1.0, 1.0)) < 1


def test_while_words_are_looked_for_the_sound_alone_ends_nothing_before_silence_does():
    assert WAITS.after(Verdict(0.9, reading=True)) == 500
    assert WAITS.after(Verdict(0.1, reading=True)) == 1_000
    assert WAITS.after(Verdict(reading=True)) == 500


IN_DOUBT, LIKELY = 0.08, 0.2
"""Words that a sound of the end makes complete, and one of anything else incomplete. Alone the
first are just not believed to be the end, and the second are."""


def test_the_sound_is_judged_where_words_leave_a_doubt():
    for words, wanted in ((0.001, False), (IN_DOUBT, True), (LIKELY, True), (0.9, False)):
        heard = Verdict(words=words, listening=True)
        assert WAITS.wants_sound(heard, 120) is wanted
        assert not WAITS.wants_sound(heard, 119)
        assert not WAITS.wants_sound(replace(heard, listening=False), 120)
        assert not WAITS.wants_sound(replace(heard, sound=0.5), 120)


def test_the_sound_is_judged_where_words_are_not_looked_for_or_come_late():
    nothing = Verdict(listening=True)
    assert [WAITS.wants_sound(nothing, ms) for ms in (100, 120, 500)] == [False, True, True]
    reading = replace(nothing, reading=True)
    assert [WAITS.wants_sound(reading, ms) for ms in (120, 280, 300)] == [False, False, True]


def test_while_the_sound_is_waited_for_the_words_count_and_silence_at_least():
    for words, asked_ms, alone_ms in ((LIKELY, 500, 300), (IN_DOUBT, 1_200, 1_200)):
        asked = Verdict(words=words, listening=True)
        assert WAITS.after(asked) == asked_ms
        assert WAITS.after(replace(asked, sound=0.99)) == 300
        assert WAITS.after(replace(asked, sound=0.01)) == 1_200
        assert WAITS.after(replace(asked, listening=False)) == alone_ms


@given(verdicts, st.floats(0, 2_000))
def test_what_was_judged_is_judged_no_more(verdict, silence_ms):
    for waits in (by_model(), *EAGERNESS.values()):
        if verdict.sound is not None or not verdict.listening:
            assert not waits.wants_sound(verdict, silence_ms)


@given(verdicts)
def test_a_silence_that_a_client_set_is_kept_whatever_the_models_say(verdict):
    waits = ServerVad(silence_duration_ms=700).turn_settings().waits
    assert waits.after(verdict) == 700
    assert not waits.asks


@given(verdicts, probabilities, st.sampled_from(["sound", "words"]))
def test_the_surer_a_model_the_shorter_the_wait(verdict, other, which):
    one = getattr(verdict, which)
    if one is None:
        return
    low, high = sorted((one, other))
    for waits in (by_model(), *EAGERNESS.values()):
        surer, less = (waits.after(replace(verdict, **{which: p})) for p in (high, low))
        assert surer <= less


@given(verdicts)
def test_who_is_more_eager_never_waits_longer(verdict):
    waits = [by_eagerness(e).after(verdict) for e in ("high", "medium", "low")]
    assert waits == sorted(waits)


def test_auto_is_medium_as_the_protocol_says():
    assert by_eagerness("auto") == by_eagerness("medium")


def test_where_nothing_is_set_the_model_counts_and_without_one_the_protocols_silence():
    waits = ServerVad().turn_settings().waits
    assert waits.asks
    assert waits.after(UNKNOWN) == SILENCE_MS == 500


def test_the_prefix_is_kept_beside_both():
    assert ServerVad(prefix_padding_ms=100).turn_settings().prefix_padding_ms == 100
    assert SemanticVad(eagerness="high").turn_settings().waits == by_eagerness("high")


def test_the_silence_that_counts_is_told_whether_it_was_set_or_not():
    def told(config: SessionConfig) -> int:
        wire = config.wire(session_id="s", expires_at=0)
        return wire["audio"]["input"]["turn_detection"]["silence_duration_ms"]

    config = SessionConfig()
    assert told(config) == 500
    patch = {"audio": {"input": {"turn_detection": {"silence_duration_ms": 500}}}}
    config = config.updated(patch)
    assert told(config) == 500
    assert config.audio.input.turn_detection.turn_settings().waits == exactly(500)


def test_null_leaves_a_silence_that_was_set_as_it_is():
    set_to = {"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}}
    null = {"audio": {"input": {"turn_detection": {"silence_duration_ms": None}}}}
    config = SessionConfig().updated(set_to).updated(null)
    assert config.audio.input.turn_detection.turn_settings().waits == exactly(300)


def test_the_docs_tell_the_waits():
    text = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()
    rows = {"nothing": by_model(), **EAGERNESS}
    for waits in rows.values():
        read, heard = waits.read, waits.heard
        told = (
            f"| {read.complete_ms:,} ms | {read.incomplete_ms:,} ms | {heard.complete_ms:,} ms "
            f"| {heard.incomplete_ms:,} ms | {waits.silence_ms:,} ms |"
        )
        assert told in text
