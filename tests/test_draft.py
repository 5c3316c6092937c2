"""A reply that is begun in a pause: what it does by itself, how it is used, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from realtime.batching import FINAL, SPECULATION
from realtime.draft import DELTAS_AHEAD, Draft, Plan, Question
from realtime.engines import Engines, Line, Utterance
from realtime.errors import ReplyError, TranscriptionError
from realtime.metrics import Metrics
from realtime.prompt import Message
from realtime.script import Script
from tests.fakes import FakeReader, FakeReplier, FakeTranscriber, FakeVoice
from tests.street import until

ASKED = Question((Message("user", "hello there"),), 99, None)
OTHER = Question((Message("user", "goodbye"),), 99, None)
MANNER = Line("", voice="default")


@dataclass
class Desk:
    """Drafts on fake engines, which can be changed before."""

    transcriber: FakeTranscriber = field(default_factory=FakeTranscriber)
    replier: FakeReplier = field(default_factory=FakeReplier)
    voice: FakeVoice = field(default_factory=FakeVoice)
    reader: FakeReader | None = None
    metrics: Metrics = field(default_factory=Metrics)
    plan: Plan | None = field(default_factory=lambda: Plan(ASKED, MANNER))
    told: list[str] = field(default_factory=list)
    judged: list[float | None] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def own(self, work):
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    def draft(self, *, replies: bool = True) -> Draft:
        return Draft(
            Engines(None, self.transcriber, self.replier, self.voice, reader=self.reader),  # type: ignore[arg-type]
            Utterance(np.zeros(16_000, np.int16), "en", "spelling"),
            last_speech=16_000,
            owner="me",
            own=self.own,
            metrics=self.metrics,
            plan=lambda heard: self.plan,
            told=self.told.append,
            judged=self.judged.append,
            replies=replies,
        )

    @property
    def at_rest(self) -> bool:
        return all(task.done() for task in self.tasks)


@pytest.fixture
def desk():
    return Desk()


async def test_it_goes_as_far_as_the_first_piece_of_sound(desk):
    draft = desk.draft()
    await until(lambda: draft.reached == "sound" and desk.at_rest)
    assert desk.transcriber.asked[0].rank == SPECULATION
    assert desk.transcriber.asked[0].prompt == "spelling"
    assert desk.told == ["hello there"]
    assert desk.voice.pieces == ["All is well,"]
    assert desk.voice.lines[0].rank == SPECULATION


async def test_a_response_reads_it_from_the_beginning(desk):
    draft = desk.draft()
    await until(lambda: draft.reached == "sound")
    draft.finish()
    assert (await draft.words()).text == "hello there"
    text = draft.text(ASKED, MANNER)
    assert "".join([delta.text async for delta in text]) == "".join(desk.replier.words)
    sound = draft.sound(Line("All is well,", voice="default"))
    assert [len(chunk) async for chunk in sound.read()] == [12_000]
    assert len(desk.replier.prompts) == len(desk.voice.lines) == 1


async def test_the_answer_to_another_question_is_of_no_use(desk):
    draft = desk.draft()
    await until(lambda: draft.reached == "sound")
    draft.finish()
    assert draft.text(OTHER, MANNER) is None


async def test_sound_in_another_manner_is_of_no_use_and_counts_as_wasted(desk):
    draft = desk.draft()
    await until(lambda: draft.reached == "sound")
    draft.finish()
    assert draft.text(ASKED, replace(MANNER, speed=1.5)) is not None
    assert desk.voice.hushed == ["me"]
    assert draft.reached == "text"
    assert draft.sound(Line("All is well,", voice="default", speed=1.5)) is None
    assert draft._first.wasted_s > 0
    draft.drop()
    assert "speculation.wasted_ms.text" not in desk.metrics.counts


async def test_without_words_nothing_is_asked(desk):
    desk.transcriber.texts = [""]
    draft = desk.draft()
    await until(lambda: desk.at_rest)
    assert (draft.reached, desk.replier.prompts, desk.told) == ("transcript", [], [])


async def test_where_no_reply_is_planned_there_is_only_a_transcript(desk):
    desk.plan = None
    draft = desk.draft()
    await until(lambda: desk.at_rest)
    assert (draft.reached, desk.replier.prompts) == ("transcript", [])


async def test_its_words_are_read_before_the_reply_is_asked_for(desk):
    desk.reader = FakeReader(0.7, gate=asyncio.Event())
    desk.draft()
    await until(lambda: desk.reader.prompts)
    assert (desk.judged, desk.replier.prompts) == ([], [])
    desk.reader.gate.set()
    await until(lambda: desk.at_rest)
    assert (desk.judged, desk.reader.prompts) == ([0.7], [ASKED.prompt])
    assert len(desk.replier.prompts) == 1


async def test_words_may_be_read_without_a_reply_that_is_begun(desk):
    desk.reader = FakeReader(0.2)
    draft = desk.draft(replies=False)
    await until(lambda: desk.at_rest)
    assert (desk.judged, draft.reached, desk.replier.prompts) == ([0.2], "transcript", [])


async def test_a_waiter_that_is_gone_takes_the_recognisers_job_back(desk):
    desk.transcriber.gate = asyncio.Event()
    draft = desk.draft()
    await until(lambda: desk.transcriber.asked)
    draft.finish()
    waiting = asyncio.create_task(draft.words())
    await asyncio.sleep(0)
    waiting.cancel()
    await until(lambda: desk.at_rest)
    assert draft.reached == "nothing"


async def test_a_reader_that_fails_costs_the_verdict_alone(desk):
    desk.reader = FakeReader(ReplyError("out of order"))
    draft = desk.draft()
    await until(lambda: desk.at_rest)
    assert (desk.judged, draft.reached) == ([None], "sound")


async def test_a_turn_that_ends_while_it_is_read_is_the_responses_to_answer(desk):
    desk.reader = FakeReader(gate=asyncio.Event())
    draft = desk.draft()
    await until(lambda: desk.reader.prompts)
    draft.finish()
    assert (await draft.words()).text == "hello there"
    await until(lambda: desk.at_rest)
    assert (desk.judged, desk.replier.prompts) == ([None], [])


@pytest.mark.parametrize("why", ["no words", "no plan", "no recogniser"])
async def test_where_nothing_is_read_that_is_said(desk, why):
    desk.reader = FakeReader()
    desk.plan = None if why == "no plan" else desk.plan
    answers = {"no words": [""], "no recogniser": [TranscriptionError("deaf")]}
    desk.transcriber.texts = answers.get(why, ["hello there"])
    desk.draft()
    await until(lambda: desk.at_rest)
    assert (desk.judged, desk.reader.prompts) == ([None], [])


async def test_a_reply_that_is_read_is_not_spoken(desk):
    desk.plan = Plan(ASKED, None)
    draft = desk.draft()
    await until(lambda: desk.at_rest)
    assert (draft.reached, desk.voice.lines) == ("text", [])


async def test_words_that_come_after_the_end_are_final_and_are_not_heard_twice(desk):
    desk.transcriber.gate = asyncio.Event()
    draft = desk.draft()
    await until(lambda: desk.transcriber.asked)
    draft.finish()
    assert desk.transcriber.hurried == ["me"]
    desk.transcriber.gate.set()
    assert (await draft.words()).text == "hello there"
    await until(lambda: desk.at_rest)
    assert len(desk.transcriber.asked) == 1
    assert desk.replier.prompts == []  # that is the response's to ask


async def test_a_draft_that_ends_before_it_began_to_hear_is_heard_as_a_final(desk):
    draft = desk.draft()
    draft.finish()
    await draft.words()
    assert desk.transcriber.asked[0].rank == FINAL


async def test_dropping_closes_the_streams_and_counts_what_they_cost(desk):
    desk.replier.stall_after = 4
    desk.voice.gate = asyncio.Event()
    draft = desk.draft()
    await until(lambda: desk.voice.lines)
    draft.drop()
    await until(lambda: desk.at_rest)
    assert desk.replier.closed == 1
    wasted = {name for name in desk.metrics.counts if name.startswith("speculation.wasted_ms.")}
    assert {name.rpartition(".")[2] for name in wasted} == {"transcript", "text", "sound"}


async def test_dropping_while_it_hears_takes_the_question_back(desk):
    desk.transcriber.gate = asyncio.Event()
    draft = desk.draft()
    await until(lambda: desk.transcriber.asked)
    draft.drop()
    await until(lambda: desk.at_rest)
    assert desk.tasks[0].cancelled()
    assert await draft.words() is None


async def test_after_the_end_dropping_spares_the_words(desk):
    desk.transcriber.gate = asyncio.Event()
    draft = desk.draft()
    await until(lambda: desk.transcriber.asked)
    draft.finish()
    draft.drop()
    desk.transcriber.gate.set()
    assert (await draft.words()).text == "hello there"


async def test_a_reader_with_a_bug_costs_no_reply(desk, caplog):
    desk.reader = FakeReader(RuntimeError("a bug"))
    desk.draft()
    await until(lambda: desk.at_rest)
    assert desk.judged == [None]
    assert len(desk.replier.prompts) == 1
    assert "RuntimeError: a bug" in caplog.text


async def test_a_recogniser_that_fails_leaves_the_turn_its_own_attempt(desk):
    desk.transcriber.texts = [TranscriptionError("no")]
    draft = desk.draft()
    draft.finish()
    assert await draft.words() is None
    assert desk.metrics.counts["speculation.failed"] == 1


async def test_a_reply_that_failed_ahead_is_asked_for_again(desk):
    desk.replier.words, desk.replier.error = (), ReplyError("no")
    draft = desk.draft()
    await until(lambda: desk.at_rest)
    draft.finish()
    assert draft.text(ASKED, MANNER) is None


async def test_a_model_that_writes_without_end_waits(desk):
    desk.replier.words = ["word "] * (3 * DELTAS_AHEAD)
    desk.plan = Plan(ASKED, None)
    draft = desk.draft()
    await until(lambda: draft.reached == "text")
    for _ in range(4 * DELTAS_AHEAD):
        await asyncio.sleep(0)
    assert not desk.at_rest
    text = draft.text(ASKED, MANNER)
    assert len([delta async for delta in text]) == 3 * DELTAS_AHEAD


async def test_a_script_tells_every_reader_all_and_raises_where_the_stream_did():
    async def stream():
        yield 1
        yield 2
        raise ReplyError("broken off")

    script = Script(stream(), ahead=9, own=asyncio.create_task)
    for start, expected in ((0, [1, 2]), (1, [2]), (0, [1, 2])):
        read = []

        async def read_on(start=start, read=read):
            async for item in script.read(start):
                read.append(item)

        with pytest.raises(ReplyError):
            await read_on()
        assert read == expected


async def test_closing_a_script_ends_its_readers_and_its_stream():
    closed = asyncio.Event()

    async def stream():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    script = Script(stream(), ahead=9, own=asyncio.create_task)
    reading = asyncio.create_task(anext(script.read(1), None))
    await until(lambda: script.begun)
    script.close()
    assert await reading is None
    assert closed.is_set()
