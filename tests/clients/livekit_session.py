"""LiveKit's realtime session as its agents drive it: audio in, generations out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.plugins import openai

from tests.clients.speech import RATE_HZ, slices

TIMEOUT_S = 40
Value = TypeVar("Value")


async def soon(work: Awaitable[Value]) -> Value:
    async with asyncio.timeout(TIMEOUT_S):
        return await work


def frames(audio: bytes) -> list[rtc.AudioFrame]:
    return [rtc.AudioFrame(p, RATE_HZ, 1, len(p) // 2) for p in slices(audio)]


@dataclass
class Said:
    """One response as their generation delivered it."""

    message_id: str = ""
    text: str = ""
    seconds: float = 0.0
    calls: list[llm.FunctionCall] = field(default_factory=list)


async def collect(generation: llm.GenerationCreatedEvent) -> Said:
    """All of a response."""
    said = Said()

    async def messages() -> None:
        async for message in generation.message_stream:
            said.message_id = message.message_id
            await asyncio.gather(text(message), sound(message))

    async def text(message: llm.MessageGeneration) -> None:
        async for piece in message.text_stream:
            said.text += str(piece)

    async def sound(message: llm.MessageGeneration) -> None:
        async for frame in message.audio_stream:
            said.seconds += frame.duration

    async def calls() -> None:
        async for call in generation.function_stream:
            said.calls.append(call)

    await soon(asyncio.gather(messages(), calls()))
    return said


class Talk:
    """A session, and queues of what it emitted."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.generations: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        self.transcripts: asyncio.Queue[str] = asyncio.Queue()
        self.reconnections: asyncio.Queue[object] = asyncio.Queue()
        self.errors: list[object] = []
        session.on("generation_created", self.generations.put_nowait)
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("session_reconnected", self.reconnections.put_nowait)
        session.on("error", self.errors.append)

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.transcripts.put_nowait(event.transcript)

    def say(self, audio: bytes) -> None:
        for frame in frames(audio):
            self.session.push_audio(frame)


async def seen(look: Callable[[], bool]) -> None:
    """Until `look` finds what it looks for; nothing tells of these things."""
    while not look():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@asynccontextmanager
async def talk(site: str, instructions: str = "Be brief.", **options: Any) -> AsyncIterator[Talk]:
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(
            base_url=f"{site}/v1", api_key="none", model="local", http_session=http, **options
        )
        talking = Talk(model.session())
        try:
            await talking.session.update_instructions(instructions)
            yield talking
            assert not talking.errors
        finally:
            await talking.session.aclose()
            await model.aclose()


def context_of(*said: tuple[str, str]) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    for role, text in said:
        context.add_message(role=role, content=text)
    return context


async def first_word(generation: llm.GenerationCreatedEvent) -> str:
    async for message in generation.message_stream:
        async for piece in message.text_stream:
            return str(piece)
    raise AssertionError("a response without words")
