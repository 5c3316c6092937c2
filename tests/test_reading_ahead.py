"""Which words are read while a caller still speaks, and when."""

from __future__ import annotations

import asyncio

import pytest

from realtime.metrics import Metrics
from realtime.prompt import Message
from realtime.reading_ahead import ReadingAhead, common
from tests.fakes import FakeReader


class Turn:
    """A turn of which hypotheses come."""

    def __init__(self) -> None:
        self.reader = FakeReader()
        self.metrics = Metrics()
        self.allowed = True
        self.tasks: list[asyncio.Task[None]] = []
        self.reading = ReadingAhead(
            self.reader, owner="a", own=self._own, prompt=self._prompt, metrics=self.metrics
        )
        self.reading.begin()

    async def hear(self, *texts: str, speaking: bool = True) -> list[str]:
        """What was read by the end of these hypotheses."""
        for text in texts:
            self.reading.hear(text, speaking=speaking)
            await asyncio.sleep(0)
        return self.reader.ahead

    def _own(self, work) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def _prompt(self, words: str) -> list[Message] | None:
        return [Message("user", words)] if self.allowed else None


@pytest.fixture
async def turn():
    made = Turn()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_of_the_first_hypothesis_the_last_words_are_not_believed(turn):
    assert await turn.hear("We also need a") == ["We also"]
    assert turn.metrics.counts["speculation.read_ahead"] == 1


async def test_what_two_say_is_read_once_more_than_a_word_is_new(turn):
    await turn.hear("We also need a small", "We also need a small plastic snake")
    assert turn.reader.ahead == ["We also need", "We also need a small"]
    await turn.hear("We also need a small plastic snake, and")
    assert turn.reader.ahead[2:] == []  # "plastic" alone is not worth it, and "snake" got a comma
    await turn.hear("We also need a small plastic snake, and a")
    assert turn.reader.ahead[2:] == ["We also need a small plastic snake, and"]


async def test_words_that_change_are_not_read_again_until_they_hold(turn):
    await turn.hear(
        "We also need a", "Wee also knead", "Wee also knead a big", "Wee also knead a big"
    )
    assert turn.reader.ahead == ["We also", "Wee also knead a big"]


async def test_in_a_pause_nothing_is_read(turn):
    assert await turn.hear("We also need a", speaking=False) == []
    assert await turn.hear("We also need a frog") == ["We also need a"]


async def test_one_question_at_a_time(turn):
    turn.reader.gate = asyncio.Event()
    await turn.hear("We also need a", "We also need a small", "We also need a small frog")
    assert turn.reader.ahead == ["We also"]
    turn.reader.gate.set()
    await asyncio.gather(*turn.tasks)
    assert await turn.hear("We also need a small frog") == ["We also", "We also need a small frog"]


async def test_what_may_not_be_read_now_is_read_later(turn):
    turn.allowed = False
    assert await turn.hear("We also need a small") == []
    turn.allowed = True
    assert await turn.hear("We also need a small frog") == ["We also need a small"]


async def test_each_turn_begins_anew(turn):
    await turn.hear("We also need a")
    turn.reading.begin()
    assert (await turn.hear("We also need a"))[1:] == ["We also"]


async def test_at_the_end_of_the_session_what_is_read_is_given_up(turn):
    turn.reading.close()
    turn.reader.gate = asyncio.Event()
    await turn.hear("We also need a")
    turn.reading.close()
    await asyncio.wait(turn.tasks)
    assert turn.tasks[0].cancelled()


async def test_a_reader_that_fails_costs_nothing(turn, monkeypatch):
    async def fails(prompt, *, owner) -> None:
        raise RuntimeError("the session is closed")

    monkeypatch.setattr(turn.reader, "read", fails)
    await turn.hear("We also need a")
    await asyncio.gather(*turn.tasks)
    monkeypatch.undo()
    assert await turn.hear("We also need a small frog") == ["We also need a"]


def test_what_is_common_is_counted_from_the_beginning():
    assert [common([], "a"), common("ab", "abc"), common("abc", "adc"), common("a", "b")] == [
        0,
        2,
        1,
        0,
    ]
