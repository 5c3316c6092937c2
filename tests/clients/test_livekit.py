"""LiveKit's plugin: its realtime session as its agents drive it, and its recogniser."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import llm
from livekit.agents import stt as their_stt
from livekit.agents.utils import http_context
from livekit.plugins import openai
from openai import AsyncClient

from tests.clients.chat import CITY, STORY, Chat, text_of
from tests.clients.livekit_session import (
    TIMEOUT_S,
    collect,
    context_of,
    first_word,
    frames,
    seen,
    soon,
    talk,
)
from tests.clients.speech import FIRST, SECOND, misheard, spoken
from tests.clients.wire import Wire

CLIENT = "livekit-plugins-openai"


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
