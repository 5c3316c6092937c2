"""LiveKit's plugin: its realtime session as its agents drive it, and its recogniser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents import stt as their_stt
from livekit.agents.utils import http_context
from livekit.plugins import openai
from openai import AsyncClient

from tests.clients.chat import CITY, STORY, Chat, text_of
from tests.clients.speech import FIRST, RATE_HZ, SECOND, misheard, slices, spoken
from tests.clients.wire import Wire

CLIENT = "livekit-plugins-openai"
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


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_42_livekit_hears_and_is_answered(site: str, wire: Wire) -> None:
    async with talk(site) as talking:
        talking.say(spoken(FIRST))
        said = await collect(await soon(talking.generations.get()))
        heard = await soon(talking.transcripts.get())
        items = talking.session.chat_ctx.items
    assert misheard(FIRST, heard) <= 0.15
    assert said.text == f"You said: {heard}"
    assert said.seconds > 1
    user = next(i for i in items if i.type == "message" and i.role == "user")
    assert user.text_content == heard, "kept once, not twice"


@pytest.mark.feature(CLIENT, "text turn")
async def test_42_livekit_generates_a_reply(site: str, wire: Wire, model: Chat) -> None:
    """`generate_reply` is told by its metadata that the response is its own."""
    async with talk(site) as talking:
        await soon(talking.session.update_chat_ctx(context_of(("user", "Good morning."))))
        generation = await soon(talking.session.generate_reply(instructions="Speak of bread."))
        assert generation.user_initiated
        said = await collect(generation)
    assert said.text == "You said: Good morning."
    told = [text_of(m) for m in model.requests[-1]["messages"] if m["role"] == "system"]
    assert any("Speak of bread." in text for text in told)


@pytest.mark.feature(CLIENT, "history")
async def test_42_livekit_changes_its_context(site: str, wire: Wire, model: Chat) -> None:
    """Items are put in, moved and taken out, and the next prompt shows it."""
    first = context_of(("user", "My name is Ada."), ("assistant", "Hello Ada."), ("user", "Hm."))
    async with talk(site) as talking:
        await soon(talking.session.update_chat_ctx(first))
        second = talking.session.chat_ctx.copy()
        second.items.pop()
        second.items.insert(0, llm.ChatMessage(role="user", content=["Good morning."]))
        await soon(talking.session.update_chat_ctx(second))
        kept = [i.text_content for i in talking.session.chat_ctx.items]
        await collect(await soon(talking.session.generate_reply()))
    assert kept == ["Good morning.", "My name is Ada.", "Hello Ada."]
    asked = [text_of(m) for m in model.requests[-1]["messages"] if m["role"] != "system"]
    assert asked == kept
    assert wire.asked("conversation.item.delete")


@pytest.mark.feature(CLIENT, "barge-in")
async def test_42_livekit_is_interrupted_and_truncates(site: str, wire: Wire, model: Chat) -> None:
    async with talk(site, "Tell a story.") as talking:
        talking.say(spoken(FIRST))
        generation = await soon(talking.generations.get())
        telling = asyncio.create_task(collect(generation))
        # Of 100 ms, sent as they are played.
        await soon(seen(lambda: len(wire.sent("response.output_audio.delta")) >= 24))
        talking.say(spoken(SECOND))
        told = await telling
        talking.session.truncate(
            message_id=told.message_id, modalities=["audio"], audio_end_ms=1_200
        )
        answer = await soon(talking.generations.get())
        heard = [await soon(talking.transcripts.get()) for _ in range(2)]
        await soon(first_word(answer))
        talking.session.interrupt()
    assert misheard(SECOND, heard[1]) <= 0.15
    assert STORY.startswith(told.text)
    assert wire.sent("conversation.item.truncated")
    [kept] = [text_of(m) for m in model.requests[-1]["messages"] if m["role"] == "assistant"]
    assert STORY.startswith(kept.rstrip(".…- "))
    assert len(kept) < len(told.text), "cut to what was heard of it"


async def first_word(generation: llm.GenerationCreatedEvent) -> str:
    async for message in generation.message_stream:
        async for piece in message.text_stream:
            return str(piece)
    raise AssertionError("a response without words")


@pytest.mark.feature(CLIENT, "tool call")
async def test_42_livekit_calls_a_tool(site: str, wire: Wire) -> None:
    @llm.function_tool
    async def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return "sunny"

    async with talk(site) as talking:
        await talking.session.update_tools([get_weather])
        await soon(talking.session.update_chat_ctx(context_of(("user", "How is the weather?"))))
        [call] = (await collect(await soon(talking.session.generate_reply()))).calls
        assert (call.name, call.arguments) == ("get_weather", f'{{"city": "{CITY}"}}')
        context = talking.session.chat_ctx.copy()
        context.items.append(
            llm.FunctionCallOutput(call_id=call.call_id, output="sunny", is_error=False)
        )
        await soon(talking.session.update_chat_ctx(context))
        said = await collect(await soon(talking.session.generate_reply()))
    assert said.text == "The tool says sunny."


@pytest.mark.feature(CLIENT, "reconnect")
async def test_42_livekit_reconnects(site: str, wire: Wire, model: Chat) -> None:
    """A new socket is given the conversation so far, and goes on with it."""
    async with talk(site, max_session_duration=2.0) as talking:
        before = context_of(("user", "My name is Ada."), ("assistant", "Hello Ada."))
        await soon(talking.session.update_chat_ctx(before))
        await soon(talking.reconnections.get())
        await soon(seen(lambda: len(talking.session.chat_ctx.items) == 2))
        after = talking.session.chat_ctx.copy()
        after.add_message(role="user", content="Good morning.")
        await soon(talking.session.update_chat_ctx(after))
        said = await collect(await soon(talking.session.generate_reply()))
    assert len(wire.opened()) == 2
    assert said.text == "You said: Good morning."
    asked = [text_of(m) for m in model.requests[-1]["messages"] if m["role"] != "system"]
    assert asked == ["My name is Ada.", "Hello Ada.", "Good morning."]


@pytest.mark.feature(CLIENT, "transcription")
async def test_45_livekit_only_transcribes(site: str, wire: Wire) -> None:
    async with (
        http_context.open(),
        AsyncClient(api_key="none", base_url=f"{site}/v1") as client,
    ):
        stt = openai.STT(client=client, model="gpt-4o-transcribe", use_realtime=True)
        stream = stt.stream()
        for frame in frames(spoken(FIRST) + spoken(SECOND)):
            stream.push_frame(frame)
        heard: list[str] = []
        async with asyncio.timeout(TIMEOUT_S):
            async for event in stream:
                if event.type is their_stt.SpeechEventType.FINAL_TRANSCRIPT:
                    heard.append(event.alternatives[0].text)
                    if len(heard) == 2:
                        break
        await stream.aclose()
        await stt.aclose()
    assert misheard(FIRST, heard[0]) <= 0.15
    assert misheard(SECOND, heard[1]) <= 0.15
    assert {e["session"]["type"] for e in wire.sent("session.updated")} == {"transcription"}
    assert not wire.sent("response.created")


@pytest.mark.feature(CLIENT, "REST")
@pytest.mark.parametrize("named", ["gpt-4o-mini-tts", "tts-1"])
async def test_45_livekit_speaks_over_rest(site: str, named: str) -> None:
    """It asks for server-sent events by the one name and for bare audio by the other."""
    async with AsyncClient(api_key="none", base_url=f"{site}/v1") as client:
        tts = openai.TTS(client=client, model=named, response_format="pcm")
        async with tts.synthesize("Good morning, my friend.") as stream:
            seconds = sum([piece.frame.duration async for piece in stream])
        await tts.aclose()
    assert 0.5 < seconds < 5


@pytest.mark.feature(CLIENT, "REST")
async def test_45_livekit_transcribes_over_rest(site: str) -> None:
    async with AsyncClient(api_key="none", base_url=f"{site}/v1") as client:
        stt = openai.STT(client=client, model="whisper-1")
        found = await soon(stt.recognize(frames(spoken(FIRST))))
        await stt.aclose()
    assert misheard(FIRST, found.alternatives[0].text) <= 0.15
