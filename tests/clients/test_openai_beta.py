"""`client.beta.realtime` of OpenAI's Python package: the protocol as it was before it was final."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.chat import CITY
from tests.clients.openai_events import TOOL, base64_of, one, until
from tests.clients.speech import FIRST, misheard, spoken
from tests.clients.wire import Wire

BETA = "openai (Python), beta.realtime"


@pytest.mark.feature(BETA, "connect")
@pytest.mark.feature(BETA, "spoken turn")
async def test_44_beta_hears_and_is_answered(site: str, wire: Wire) -> None:
    sockets = f"ws{site.removeprefix('http')}/v1"  # the older client dials wss otherwise
    async with (
        AsyncOpenAI(api_key="none", base_url=f"{site}/v1", websocket_base_url=sockets) as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        await connection.session.update(
            session={
                "modalities": ["audio", "text"],
                "voice": "alloy",
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1"},
            }
        )
        updated = (await until(connection, "session.updated"))[-1].session
        assert updated.input_audio_format == "pcm16"
        assert updated.input_audio_transcription.model == "whisper-1"
        await connection.input_audio_buffer.append(audio=base64_of(spoken(FIRST)))
        seen = await until(connection, "response.done")
        heard = one(seen, "conversation.item.input_audio_transcription.completed").transcript
        assert misheard(FIRST, heard) <= 0.15
        assert one(seen, "response.audio_transcript.done").transcript == f"You said: {heard}"
        assert [e for e in seen if e.type == "response.audio.delta"]
        assert {e.item.role for e in seen if e.type == "conversation.item.created"} == {
            "user",
            "assistant",
        }
        assert not [e.type for e in seen if e.type.startswith("response.output_audio")]


@pytest.mark.feature(BETA, "text turn")
@pytest.mark.feature(BETA, "tool call")
def test_44_beta_sync_calls_a_tool(site: str, wire: Wire) -> None:
    sockets = f"ws{site.removeprefix('http')}/v1"
    with (
        OpenAI(api_key="none", base_url=f"{site}/v1", websocket_base_url=sockets) as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        connection.session.update(session={"modalities": ["text"], "tools": [TOOL]})
        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is the weather?"}],
            }
        )
        connection.response.create()
        [call] = response_of(connection).output
        assert (call.type, call.arguments) == ("function_call", f'{{"city": "{CITY}"}}')
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        )
        connection.response.create()
        [said] = response_of(connection).output
    assert said.content[0].type == "text"
    assert said.content[0].text == "The tool says sunny."


def response_of(connection: Any) -> Any:
    """The next response that is done."""
    for event in connection:
        if event.type == "response.done":
            return event.response
    raise AssertionError("the connection ended")
