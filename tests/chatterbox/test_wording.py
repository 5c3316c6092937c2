"""What is written and what is said, by the table beside this file; and whatever models write."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.engines.chatterbox.variant import LANGUAGES
from realtime.symbol_words import SIGNS
from realtime.wording import WHOLE, worded

TABLE = Path(__file__).with_name("wording.tsv")
HOSTILE = (
    "a.",
    "1 ",
    "1-",
    "0",
    "@",
    "1,",
    "1/1/",
    "(1) ",
    "a@",
    "12:3",
    "$",
    "1 1-",
    "°",
    "٣",
    "½",
)


def rows() -> list[list[str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def never(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("language", "written", "said"), rows())
def test_it_is_said_as_people_say_it(language, written, said):
    assert worded(written, language, failed=never) == said


def test_every_language_of_the_multilingual_model_has_its_numbers():
    assert set(LANGUAGES) == {*SIGNS, *WHOLE}
    for language in LANGUAGES:
        said = worded("21", language, failed=never)
        assert said
        assert not any(c.isdigit() for c in said)
    assert worded("21", None) == "twenty-one"


@given(st.text(max_size=200), st.sampled_from(LANGUAGES))
def test_odd_text_is_no_error(text, language):
    assert isinstance(worded(text, language, failed=never), str)


@given(st.text(alphabet="0123456789.,:/-+() %$€°ºa@&", max_size=60), st.sampled_from(LANGUAGES))
def test_odd_numbers_are_no_error(text, language):
    assert isinstance(worded(text, language, failed=never), str)


@pytest.mark.parametrize("part", HOSTILE)
def test_what_repeats_without_end_is_read_to_its_end(part):
    """A pattern that tries every way to divide it would not come back."""
    for language in ("en", "de", "fr", "zh"):
        assert worded(part * (1_000 // len(part)), language, failed=never)


def test_where_the_library_fails_the_text_is_said_as_it_is(monkeypatch):
    errors: list[Exception] = []
    monkeypatch.setitem(sys.modules, "normt2s", None)
    assert worded("I have 3.", "en", failed=errors.append) == "I have 3."
    assert worded("I have 3.", "en") == "I have 3."
    [error] = errors
    assert isinstance(error, ImportError)
