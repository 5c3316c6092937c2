"""What is shown while somebody speaks: only words that hold, and nothing is taken back."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.agreement import Agreement, key, units

words = st.lists(
    st.sampled_from(["the", "The", "cat", "sat,", "sat.", "on", "a", "mat?", "—", "don't", "猫が"]),
    max_size=8,
).map(" ".join)


def hear(*hypotheses: str, holds: int = 0) -> tuple[Agreement, list[str]]:
    agreement = Agreement(holds)
    return agreement, [agreement.hear(text) for text in hypotheses]


def test_a_word_is_shown_once_two_hypotheses_in_a_row_have_it():
    _, told = hear("ask", "ask not", "ask not what", "ask not")
    assert told == ["", "ask", " not", ""]


def test_a_word_that_changes_is_not_shown_until_it_stays():
    _, told = hear("I scream", "ice cream", "ice cream is", "ice cream is good")
    assert told == ["", "", "ice cream", " is"]


def test_case_is_that_of_the_newest_and_is_no_disagreement():
    _, told = hear("so My friends", "So my Friends")
    assert told == ["", "So my Friends"]


def test_marks_wait_for_the_word_behind_them():
    agreement, told = hear("Well.", "Well, yes.", "Well, yes. No", "Well, yes - no")
    assert told == ["", "Well", ", yes", " - no"]
    assert agreement.finish("Well, yes - no.") == "."


def test_the_last_words_are_not_believed_where_they_are_held():
    _, told = hear("some one", "some one came", "some one came in", holds=1)
    assert told == ["", "some one", " came"]


def test_a_shown_word_that_the_recogniser_thinks_better_of_stays():
    agreement, told = hear("ate my cake", "ate my cake", "ate a cake in", "ate a cake in the")
    assert told == ["", "ate my cake", "", " in"]
    assert agreement.finish("Ate a cake in the hall.") == " the hall."
    assert agreement.shown == "ate my cake in the hall."


def test_a_word_that_was_added_or_left_out_moves_the_place():
    agreement, _ = hear("well I think so", "well I think so")
    assert agreement.finish("I think so too.") == " too."
    agreement, _ = hear("I think so", "I think so")
    assert agreement.finish("Well, I think so too.") == " too."


def test_without_any_words_shown_the_final_is_told_whole():
    assert Agreement().finish("Nothing was shown.") == "Nothing was shown."


def test_a_final_without_words_adds_none():
    agreement, _ = hear("hm", "hm")
    assert agreement.finish("") == ""


def test_scripts_without_spaces_are_shown_sign_by_sign():
    _, told = hear("今日は", "今日はいい", "今日はいい天気")
    assert told == ["", "今日は", "いい"]


@given(words)
def test_units_joined_are_the_text(text):
    assert "".join(units(text)) == text.strip()
    assert all(key(unit) for unit in units(text)[1:])


@given(st.lists(words, max_size=6), words, st.integers(0, 2))
def test_the_deltas_are_what_is_shown_and_it_only_grows(hypotheses, final, holds):
    agreement = Agreement(holds)
    told = []
    for text in hypotheses:
        told.append(agreement.hear(text))
        assert agreement.shown == "".join(told)
    told.append(agreement.finish(final))
    assert agreement.shown == "".join(told)


@given(words, st.integers(0, 2))
def test_a_sentence_that_only_grows_is_told_to_the_letter(text, holds):
    agreement = Agreement(holds)
    grown = list(accumulate(units(text)))
    for hypothesis in grown:
        agreement.hear(hypothesis)
        assert text.strip().startswith(agreement.shown)
    agreement.finish(text)
    assert agreement.shown == text.strip()


@pytest.mark.parametrize(("unit", "found"), [(" Don't,", "dont"), ('"Yes', "yes"), (" —", "")])
def test_case_and_marks_are_no_part_of_a_key(unit, found):
    assert key(unit) == found
