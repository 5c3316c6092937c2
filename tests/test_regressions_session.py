"""Mended once: a session driven by hand, so that two things happen in one turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from realtime import client_events, idling, reply
from realtime.engines import Delta
from realtime.items import Item
from realtime.metrics import Metrics
from realtime.outbox import AudioChunk, Outbox
from realtime.playout import Pacing
from realtime.prompt import Message
from realtime.session import Session
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.turns import SpeechStarted, SpeechStopped
from tests.fakes import FakeReplier, FakeRuntime

SECOND = 16_000
"""Of the ear's samples."""


class NoDetector:
    """Turns are made by hand here; the ear hears nothing."""

    async def probabilities(self, state: Any, windows: Sequence[Any], *, owner: Hashable) -> Any:
        raise AssertionError("nothing was said")


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(NoDetector())


@pytest.fixture
def outbox() -> Outbox:
    """Nobody reads it while the session runs."""
    return Outbox()


def open_session(
    runtime: FakeRuntime, outbox: Outbox, *, pacing: Pacing | None = None, **patch: Any
) -> Session:
    return Session(
        runtime.engines,
        outbox,
        config=SessionConfig(instructions="be kind").updated(patch),
        metrics=Metrics(),
        manners=Manners(pacing=pacing),
    )


async def settle(until: Callable[[], Any] | None = None, turns: int = 300) -> None:
    """Let the loop turn until something holds; without a condition, until all has happened."""
    for _ in range(turns):
        if until and until():
            return
        await asyncio.sleep(0)
    assert until is None, "it never came to that"


async def sent(outbox: Outbox) -> list[str]:
    """The types of all that waits, in order; of audio, `audio`."""
    outbox.close()
    found = []
    while (item := await outbox.get()) is not None:
        audio = isinstance(item, AudioChunk)
        found.append("audio" if audio else type(item).__struct_config__.tag)
    return found


def after_done(types: list[str]) -> list[str]:
    """What of a response follows its end."""
    rest = types[types.index("response.done") + 1 :]
    return [t for t in rest if t == "audio" or t.startswith("response.")]


class Timers:
    """Stands in for `asyncio.sleep` in one module: a sleeper wakes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        stand_in = SimpleNamespace(**{**vars(asyncio), "sleep": self._sleep})
        monkeypatch.setattr(module, "asyncio", stand_in)

    async def _sleep(self, delay: float) -> None:
        timer = asyncio.get_running_loop().create_future()
        self.waiting.append(timer)
        await timer

    def fire(self) -> None:
        """Wake whoever sleeps and was not cancelled."""
        for timer in self.waiting:
            if not timer.done():
                timer.set_result(None)


# --- nothing follows response.done ------------------------------------------------------------


async def test_no_words_follow_response_done_when_a_token_arrives_with_the_cancel(runtime, outbox):
    arrives = asyncio.Event()

    class Writing(FakeReplier):
        async def reply(
            self, prompt: Sequence[Message], *, max_tokens: int, owner: Hashable, tools: Any = None
        ) -> AsyncGenerator[Delta, None]:
            yield Delta("Hello there my friend. ")
            self.stalled.set()
            await arrives.wait()
            yield Delta("More words come here. And ")
            await asyncio.Event().wait()

    runtime.replier = Writing()
    async with open_session(runtime, outbox) as talk:
        talk.respond(client_events.ResponseBody())
        await settle(runtime.replier.stalled.is_set)
        arrives.set()
        talk.cancel(None)
        await settle()
    assert after_done(await sent(outbox)) == []


async def test_no_audio_follows_response_done_when_it_waited_for_room(runtime, outbox):
    """The outbox holds its 20 s of audio; the interruption makes room in it."""
    runtime.voice.seconds = 22.0
    async with open_session(runtime, outbox) as talk:
        talk.respond(client_events.ResponseBody())
        await settle(lambda: not outbox._room.is_set())
        talk._start(SpeechStarted(0))
        await settle()
    assert after_done(await sent(outbox)) == []


async def test_no_audio_follows_response_done_when_a_pacing_timer_wakes(
    runtime, outbox, monkeypatch
):
    timers = Timers(monkeypatch, reply)
    runtime.voice.seconds = 5.0
    async with open_session(runtime, outbox, pacing=Pacing()) as talk:
        talk.respond(client_events.ResponseBody())
        await settle(lambda: timers.waiting)
        timers.fire()
        talk._start(SpeechStarted(0))
        await settle()
    assert after_done(await sent(outbox)) == []


# --- what was said is answered ----------------------------------------------------------------


async def test_a_turn_split_at_its_maximum_is_answered_when_its_rest_is_silence(runtime, outbox):
    runtime.transcriber.texts = ["a long story", ""]
    end = 28 * SECOND
    async with open_session(runtime, outbox) as talk:
        talk._start(SpeechStarted(0))
        talk._stop(SpeechStopped(end, end, split=True))
        talk._start(SpeechStarted(end, continues=True))
        await settle()
        assert runtime.replier.prompts == []
        talk._stop(SpeechStopped(end + SECOND // 2, end))
        await settle()
    assert "response.created" in await sent(outbox)


async def test_a_question_is_answered_again_when_its_answer_was_sent_but_not_heard(runtime, outbox):
    """A cough as the first sound leaves: no word of it was played by then."""
    runtime.transcriber.texts = ["a question", ""]
    runtime.voice.seconds = 30.0
    async with open_session(runtime, outbox, pacing=Pacing()) as talk:
        talk._start(SpeechStarted(0))
        talk._stop(SpeechStopped(SECOND, SECOND // 2))
        await settle(lambda: outbox._audio_s)
        talk._start(SpeechStarted(SECOND))
        talk._stop(SpeechStopped(2 * SECOND, 5 * SECOND // 4))
        await settle()
        items = [i for i in talk.conversation.items() if isinstance(i, Item)]
    assert next(i.text for i in items if i.role == "assistant") == ""
    assert (await sent(outbox)).count("response.created") == 2


async def test_the_idle_timeout_is_over_when_turn_detection_is_turned_off(
    runtime, outbox, monkeypatch
):
    timers = Timers(monkeypatch, idling)
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    patch = {"audio": {"input": {"turn_detection": detection}}}
    async with open_session(runtime, outbox, **patch) as talk:
        talk.respond(client_events.ResponseBody())
        await settle(lambda: timers.waiting)
        talk.configure({"audio": {"input": {"turn_detection": None}}})
        timers.fire()
        await settle()
    assert "input_audio_buffer.timeout_triggered" not in await sent(outbox)
