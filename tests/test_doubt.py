"""Whether speech over a reply is a caller's: what is heard of it, and how long nothing is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from realtime.doubt import Doubt
from realtime.turns import SpeechStarted, SpeechStopped

SAID = "The river runs through three valleys and two old towns."
SPEECH = SpeechStarted(1_000)
END = SpeechStopped(30_000, 20_000)


@dataclass
class Doubted:
    """Speech that began while `said` was played."""

    said: str = SAID
    believed: list[SpeechStarted] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    asked: list[tuple[int, int | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.doubt = Doubt(own=self.own, said=self.played, believed=self.believed.append)
        self.doubt.begin(SPEECH)

    def own(self, work):
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    def played(self, start: int, end: int | None = None) -> str:
        self.asked.append((start, end))
        return self.said


@pytest.fixture
async def speech():
    made = Doubted()
    yield made
    made.doubt.drop()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_two_hypotheses_in_a_row_that_are_not_the_replys_are_believed(speech):
    for heard in ("What time", "through three", "What time is it?"):
        speech.doubt.hear(heard)
    assert speech.doubt.on
    speech.doubt.hear("What time is it now?")
    assert speech.believed == [SPEECH]
    assert not speech.doubt.on


async def test_a_second_without_words_is_believed_and_the_replys_words_begin_it_anew(
    speech, monkeypatch
):
    monkeypatch.setattr("realtime.doubt.DOUBT_S", 0.2)
    speech.doubt.begin(SPEECH)
    for _ in range(4):
        await asyncio.sleep(0.1)
        speech.doubt.hear("through three valleys")
    assert speech.doubt.on
    await asyncio.sleep(0.3)
    assert speech.believed == [SPEECH]


async def test_an_echo_was_heard_to_its_end(speech):
    speech.doubt.hear_all(END.last_speech, "through three valleys")
    assert speech.doubt.was_echo(END)
    assert speech.asked[-1] == (SPEECH.start, END.last_speech)


@pytest.mark.parametrize(
    ("last_speech", "heard", "end"),
    [
        (END.last_speech, "What time is it?", END),
        (END.last_speech, "", END),
        (10_000, "through three valleys", END),
        (END.last_speech, "through three valleys", SpeechStopped(30_000, 20_000, split=True)),
    ],
    ids=["other words", "no words", "more was said since", "it goes on"],
)
async def test_what_is_not_known_to_be_an_echo_is_none(speech, last_speech, heard, end):
    speech.doubt.hear_all(last_speech, heard)
    assert not speech.doubt.was_echo(end)


async def test_a_few_words_to_a_question_are_an_answer(speech):
    speech.said = "Shall it be Monday or Tuesday?"
    speech.doubt.hear_all(END.last_speech, "Tuesday")
    assert not speech.doubt.was_echo(END)


async def test_what_was_heard_of_other_speech_is_forgotten(speech):
    speech.doubt.hear("What time")
    speech.doubt.hear_all(END.last_speech, "through three valleys")
    speech.doubt.withheld = "through"
    speech.doubt.begin(SPEECH)
    assert not speech.doubt.withheld
    assert not speech.doubt.was_echo(END)
    speech.doubt.hear("What time is")
    assert speech.doubt.on


async def test_what_is_dropped_is_never_told(speech, monkeypatch):
    monkeypatch.setattr("realtime.doubt.DOUBT_S", 0.01)
    speech.doubt.begin(SPEECH)
    speech.doubt.drop()
    for _ in range(3):
        speech.doubt.hear("What time is it?")
    speech.doubt.believe()
    await asyncio.sleep(0.05)
    assert speech.believed == []
