"""The embedded voice and texts that are made to be hard to say."""

from __future__ import annotations

import numpy as np
import pytest

from realtime.audio import VOICE_RATE_HZ
from realtime.engines import Line
from realtime.engines.embedded_voice import (
    LONGEST_WORD,
    MOST_PHONEMES,
    MOST_S,
    EmbeddedVoice,
    legible,
    parts_of,
)
from realtime.errors import VoiceError
from realtime.metrics import Metrics
from realtime.rest.problem import problem_of


@pytest.fixture(scope="module")
def loaded():
    made = EmbeddedVoice(metrics=Metrics())
    made.load()
    return made


class Slow:
    """In the model's place: each part is spoken for 20 s."""

    def __init__(self, parts: int) -> None:
        self.parts, self.made = parts, 0

    def phonemize(self, text: str) -> list[str]:
        return ["a"] * self.parts

    def ids(self, phonemes: str) -> list[int]:
        return [1]

    def from_ids(self, ids, speed, rng):
        self.made += 1
        return np.full(20 * VOICE_RATE_HZ, 0.1, np.float32)


async def test_what_takes_too_long_to_say_is_refused_before_it_is_all_made():
    voice = EmbeddedVoice(metrics=Metrics())
    voice._model = Slow(50)
    voice.start()
    with pytest.raises(VoiceError) as refused:
        async for _ in voice.speak(Line("777777777777 " * 20, speed=0.25), owner="a"):
            pass
    assert refused.value.code == "too_long"
    assert voice._model.made == MOST_S // 20 + 1
    problem = problem_of(refused.value)
    assert (problem.status, problem.code, problem.param) == (400, "too_long", "input")
    voice._model = Slow(4)
    assert [len(c) async for c in voice.speak(Line("Well."), owner="a")] == [80 * VOICE_RATE_HZ]
    assert voice.alive
    await voice.close()


def test_no_part_is_longer_than_the_model_takes_at_once():
    for phonemes in ("ab " * 1000, "a" * 1000, "a" * MOST_PHONEMES):
        parts = list(parts_of(phonemes.strip()))
        assert max(map(len, parts)) <= MOST_PHONEMES
        assert "".join(parts).replace(" ", "") == phonemes.replace(" ", "")
    assert list(parts_of("")) == []


@pytest.mark.parametrize(
    "text",
    [
        "7" * 37,
        "$" + "7" * 40,
        "12,345,678," * 6 + "901",
        "\u0663" * 40,
        "1," * 500,
        "1" * 40 + "%",
    ],
)
def test_numbers_that_have_no_name_are_said_digit_by_digit(loaded, text):
    assert "".join(loaded._phonemes(legible(text)))


def test_a_word_of_a_thousand_characters_is_read_in_parts(loaded):
    """As it is, it would take minutes."""
    words = legible("1a" * 200)
    assert max(map(len, words.split())) == LONGEST_WORD
    assert list(loaded._phonemes(words))


def test_what_people_write_stays_as_it_is():
    text = "Call 1,234,567 or 555-123-4567, in 2024; it costs $9.99, or 1000000000 yen."
    assert legible(text) == text
