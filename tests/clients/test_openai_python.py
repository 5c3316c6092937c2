"""OpenAI's Python package: realtime, both with asyncio and without, and REST."""

from __future__ import annotations

import base64

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.chat import CITY, STORY
from tests.clients.openai_events import TOOL, base64_of, one, until
from tests.clients.speech import FIRST, SECOND, misheard, spoken, wav
from tests.clients.wire import Wire

CLIENT = "openai (Python)"
LISTENING = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_38_python_hears_and_is_answered(site: str, wire: Wire) -> None:
    async with (
        AsyncOpenAI(api_key="none", base_url=f"{site}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(session=LISTENING)
        await connection.input_audio_buffer.append(audio=base64_of(spoken(FIRST)))
        seen = await until(connection, "response.done")
        heard = one(seen, "conversation.item.input_audio_transcription.completed").transcript
        said = one(seen, "response.output_audio_transcript.done").transcript
        done = seen[-1].response
    assert misheard(FIRST, heard) <= 0.15
    assert said == f"You said: {heard}"
    assert done.status == "completed"
    assert done.output[0].content[0].transcript == said
    sound = b"".join(
        base64.b64decode(e.delta) for e in seen if e.type == "response.output_audio.delta"
    )
    assert len(sound) > 24_000 * 2


@pytest.mark.feature(CLIENT, "text turn")
def test_38_python_sync_is_answered_in_writing(site: str, wire: Wire) -> None:
    with (
        OpenAI(api_key="none", base_url=f"{site}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Good morning."}],
            }
        )
        connection.response.create()
        text, done = "", None
        for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.done":
                done = event.response
                break
    assert text == "You said: Good morning."
    assert done is not None
    assert done.status == "completed"


@pytest.mark.feature(CLIENT, "tool call")
async def test_38_python_calls_a_tool(site: str, wire: Wire) -> None:
    async with (
        AsyncOpenAI(api_key="none", base_url=f"{site}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "tools": [TOOL]}
        )
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is the weather?"}],
            }
        )
        await connection.response.create()
        seen = await until(connection, "response.done")
        [call] = seen[-1].response.output
        assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
        assert call.arguments == f'{{"city": "{CITY}"}}'
        assert one(seen, "response.function_call_arguments.done").call_id == call.call_id
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        )
        await connection.response.create()
        seen = await until(connection, "response.done")
    assert one(seen, "response.output_text.done").text == "The tool says sunny."


@pytest.mark.feature(CLIENT, "barge-in")
async def test_38_python_is_interrupted(site: str, wire: Wire) -> None:
    async with (
        AsyncOpenAI(api_key="none", base_url=f"{site}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(session={**LISTENING, "instructions": "Tell a story."})
        await connection.input_audio_buffer.append(audio=base64_of(spoken(FIRST)))
        for _ in range(24):  # of 100 ms, sent as they are played
            await until(connection, "response.output_audio.delta")
        await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        await connection.input_audio_buffer.append(audio=base64_of(spoken(SECOND)))
        first = (await until(connection, "response.done"))[-1].response
        second = (await until(connection, "response.done"))[-1].response
    assert (first.status, first.status_details.reason) == ("cancelled", "turn_detected")
    kept = first.output[0].content[0].transcript
    assert kept
    assert STORY.startswith(kept)
    assert len(kept) < len(STORY) / 2
    assert second.status == "completed"
    assert (
        misheard(SECOND, second.output[0].content[0].transcript.removeprefix("You said:")) <= 0.15
    )


@pytest.mark.feature(CLIENT, "history")
@pytest.mark.errors("item_retrieve_invalid_item_id")
async def test_38_python_changes_the_history(site: str, wire: Wire) -> None:
    async with (
        AsyncOpenAI(api_key="none", base_url=f"{site}/v1") as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.conversation.item.create(
            item={
                "id": "mine",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I am here."}],
            }
        )
        await connection.conversation.item.retrieve(item_id="mine")
        found = (await until(connection, "conversation.item.retrieved"))[-1].item
        assert (found.id, found.content[0].text) == ("mine", "I am here.")
        await connection.conversation.item.truncate(item_id="mine", content_index=0, audio_end_ms=0)
        await until(connection, "conversation.item.truncated")
        await connection.conversation.item.delete(item_id="mine")
        await until(connection, "conversation.item.deleted")
        await connection.conversation.item.retrieve(item_id="mine", event_id="mine_2")
        gone = (await until(connection, "error"))[-1].error
    assert (gone.code, gone.event_id) == ("item_retrieve_invalid_item_id", "mine_2")


@pytest.mark.feature(CLIENT, "REST")
def test_38_python_speaks_and_transcribes_over_rest(site: str) -> None:
    with OpenAI(api_key="none", base_url=f"{site}/v1") as client:
        [*models] = client.models.list()
        assert client.models.retrieve(models[0].id).id == models[0].id
        sentence = "The weather is fine this morning."
        sound = client.audio.speech.create(
            model="tts-1", voice="alloy", input=sentence, response_format="pcm"
        ).read()
        assert len(sound) > 24_000 * 2
        said = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav(sound)))
        assert said.text.strip(" .").lower() == sentence.strip(".").lower()
        heard = client.audio.transcriptions.create(
            model="whisper-1", file=("b.wav", wav(spoken(FIRST))), response_format="verbose_json"
        )
        assert misheard(FIRST, heard.text) <= 0.15
        assert heard.segments
        assert heard.duration == pytest.approx(len(spoken(FIRST)) / 48_000, abs=0.1)
