"""What of a recogniser's words is believed."""

from __future__ import annotations

import pytest

from realtime.hypothesis import Hypothesis, max_tokens, repeats


def heard(text: str, *, tokens: int = 5, log=-0.3, no_speech=0.1, seconds=3.0) -> Hypothesis:
    return Hypothesis(text, tokens, log, no_speech, seconds)


def test_silence_needs_both_signs():
    assert heard("you", no_speech=0.95, log=-1.5).silent
    assert not heard("you", no_speech=0.95, log=-0.3).silent
    assert not heard("you", no_speech=0.1, log=-1.5).silent


def test_on_short_audio_either_sign_may_do():
    assert heard("No.", no_speech=0.75, log=-0.3, seconds=1.2).silent
    assert heard("No.", no_speech=0.45, log=-1.05, seconds=1.2).silent
    assert not heard("No.", no_speech=0.45, log=-0.5, seconds=1.2).silent
    assert not heard("No.", no_speech=0.3, log=-1.05, seconds=1.2).silent
    assert not heard("The still smell of beer", no_speech=0.455, log=-1.045, seconds=2.7).silent


def test_what_whisper_says_to_silence_is_believed_only_in_plain_speech():
    assert heard("Thank you.", no_speech=0.5).phantom
    assert heard("Thank you.", log=-1.2).phantom
    assert heard("you", seconds=0.3).phantom
    assert not heard("Thank you.", no_speech=0.05).phantom
    assert not heard("Thank you for the fish.", no_speech=0.5).phantom


def test_signs_without_a_word_are_nothing():
    assert heard("...").phantom


def test_the_prompt_is_not_taken_for_speech_where_there_may_be_none():
    told = "A talk with Dr. Konkord about the Wizard."
    assert heard("A talk with Dr. Konkord", no_speech=0.6).recites(told)
    assert not heard("A talk with Dr. Konkord", no_speech=0.05).recites(told)
    assert not heard("A talk with Dr. Watson", no_speech=0.6).recites(told)


def test_a_sentence_that_was_said_once_and_written_twice_is_seen():
    twice = "We need a snake and a frog. We need a snake and a frog."
    assert heard(twice, seconds=3.0).loops
    assert not heard(twice, seconds=6.0).loops  # somebody says it again
    assert not heard("We need a snake and a frog. We need a snake and a toy.", seconds=3.0).loops
    assert not heard("No, no. No, no.", seconds=0.7).loops


def test_loops_are_seen():
    assert heard("so it is " * 30).loops
    assert heard("fine", tokens=max_tokens(3.0)).loops
    assert heard("we will go to the sea and we will go to the sun and we will go to the moon").loops
    assert not heard("we will go meet her Wednesday at the train station").loops
    assert not repeats("ha ha ha")


@pytest.mark.parametrize(
    ("hypothesis", "doubtful"),
    [
        (heard("fine"), False),
        (heard("fine", log=-1.1), True),
        (heard("so it is " * 30), True),
        (heard("so it is " * 30, log=-1.1, no_speech=0.9), False),
    ],
    ids=["good", "improbable", "loops", "silence is not tried again"],
)
def test_what_is_worth_another_attempt(hypothesis, doubtful):
    assert hypothesis.doubtful is doubtful
