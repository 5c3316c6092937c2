"""Mended once: which turns are answered, how often, and what the history keeps of an answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime.conversation import MAX_ITEMS, Conversation
from realtime.errors import TranscriptionError
from realtime.items import Item, Piece
from tests.client import Client, clip, quiet

SOON_S = 5.0
"""A reply that is due begins within milliseconds; without it the test need not wait a minute."""

UNASKED_S = 0.3
"""No event says that no reply is coming. With the fakes one would begin within milliseconds."""


async def turn(client: Client) -> None:
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))


async def detect(client: Client, **settings: Any) -> None:
    await client.send("session.update", session={"audio": {"input": {"turn_detection": settings}}})
    await client.until("session.updated")


async def a_reply_begins(client: Client) -> None:
    await asyncio.wait_for(client.until("response.created"), SOON_S)


async def no_reply_begins(client: Client) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.until("response.created"), UNASKED_S)


# --- every question is answered ---------------------------------------------------------------


async def test_a_question_is_answered_although_the_next_utterance_cannot_be_transcribed(
    connect, runtime
):
    """Both are being transcribed at once; the failure comes last."""
    runtime.transcriber.texts = ["a question", TranscriptionError("x")]
    first, second = asyncio.Event(), asyncio.Event()
    client = await connect()
    for gate in (first, second):
        runtime.transcriber.gate = gate
        await turn(client)
        await client.until("input_audio_buffer.committed")
    first.set()
    await client.until("conversation.item.input_audio_transcription.completed")
    second.set()
    await client.until("conversation.item.input_audio_transcription.failed")
    await a_reply_begins(client)


async def test_a_question_is_answered_although_the_next_utterance_is_cleared(connect, runtime):
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await turn(client)
    await client.until("input_audio_buffer.committed")
    await client.say(clip("ls_6930_0000"))
    await client.until("input_audio_buffer.speech_started")
    runtime.transcriber.gate.set()
    await client.until("conversation.item.input_audio_transcription.completed")
    await client.send("input_audio_buffer.clear")
    await a_reply_begins(client)


async def test_a_turn_that_waits_for_a_reply_to_end_is_answered_when_it_is_cancelled(
    connect, runtime
):
    runtime.replier.stall_after = 4
    client = await connect()
    await detect(client, interrupt_response=False)
    await turn(client)
    await client.until("response.created")
    await turn(client)
    await client.until("conversation.item.input_audio_transcription.completed")
    await client.send("response.cancel")
    await client.until("response.done")
    await a_reply_begins(client)


# --- no question is answered twice, and nothing that is none ----------------------------------


async def test_an_interrupted_response_of_the_clients_is_not_made_again(connect, runtime):
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await detect(client, create_response=False)
    await client.send("response.create", response={"instructions": "greet"})
    await client.until("response.created")
    await turn(client)
    await client.until("response.done")
    runtime.voice.gate.set()
    await no_reply_begins(client)


async def test_a_response_that_the_client_asks_for_is_the_answer_to_what_was_committed(
    connect, runtime
):
    """The client asks while the words are still being transcribed."""
    runtime.transcriber.gate = asyncio.Event()
    client = await connect()
    await turn(client)
    await client.until("input_audio_buffer.committed")
    await client.send("response.create")
    await client.until("response.created")
    runtime.transcriber.gate.set()
    await client.until("response.done")
    await no_reply_begins(client)


async def test_a_text_reply_that_was_begun_is_read_and_not_made_again(connect, runtime):
    """A noise interrupts it; of a spoken reply nothing would have been heard by then."""
    runtime.transcriber.texts = ["a question", ""]
    runtime.replier.words = ("One two three four. ",) * 6 + ("end",)
    runtime.replier.stall_after = 6
    client = await connect()
    await client.send("session.update", session={"output_modalities": ["text"]})
    await turn(client)
    for _ in range(4):
        await client.until("response.output_text.delta")
    runtime.replier.stall_after = None
    await turn(client)
    await client.until("response.done")
    await no_reply_begins(client)


# --- what the history keeps of a reply --------------------------------------------------------


async def test_words_whose_sound_was_never_made_were_not_heard(connect, runtime):
    """The transcript is sent ahead of the voice, which is held here until the interruption."""
    runtime.voice.gate = asyncio.Event()
    client = await connect()
    await turn(client)
    await client.until("response.output_audio_transcript.delta")
    await turn(client)
    reply = (await client.until("response.done"))["response"]["output"][0]
    assert reply["content"][0]["transcript"] == ""
    runtime.voice.gate.set()
    await client.until("response.done")
    assert "assistant" not in [m.role for m in runtime.replier.prompts[-1]]

    place = {"item_id": reply["id"], "content_index": 0}
    await client.send("conversation.item.truncate", **place, audio_end_ms=0)
    await client.send("conversation.item.retrieve", item_id=reply["id"])
    retrieved = await client.until("conversation.item.retrieved")
    assert retrieved["item"]["content"][0]["transcript"] == ""


def spoken(*pieces: Piece) -> Item:
    item = Item("reply", "assistant", "output_audio")
    for piece in pieces:
        made = item.say(piece.text)
        made.start, made.samples = piece.start, piece.samples
    return item


def test_a_silent_piece_does_not_end_what_was_heard():
    item = spoken(Piece("One.", 0, 1_000), Piece(" Hm.", 1_000, 0), Piece(" Three.", 1_500, 1_000))
    item.cut(99_999)
    assert item.text == "One. Hm. Three."


def test_a_report_of_more_than_was_sent_counts_no_piece_that_was_not():
    talk = Conversation("c")
    item = spoken(Piece("One.", 0, 24_000), Piece(" Two.", 24_000, 24_000))
    item.audio_samples = 24_000
    talk.add(item)
    talk.cut(item.id, 99_999)
    assert item.text == "One."


def test_items_put_at_the_beginning_count_towards_the_bound():
    talk = Conversation("c")
    for n in range(MAX_ITEMS):
        talk.add(Item(f"item_{n}", "user", "input_text", "x"))
    for n in range(3):
        talk.add(Item(f"early_{n}", "user", "input_text", "x"), after="root")
    assert len(talk) == MAX_ITEMS
