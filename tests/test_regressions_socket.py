"""Mended once: what a client is sent, and how a socket ends that cannot go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Hashable, Sequence

import numpy as np
import pytest

from realtime.audio import Int16
from realtime.engines import Delta, Line
from realtime.engines.llama_lines import delta_of
from realtime.outbox import OutboxFull
from realtime.prompt import Message
from realtime.session import Session
from realtime.websocket import BINARY_HEADER
from tests.client import Client, clip, quiet
from tests.fakes import FakeVoice

TEXT = {"output_modalities": ["text"]}


async def close_code(client: Client) -> int | None:
    """Read to the end, which is near."""
    async with asyncio.timeout(5):
        while not client.closed:
            await client.next()
    return client.close_code


# --- how a socket ends ------------------------------------------------------------------------


async def test_a_client_that_does_not_read_is_closed_with_1008(connect, monkeypatch):
    def full(session: Session) -> None:
        raise OutboxFull("x")

    client = await connect()
    monkeypatch.setattr(Session, "clear", full)
    await client.send("input_audio_buffer.clear")
    assert await close_code(client) == 1008


async def test_a_reply_that_cannot_be_encoded_closes_the_socket_with_1011(connect, runtime):
    """The client must not be left waiting in silence."""
    runtime.replier.words = ("Hi \ud800 there my friend. ",)
    client = await connect()
    await client.send("response.create", response=TEXT)
    assert await close_code(client) == 1011


@pytest.mark.parametrize(
    ("content", "delta"), [("Hi \ud800there", Delta("Hi there")), ("\udc00", None)]
)
def test_the_embedded_replier_drops_half_a_character(content: str, delta: Delta | None):
    chunk = {"choices": [{"delta": {"content": content}}]}
    assert delta_of(b"data: " + json.dumps(chunk).encode()) == delta


# --- what a client asks for -------------------------------------------------------------------


async def test_a_response_is_made_although_its_metadata_holds_a_huge_number(connect):
    client = await connect()
    metadata = {"n": 10**26}
    await client.send("response.create", response={"metadata": metadata})
    async with asyncio.timeout(5):
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"


async def test_an_error_in_a_response_names_the_responses_field(connect):
    client = await connect()
    await client.send("response.create", response={"max_output_tokens": 0})
    error = await client.until("error")
    assert error["error"]["param"] == "response.max_output_tokens"


# --- what a reply is made of ------------------------------------------------------------------


async def test_a_text_reply_keeps_its_lines(connect, runtime):
    runtime.replier.words = ("Items:\n", "- one\n", "- two\n\n", "```\nx = 1\n```\n")
    client = await connect()
    await client.send("response.create", response=TEXT)
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["text"] == "".join(runtime.replier.words)


async def test_a_reply_is_made_although_the_history_could_not_be_prepared(connect, runtime):
    prepared = asyncio.Event()

    async def prepare(prompt: object, *, owner: Hashable) -> None:
        prepared.set()
        raise json.JSONDecodeError("x", "", 0)

    runtime.replier.prepare = prepare
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert prepared.is_set()


async def test_after_a_reply_the_history_is_read_with_it(connect, runtime):
    """Where it was shortened, one word from the caller leaves no time to read all of it anew."""
    read: asyncio.Queue[list[Message]] = asyncio.Queue()

    async def prepare(prompt: Sequence[Message], *, owner: Hashable) -> None:
        read.put_nowait(list(prompt))

    runtime.replier.prepare = prepare
    client = await connect()
    await client.send("response.create")
    await client.until("response.done")
    async with asyncio.timeout(5):
        prompt = await read.get()
    assert prompt[-1].role == "assistant"
    assert prompt[-1].text == "".join(runtime.replier.words)


async def test_the_offsets_of_audio_go_on_when_a_running_reply_is_truncated(connect, runtime):
    truncated = asyncio.Event()

    class Waiting(FakeVoice):
        async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
            self.lines.append(line)
            if len(self.pieces) > 1:
                await truncated.wait()
            yield np.full(24_000, 1_000, np.int16)

    runtime.voice = Waiting()
    client = await connect("?audio=binary")
    await client.send("response.create")
    part = await client.until("response.content_part.added")
    while len(client.frames) < 5:
        await client.next()
    place = {"item_id": part["item_id"], "content_index": 0}
    await client.send("conversation.item.truncate", **place, audio_end_ms=300)
    await client.until("conversation.item.truncated")
    truncated.set()
    await client.until("response.done")
    offsets = [BINARY_HEADER.unpack_from(frame)[4] for frame in client.frames]
    assert offsets == list(range(0, 3 * 24_000, 2_400))
