"""What of a text Chatterbox is given at once, how much sound it may make, and where it is over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.audio import Float32
from realtime.engines.chatterbox.pieces import (
    LONGEST_CHARS,
    MOST_TOKENS,
    SHORTEST_CHARS,
    fewest_tokens,
    said_chars,
    split,
    token_limit,
)
from realtime.engines.chatterbox.tail import (
    LONG_PAUSE_TOKENS,
    PAUSE_TOKENS,
    is_over,
    speech_end,
    speech_level,
)
from tests.client import ear_audio, transcripts

SILENCE_TOKEN = 4_299
"""The package's own `S3GEN_SIL`."""

RATE_HZ = 16_000
FRAME = RATE_HZ // 50
SPEECH = list(range(100, 130))
"""Tokens of some speech: none comes twice running."""


def test_text_that_is_short_enough_stays_whole():
    assert split(" One sentence. And another! ") == ["One sentence. And another!"]
    assert split("x" * LONGEST_CHARS) == ["x" * LONGEST_CHARS]
    assert split("  ") == []


def test_long_text_is_cut_at_its_last_sentence_then_clause_then_space():
    sentence = "The quick brown fox jumps over the lazy dog, and so on. "
    assert all(piece.endswith("so on.") for piece in split(sentence * 20))
    clause = "the quick brown fox jumps over the lazy dog, "
    assert all(piece.endswith("dog,") for piece in split(clause * 20))
    assert {word for piece in split("word " * 200) for word in piece.split()} == {"word"}


def test_no_number_is_cut():
    text = "1,234,567.89 " * 60
    assert {word for piece in split(text) for word in piece.split()} == {"1,234,567.89"}
    spaced = "a" * (LONGEST_CHARS - 6) + " 1 234 567 " + "b" * 100
    assert any("1 234 567" in piece for piece in split(spaced))


def test_chinese_is_cut_by_its_own_marks_and_much_earlier():
    pieces = split("今天天气很好，我们去公园吧。" * 20)
    assert all(piece.endswith("。") for piece in pieces)
    assert all(len(piece) <= LONGEST_CHARS / 3 for piece in pieces)


def test_what_is_left_over_is_not_too_short_to_be_said():
    for extra in range(1, 40):
        text = "word " * (LONGEST_CHARS // 5) + "x" * extra
        assert min(len(piece) for piece in split(text)) >= SHORTEST_CHARS


@given(st.text(alphabet="ab 1.,!?。，今\n'", max_size=1_500))
def test_every_piece_is_short_enough_and_nothing_is_lost(text):
    pieces = split(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece and said_chars(piece) <= LONGEST_CHARS for piece in pieces)


@pytest.mark.parametrize("name", sorted(transcripts()))
def test_recorded_speech_is_within_the_bounds_of_its_text(name):
    """Real speakers say a text in fewer tokens than allowed, and in more than the fewest."""
    text, audio = transcripts()[name], ear_audio(name)
    tokens = len(audio) / RATE_HZ * 25
    assert fewest_tokens(text) < tokens < token_limit(text)


def test_a_word_has_two_seconds_and_no_text_has_more_than_the_package_allows():
    assert 25 <= token_limit("Yes.") <= 50
    assert token_limit("你好") > token_limit("ab")
    assert token_limit("word " * 1_000) == MOST_TOKENS


def test_the_decoder_stops_in_the_silence_after_the_words():
    silence = [SILENCE_TOKEN] * PAUSE_TOKENS
    assert is_over(SPEECH + silence, fewest=20)
    assert is_over(SPEECH + [7] * PAUSE_TOKENS, fewest=20)
    assert not is_over(SPEECH + silence[1:], fewest=20)
    assert not is_over([*SPEECH, *silence, 5], fewest=20)
    assert not is_over([], fewest=0)


def test_a_pause_before_the_words_can_be_over_is_only_a_pause():
    assert not is_over(SPEECH + [SILENCE_TOKEN] * (LONG_PAUSE_TOKENS - 1), fewest=50)
    assert is_over(SPEECH + [SILENCE_TOKEN] * LONG_PAUSE_TOKENS, fewest=50)


def noise(seconds: float, level: float) -> Float32:
    made = np.random.default_rng(1).standard_normal(int(seconds * RATE_HZ)) * level
    return made.astype(np.float32)


@pytest.mark.parametrize("name", ["jfk", "ls_6930_0000", "ls_1221_0002"])
def test_hiss_and_a_click_after_recorded_words_are_cut_and_no_word_is(name):
    speech = ear_audio(name).astype(np.float32) / 32_768
    level = speech_level(speech, RATE_HZ)
    end = speech_end(speech, RATE_HZ, level)
    assert len(speech) - end < RATE_HZ  # there are words up to there
    speech = speech[:end]
    hiss = noise(2.0, level / 60)
    found = speech_end(np.concatenate((speech, hiss)), RATE_HZ, level)
    assert end <= found <= end + FRAME
    hiss[RATE_HZ : RATE_HZ + 600] += level
    found = speech_end(np.concatenate((speech, hiss)), RATE_HZ, level)
    assert end <= found <= end + FRAME
    again = np.concatenate((speech, hiss, speech))
    assert len(again) - FRAME <= speech_end(again, RATE_HZ, level) <= len(again)


def test_a_sound_without_a_word_ends_at_its_beginning():
    assert speech_end(noise(1.0, 0.001), RATE_HZ, 0.1) == 0
    assert speech_end(np.zeros(0, np.float32), RATE_HZ, 0.1) == 0
    assert speech_level(np.zeros(0, np.float32), RATE_HZ) == 0.0
