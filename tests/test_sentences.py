"""Pieces of a reply: early, speakable, never inside a number or an abbreviation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sentences import (
    FIRST_PIECE_CHARS,
    PIECE_CHARS,
    SentenceCutter,
    _is_abbreviation,
)


def cut(text: str, step: int = 1) -> list[str]:
    cutter = SentenceCutter()
    pieces = []
    for start in range(0, len(text), step):
        pieces += cutter.push(text[start : start + step])
    return pieces + cutter.flush()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello. How are you?", ["Hello.", "How are you?"]),
        (
            "Well, as far as I know, it is. Yes, it is.",
            ["Well, as far as I know,", "it is.", "Yes, it is."],
        ),
        ("It costs 3.14 dollars. Fine.", ["It costs 3.14 dollars.", "Fine."]),
        ("There are 1,000 of them here. Yes.", ["There are 1,000 of them here.", "Yes."]),
        ("Dr. Smith met Mr. Jones. Then left.", ["Dr. Smith met Mr. Jones.", "Then left."]),
        ("J. K. Rowling wrote it. Yes.", ["J. K. Rowling wrote it.", "Yes."]),
        ("It is me and I. You know.", ["It is me and I.", "You know."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("What?! Really... yes", ["What?!", "Really...", "yes"]),
        ("First line\n- second line", ["First line", "- second line"]),
        ("1. Take it. 2. Go.", ["1. Take it.", "2. Go."]),
        (
            "你好！今天天气很好，我们去公园吧。好吗？",
            ["你好！", "今天天气很好，我们去公园吧。", "好吗？"],
        ),
        ("今天天气很好，我们去公园吧。好", ["今天天气很好，", "我们去公园吧。", "好"]),
        ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("यह अच्छा है। हाँ।", ["यह अच्छा है।", "हाँ।"]),
        ("", []),
        ("   ", []),
    ],
)
def test_pieces(text, pieces):
    assert cut(text) == pieces
    assert cut(text, step=7) == pieces


def test_only_the_first_piece_is_cut_at_a_clause():
    pieces = cut("One two three, four five six. Seven eight nine, ten eleven twelve.")
    assert pieces == ["One two three,", "four five six.", "Seven eight nine, ten eleven twelve."]


def test_the_first_piece_leaves_before_the_sentence_is_written():
    cutter = SentenceCutter()
    assert cutter.push("I would say so, ") == ["I would say so,"]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("This is a lovely tale about two cities. Yes.", "This is a lovely tale"),
        ("The moon is a large round rock which goes round.", "The moon is a large round rock"),
        # a clause that ends before is shorter
        ("I would say so, and I always have been sure.", "I would say so,"),
        # four words are too few, and "of" leans on what is before it
        ("He lived in France and in Spain with her.", "He lived in France and in Spain"),
        (
            "One of the best known of all tales of old.",
            "One of the best known of all tales of old.",
        ),
        ("What are you so interested in? Tell me.", "What are you so interested in?"),
    ],
)
def test_the_first_piece_may_end_before_a_phrase(text, first):
    cutter = SentenceCutter(first_phrase_words=5)
    pieces = [piece for char in text for piece in cutter.push(char)] + cutter.flush()
    assert pieces[0] == first
    assert " ".join(pieces) == text


def test_later_pieces_do_not_end_before_a_phrase():
    cutter = SentenceCutter(first_phrase_words=5)
    pieces = cutter.push("Yes, of course. It is a very old house with a garden. ")
    assert pieces == ["Yes, of course.", "It is a very old house with a garden."]


@pytest.mark.parametrize(
    ("text", "likely"),
    [
        ("All is well.", "All is well."),
        ("All is", ""),
        ("All is well. ", ""),
        ("As far as I know,", "As far as I know,"),
        ("It costs 3.", ""),
        ("Ask Dr.", ""),
        ("This is a lovely tale about", "This is a lovely tale"),
        ("This is a lovely tale abo", ""),
        ("", ""),
        ("...", ""),
        ("今天天气很好，", "今天天气很好，"),
    ],
)
def test_what_is_a_piece_if_a_word_begins_now(text, likely):
    cutter = SentenceCutter(first_phrase_words=5)
    sure = cutter.push(text)
    assert "".join(sure) in ("", "All is well.")
    assert cutter.likely() == likely
    assert cutter.take_rest() == text[len("".join(sure)) :]


@given(st.text(alphabet='ab .,!?1"', max_size=60))
def test_what_is_likely_is_what_a_space_makes_sure(text):
    cutter = SentenceCutter(first_phrase_words=5)
    if not cutter.push(text) and (likely := cutter.likely()):
        assert cutter.push(" ") == [likely]


def test_a_number_that_is_not_finished_waits():
    cutter = SentenceCutter()
    assert cutter.push("It is exactly 3.") == []
    assert cutter.push("14 metres. ") == ["It is exactly 3.14 metres."]


def test_text_without_any_end_is_cut_at_a_space():
    pieces = cut("word " * 200)
    assert len(pieces[0]) <= FIRST_PIECE_CHARS
    assert all(len(p) <= PIECE_CHARS for p in pieces)
    assert " ".join(pieces).split() == ["word"] * 200


@given(st.text(alphabet="ab .,!?\n1\"'", max_size=300), st.integers(1, 20))
def test_nothing_is_lost_and_the_steps_do_not_matter(text, step):
    pieces = cut(text, step)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece.strip() for piece in pieces)


def test_text_without_a_space_is_cut_all_the_same_and_nothing_is_lost():
    cutter, pieces = SentenceCutter(), []
    word = "".join(chr(0x61 + n % 26) for n in range(10_000))
    for start in range(0, len(word), 400):
        pieces += cutter.push(word[start : start + 400])
        assert len(cutter._text) <= 1_400
    assert "".join(pieces + cutter.flush()) == word


def cut_for(shortest_chars: int, text: str, step: int = 1) -> list[str]:
    cutter = SentenceCutter(shortest_chars=shortest_chars)
    pieces = []
    for start in range(0, len(text), step):
        pieces += cutter.push(text[start : start + step])
    return pieces + cutter.flush()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Yes. It is quite warm. Bye.", ["Yes. It is quite warm.", "Bye."]),
        ("Yes, it is. Sure. Let me see that.", ["Yes, it is. Sure.", "Let me see that."]),
        ("Hi! As far as I know, it is.", ["Hi! As far as I know,", "it is."]),
        ("Sure!\n\nHere is what I found.", ["Sure!\n\nHere is what I found."]),
        ("Apples\nPears\nPlums", ["Apples", "Pears", "Plums"]),
        ("Well then, absolutely.", ["Well then, absolutely."]),
        ("Yes.", ["Yes."]),
        ("你好！我在这里。好吗？", ["你好！我在这里。", "好吗？"]),
    ],
)
def test_a_voice_that_says_short_pieces_wrongly_gets_them_with_what_follows(text, pieces):
    assert cut_for(12, text) == pieces
    assert cut_for(12, text, step=7) == pieces


def test_what_follows_a_short_beginning_is_not_waited_for_longer_than_to_its_first_clause():
    cutter = SentenceCutter(shortest_chars=12)
    assert cutter.push("Yes. ") == []
    assert cutter.push("As far as I know") == []
    assert cutter.push(", ") == ["Yes. As far as I know,"]
    assert cutter.push("it is so. ") == []
    cutter = SentenceCutter(shortest_chars=12)
    assert cutter.push("No. " + "word " * (FIRST_PIECE_CHARS // 5)) != []


@given(st.text(alphabet="ab .,!?\n1\"'", max_size=300), st.integers(1, 20), st.integers(0, 30))
def test_nothing_is_lost_where_short_pieces_wait(text, step, shortest_chars):
    pieces = cut_for(shortest_chars, text, step)
    assert "".join("".join(pieces).split()) == "".join(text.split())


class Watched(str):
    """Counts the characters that are looked at."""

    looked = 0

    def __getitem__(self, key) -> str:
        part = super().__getitem__(key)
        Watched.looked += len(part)
        return part


@pytest.mark.parametrize("stop", [". ", "Dr. ", "A. ", '" . '])
def test_a_text_of_stops_is_looked_at_once(stop):
    text = Watched(stop * 500)
    Watched.looked = 0
    for at in (n for n, char in enumerate(text) if char == "."):
        assert _is_abbreviation(text, at, ".")
    assert Watched.looked <= 4 * len(text)
    pieces = "".join(cut_for(0, stop * 500, 9_999))
    assert pieces.replace(" ", "") == stop.replace(" ", "") * 500
