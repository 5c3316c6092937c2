"""What a voice can say of written text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.speakable import speakable


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold** and *soft* and `code`.", "Bold and soft and code."),
        ("# Title", "Title"),
        ("- a point", "a point"),
        ("3. third", "third"),
        ("> quoted", "quoted"),
        ("See [the page](https://example.org/x) now.", "See the page now."),
        ("Go to https://example.org/a?b=c today", "Go to today"),
        ("Great! 🎉🚀", "Great!"),
        ("Yes 👍🏽 👩‍💻 1️⃣ 🇫🇷 ❤️.", "Yes 1."),
        ("It is 25° outside.", "It is 25° outside."),
        ("snake_case_name", "snake case name"),
        ("```python\nprint(1)\n```", ""),
        ("<b>Hi</b> there", "Hi there"),
        ("It costs $5.50, or 3 %.", "It costs $5.50, or 3 %."),
        ("*", ""),
        ("👍", ""),
        ("...", ""),
        ("Don't (really).", "Don't (really)."),
        ("a\n\nb", "a b"),
    ],
)
def test_said(written, said):
    assert speakable(written) == said


@given(st.text(max_size=200))
def test_saying_it_twice_changes_nothing_and_marks_are_gone(text):
    said = speakable(text)
    assert speakable(said) == said
    assert not set(said) & set("*`#|<>{}\n")
