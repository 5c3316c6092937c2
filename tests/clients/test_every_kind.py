"""The messages that the clients of the other tests have no reason to provoke, over a bare socket.

What they look like to each client's own types is for `test_message_forms.py` to see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.client import Client, quiet
from tests.clients.speech import FIRST, spoken
from tests.clients.wire import Wire

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Hm."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hm."}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]},
    {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "sunny"},
]


@pytest.fixture
async def client(site: str, wire: Wire) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        made = Client(await http.ws_connect(f"{site}/v1/realtime", max_msg_size=0))
        await made.until("session.created")
        yield made
        await made.socket.close()


async def configure(client: Client, **session: Any) -> dict[str, Any]:
    await client.send("session.update", session={"type": "realtime", **session})
    updated: dict[str, Any] = (await client.until("session.updated"))["session"]
    return updated


async def test_46_items_of_every_kind(client: Client) -> None:
    for number, item in enumerate(ITEMS):
        await client.send("conversation.item.create", item={"id": f"item_{number}", **item})
        await client.until("conversation.item.done")
        await client.send("conversation.item.retrieve", item_id=f"item_{number}")
        found = (await client.until("conversation.item.retrieved"))["item"]
        assert found["type"] == item["type"]
    await client.send("conversation.item.delete", item_id="item_4")
    await client.until("conversation.item.deleted")


async def test_46_sessions_of_every_kind(client: Client) -> None:
    detection = {"type": "semantic_vad", "eagerness": "low"}
    noise = {"type": "near_field"}
    session = await configure(
        client,
        tools=[TOOL],
        tool_choice="required",
        max_output_tokens=100,
        audio={
            "input": {
                "format": {"type": "audio/pcmu"},
                "turn_detection": detection,
                "noise_reduction": noise,
                "transcription": {"model": "whisper-1", "language": "en", "prompt": "Names: Ada."},
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": "alloy", "speed": 1.25},
        },
    )
    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    session = await configure(client, audio={"input": {"turn_detection": None}}, tool_choice="none")
    assert session["audio"]["input"]["turn_detection"] is None


async def test_46_a_buffer_is_cleared_and_committed_by_hand(client: Client) -> None:
    transcription = {"model": "whisper-1"}
    await configure(
        client, audio={"input": {"turn_detection": None, "transcription": transcription}}
    )
    await client.say(quiet(1))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await client.say(spoken(FIRST))
    await client.send("input_audio_buffer.commit")
    heard = await client.until("conversation.item.input_audio_transcription.completed")
    await client.send("conversation.item.retrieve", item_id=heard["item_id"])
    found = (await client.until("conversation.item.retrieved"))["item"]
    assert found["content"][0]["transcript"] == heard["transcript"]


async def test_46_silence_after_a_reply_times_out(client: Client) -> None:
    """The shortest time that OpenAI takes is five seconds."""
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    await configure(client, audio={"input": {"turn_detection": detection}})
    await client.send("response.create")
    await client.until("response.done")
    await client.until("input_audio_buffer.timeout_triggered")
    await client.until("response.done")


@pytest.mark.parametrize(
    ("instructions", "ends_as"),
    [
        pytest.param("Please fail.", "failed", marks=pytest.mark.errors("reply_refused")),
        ("A story.", "cancelled"),
    ],
)
async def test_46_responses_that_end_otherwise(
    client: Client, instructions: str, ends_as: str
) -> None:
    await configure(client, output_modalities=["audio"])
    await client.send("response.create", response={"instructions": instructions})
    if ends_as == "cancelled":
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
    done = (await client.until("response.done"))["response"]
    assert done["status"] == ends_as
    assert done["status_details"]["type"] == ends_as


async def test_46_a_response_is_cut_by_its_length(client: Client) -> None:
    await configure(client, output_modalities=["text"], instructions="A story.")
    await client.send("response.create", response={"max_output_tokens": 10, "metadata": {"a": "b"}})
    done = (await client.until("response.done"))["response"]
    assert done["metadata"] == {"a": "b"}
    assert done["status"] == "incomplete"
    assert done["status_details"]["reason"] == "max_output_tokens"


@pytest.mark.errors(
    "response_cancel_not_active", "input_audio_buffer_commit_empty", "unknown_event_type"
)
async def test_46_errors(client: Client) -> None:
    for type in ("response.cancel", "input_audio_buffer.commit", "no.such.event"):
        await client.send(type, event_id=f"mine.{type}")
        error = (await client.until("error"))["error"]
        assert error["event_id"] == f"mine.{type}"
