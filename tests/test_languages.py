"""What clients call a language."""

from __future__ import annotations

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from realtime.languages import NAMES, language_code, language_name


def test_every_language_of_whisper_has_a_name():
    assert set(NAMES) == set(_LANGUAGE_CODES)
    assert len(set(NAMES.values())) == len(NAMES)


@pytest.mark.parametrize("code", sorted(NAMES))
def test_a_name_leads_back_to_its_code(code):
    assert language_code(language_name(code)) == code
    assert language_code(code.upper()) == code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        *[("en-US", "en"), ("pt_BR", "pt"), (" German ", "de"), ("Haitian Creole", "ht")],
        *[("zh-Hans-CN", "zh"), ("jv", "jw"), ("klingon", None), ("", None)],
    ],
)
def test_codes_regions_and_names_are_understood(given, code):
    assert language_code(given) == code


def test_an_unknown_code_is_its_own_name():
    assert language_name("xx") == "xx"
