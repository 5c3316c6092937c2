"""The first piece of a draft's reply: guessed a word sooner, and never heard where it was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
import pytest

from realtime.batching import FINAL, SPECULATION
from realtime.engines import Delta, Line
from realtime.first_piece import GUESSES, FirstPiece
from realtime.reply import Speech
from realtime.script import Script
from realtime.stretch import Stretch
from tests.fakes import FakeVoice
from tests.street import until

MANNER = Line("", voice="default")


@dataclass
class Table:
    """A reply that is written word by word, and what is made of it."""

    voice: FakeVoice = field(default_factory=FakeVoice)
    words: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sounded: int = 0
    wrong: int = 0
    rank: int = SPECULATION
    stretch: Stretch = field(default_factory=Stretch)

    def __post_init__(self) -> None:
        self.script = Script(self._written(), ahead=99, own=self.own)
        self.piece = FirstPiece(
            self.script,
            MANNER,
            voice=self.voice,
            owner="me",
            own=self.own,
            rank=lambda: self.rank,
            stretch=self.stretch,
            sounds=self._sounds,
            misguessed=self._misguessed,
        )

    def own(self, work):
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def _sounds(self, now_s: float) -> None:
        self.sounded += 1

    def _misguessed(self) -> None:
        self.wrong += 1

    async def _written(self) -> AsyncGenerator[Delta, None]:
        while (word := await self.words.get()) is not None:
            yield Delta(word)

    async def write(self, *words: str) -> None:
        for word in words:
            self.words.put_nowait(word)
            for _ in range(10):
                await asyncio.sleep(0)

    async def take(self, text: str) -> int | None:
        """The samples of a line's sound, or None."""
        sound = self.piece.take(Line(text, voice="default"))
        return None if sound is None else sum([len(chunk) async for chunk in sound.read()])

    @property
    def at_rest(self) -> bool:
        return all(task.done() for task in self.tasks)


@pytest.fixture
async def table():
    return Table()


async def test_it_is_spoken_before_the_word_that_proves_it(table):
    await table.write("All", " is", " well", ".")
    assert table.voice.pieces == ["All is well."]
    await table.write(" Yes")
    assert table.voice.pieces == ["All is well."]
    assert await table.take("All is well.") == 12_000
    assert (table.wrong, table.sounded) == (0, 1)


async def test_what_goes_on_otherwise_is_thrown_away(table):
    await table.write("You", " go", " to", " amazon", ".", "com", " and", " pay", ".")
    assert table.voice.pieces == ["You go to amazon.", "You go to amazon.com and pay."]
    await table.write(" Now")
    assert await table.take("You go to amazon.com and pay.") == 12_000
    assert table.wrong == 1
    assert table.piece.wasted_s > 0
    assert table.voice.hushed == ["me"]


async def test_a_guess_that_was_wrong_is_ended_at_once(table):
    table.voice.gate = asyncio.Event()
    await table.write("You", " go", " to", " amazon", ".")
    assert (len(table.voice.lines), table.voice.hushed) == (1, [])
    await table.write("com")
    assert (table.wrong, table.voice.hushed, table.piece.begun) == (1, ["me"], False)
    await table.write(" and", " pay", ".", " Now")
    assert table.voice.pieces[1:] == ["You go to amazon.com and pay."]


async def test_marks_that_are_not_said_leave_a_guess_as_it_is(table):
    await table.write("**", "All", " is", " well", ".", "**", " Yes")
    assert table.voice.pieces == ["All is well."]
    assert table.wrong == 0


async def test_sound_that_was_begun_after_the_turns_end_is_no_news(table):
    table.rank = FINAL
    await table.write("All", " is", " well", ".", " Yes")
    assert table.piece.begun
    assert table.sounded == 0


async def test_when_a_guess_was_wrong_the_wait_counts_from_the_right_one(table):
    await table.write("You", " go", " to", " amazon", ".")
    assert table.stretch.first_s is not None
    await table.write("com")
    assert (table.stretch.begun_s, table.stretch.first_s) == (None, None)


async def test_where_the_next_word_is_there_nothing_is_guessed(table):
    for word in ("You", " go", " to", " amazon", ".", "com", " and", " pay", ".", " Now"):
        table.words.put_nowait(word)
    await table.write(" you")
    assert (table.voice.pieces, table.wrong) == (["You go to amazon.com and pay."], 0)


async def test_who_stops_reading_its_sound_ends_it(table):
    ended = asyncio.Event()

    async def speak(line, *, owner):
        try:
            yield np.ones(100, np.int16)
            await asyncio.Event().wait()
        finally:
            ended.set()

    table.voice.speak = speak
    await table.write("All", " is", " well", ".", " Yes")
    speech = Speech(MANNER, None, table.piece.take)
    async with aclosing(speech.speak("All is well.", None, "me")) as chunks:
        assert len(await anext(chunks)) == 100
    await until(ended.is_set)


async def test_a_number_may_go_on(table):
    await table.write("It", " costs", " just", " 3", ".")
    assert table.voice.pieces == []
    await table.write("5", "0", ",")
    assert table.voice.pieces == []
    await table.write(" I", " say", ".")
    assert table.voice.pieces == ["It costs just 3.50,"]


async def test_after_too_many_guesses_it_waits_for_what_is_sure(table):
    await table.write("One", *(f".{letter}" for letter in "abcdef"), ".")
    await table.write(*("." for _ in range(3)), " Two")
    assert len(table.voice.pieces) == GUESSES + 1
    assert table.voice.pieces[-1] == "One.a.b.c.d.e.f...."


async def test_a_phrase_that_begins_ends_it():
    table = Table(FakeVoice(phrase_words=5))
    await table.write("This", " is", " a", " lovely", " tale", " about")
    assert table.voice.pieces == ["This is a lovely tale"]


async def test_another_line_is_the_responses_to_speak(table):
    await table.write("All", " is", " well", ".")
    assert await table.take("All is") is None
    assert await table.take("All is well.") is None
    await table.write(" Yes", ".")
    assert table.voice.pieces == ["All is well."]


async def test_what_a_response_speaks_is_not_begun_any_more(table):
    await table.write("All", " is")
    assert await table.take("All is") is None
    await table.write(" well", ".", " Yes")
    assert table.voice.pieces == []


async def test_a_reply_without_an_end_is_spoken_as_it_stops(table):
    await table.write("Yes", None)
    assert table.voice.pieces == ["Yes"]
    assert await table.take("Yes") == 12_000


async def test_a_voice_that_failed_is_left_to_the_response(table):
    table.voice.error = RuntimeError("hoarse")
    await table.write("All", " is", " well", ".")
    assert await table.take("All is well.") is None
    assert table.sounded == 0


async def test_closing_ends_all_of_it(table):
    table.voice.gate = asyncio.Event()
    await table.write("All", " is", " well", ".")
    assert not table.piece.begun
    table.piece.close()
    table.script.close()
    await until(lambda: table.at_rest)
    assert table.sounded == 0


async def test_what_was_taken_is_closed_too(table):
    table.voice.gate = asyncio.Event()
    await table.write("All", " is", " well", ".", " Yes")
    taken = asyncio.create_task(table.take("All is well."))
    await asyncio.sleep(0)
    table.piece.close()
    assert await taken == 0
