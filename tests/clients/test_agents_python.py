"""OpenAI's agents package for Python: its realtime session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from tests.clients.chat import CITY, STORY
from tests.clients.speech import FIRST, SECOND, misheard, slices, spoken
from tests.clients.wire import Wire

CLIENT = "openai-agents (Python)"
TIMEOUT_S = 40


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


class Seen:
    """The session's events, read until something is there."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self.events: list[Any] = []
        self.history: list[Any] = []

    def of(self, type: str) -> list[Any]:
        return [event for event in self.events if event.type == type]

    def texts(self) -> list[tuple[str, str]]:
        """Who said what, in the session's own history."""
        messages = [item for item in self.history if item.type == "message"]
        return [(m.role, "".join(map(text_of, m.content))) for m in messages]

    async def until(self, found: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            async for event in self._session:
                self.events.append(event)
                assert event.type != "error", event
                if event.type == "history_updated":
                    self.history = list(event.history)
                elif event.type == "history_added":
                    self.history = [*self.history, event.item]
                if found():
                    return
        raise AssertionError(f"the session ended; seen: {[e.type for e in self.events]}")

    def raw(self, type: str) -> list[dict[str, Any]]:
        """The server's own messages, as the session passes them on."""
        passed = [e.data for e in self.of("raw_model_event") if e.data.type == "raw_server_event"]
        return [e.data for e in passed if e.data["type"] == type]


def text_of(part: Any) -> str:
    return getattr(part, "transcript", None) or getattr(part, "text", None) or ""


@asynccontextmanager
async def talk(
    site: str, instructions: str = "Be brief.", tools: list[Any] | None = None
) -> AsyncIterator[tuple[RealtimeSession, Seen]]:
    agent = RealtimeAgent(name="Banter", instructions=instructions, tools=tools or [])
    config = {"url": f"ws{site.removeprefix('http')}/v1/realtime?model=local", "api_key": "none"}
    async with await RealtimeRunner(agent).run(model_config=config) as session:
        yield session, Seen(session)


async def say(session: RealtimeSession, audio: bytes) -> None:
    for piece in slices(audio):
        await session.send_audio(piece)


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_40_python_agents_hear_and_are_answered(site: str, wire: Wire) -> None:
    async with talk(site) as (session, seen):
        await say(session, spoken(FIRST))
        await seen.until(lambda: bool(seen.raw("response.done")))
        await seen.until(lambda: len(seen.texts()) == 2 and all(text for _, text in seen.texts()))
    (user, heard), (assistant, said) = seen.texts()
    assert (user, assistant) == ("user", "assistant")
    assert misheard(FIRST, heard) <= 0.15
    assert said == f"You said: {heard}"
    assert sum(len(e.audio.data) for e in seen.of("audio")) > 24_000 * 2


@pytest.mark.feature(CLIENT, "barge-in")
@pytest.mark.feature(CLIENT, "history")
async def test_40_python_agents_are_interrupted(site: str, wire: Wire) -> None:
    async with talk(site, "Tell a story.") as (session, seen):
        await say(session, spoken(FIRST))
        await seen.until(lambda: len(seen.of("audio")) >= 24)  # of 100 ms, sent as they are played
        await say(session, spoken(SECOND))
        await seen.until(lambda: bool(seen.of("audio_interrupted")))
        await seen.until(lambda: len(seen.raw("response.created")) == 2)
    [done] = wire.sent("response.done")[:1]
    assert done["response"]["status"] == "cancelled"
    kept = done["response"]["output"][0]["content"][0]["transcript"]
    assert kept
    assert STORY.startswith(kept)
    assert wire.sent("conversation.item.truncated")
    heard = wire.sent("conversation.item.input_audio_transcription.completed")
    assert misheard(SECOND, heard[1]["transcript"]) <= 0.15


@pytest.mark.feature(CLIENT, "text turn")
@pytest.mark.feature(CLIENT, "tool call")
async def test_40_python_agents_call_a_tool(site: str, wire: Wire) -> None:
    async with talk(site, tools=[get_weather]) as (session, seen):
        await session.send_message("What is the weather?")
        await seen.until(lambda: len(seen.raw("response.done")) == 2)
        [ended] = seen.of("tool_end")
    assert ended.output == f"sunny in {CITY}"
    said = wire.sent("response.output_audio_transcript.done")[-1]["transcript"]
    assert said == f"The tool says sunny in {CITY}."
