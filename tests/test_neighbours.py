"""Whatever fails for one caller, or is full, the others' answers are whole.

Each row of `TROUBLES` makes one trouble while two neighbours talk. The troubled caller is told what
is promised, his session lives, and he is answered the next time.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from unittest.mock import patch

import pytest

from realtime.engines.llm import EmbeddedReplier
from realtime.errors import Saturated
from tests.client import Client
from tests.llm_endpoint import Answer, cut, hang_up, nothing, status, stream, stuck, words
from tests.neighbour import Trouble, beside_neighbours, told
from tests.street import Street, until
from tests.weights import TROUBLE, reading

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- a stage fails, and says so -----------------------------------------------------------------


async def answered(street: Street, client: Client) -> None:
    """He says it again, and now he is answered."""
    street.repair()
    await client.say(TROUBLE.audio)
    done = await told(client, "response.done")
    assert done["response"]["status"] == "completed"


async def not_transcribed(client: Client) -> str:
    """The code that he is told instead of his words."""
    failed = await told(client, "conversation.item.input_audio_transcription.failed")
    assert not client.of("response.created")
    return failed["error"]["code"]


async def not_answered(client: Client) -> str:
    """The code that he is told instead of a reply."""
    response = (await told(client, "response.done"))["response"]
    assert response["status"] == "failed"
    return response["status_details"]["error"]["code"]


def decoder_fails(failure: BaseException, code: str, *, alone: bool = False) -> Trouble:
    """On a batch that holds a neighbour's utterance, too, if not on one of his own."""

    async def trouble(street: Street) -> None:
        client = await street.knock()
        if alone:  # what precedes the words must be of equal length in all of a batch
            prompt = {"audio": {"input": {"transcription": {"prompt": "a batch of its own"}}}}
            await client.send("session.update", session=prompt)
        await street.hold_up_the_recogniser()
        street.decoder.failure = failure
        batches = len(street.decoder.batches)
        await client.say(TROUBLE.audio)
        await until(lambda: street.waiting[0] == 2)
        street.decoder.gate.open()
        assert await not_transcribed(client) == code
        if not alone:
            assert any(
                TROUBLE.words in batch and len(batch) == 2
                for batch in street.decoder.batches[batches:]
            )
        await answered(street, client)
        await client.socket.close()

    return trouble


def voice_fails(failure: BaseException, code: str) -> Trouble:
    async def trouble(street: Street) -> None:
        client = await street.knock()
        street.voice.failure = failure
        await client.say(TROUBLE.audio)
        assert await not_answered(client) == code
        await answered(street, client)
        await client.socket.close()

    return trouble


def llama_answers(answer: Answer) -> Trouble:
    async def trouble(street: Street) -> None:
        client = await street.knock()
        street.llama.failure = answer
        await client.say(TROUBLE.audio)
        assert await not_answered(client) == "reply_failed"
        await answered(street, client)
        await client.socket.close()

    return trouble


# --- a queue is full, and says so ---------------------------------------------------------------


async def recogniser_is_full(street: Street) -> None:
    """He commits more than may wait, while the recogniser is busy; what waited is transcribed."""
    client = await street.knock()
    by_hand = {"audio": {"input": {"turn_detection": None}}}
    await client.send("session.update", session=by_hand)
    await street.hold_up_the_recogniser()
    for _ in range(8):
        await client.say(TROUBLE.audio)
        await client.send("input_audio_buffer.commit")
    assert await not_transcribed(client) == "saturated"
    street.decoder.gate.open()
    kinds = ("completed", "failed")
    names = [f"conversation.item.input_audio_transcription.{kind}" for kind in kinds]
    while sum(len(client.of(name)) for name in names) < 8:
        await told(client, *names)
    assert client.of(names[0])
    await client.socket.close()


async def line_at_the_language_model_is_full(street: Street) -> None:
    """The neighbours' replies are being written; everybody else's place is taken."""
    client = await street.knock()
    with patch.object(EmbeddedReplier, "spare", False):  # a draft that is dropped makes room
        street.llama.gate.clear()
        await until(lambda: street.waiting[1] == 2)
        await asyncio.sleep(0.5)
        await until(lambda: street.waiting[1] == 2)
    async with AsyncExitStack() as crowd:
        with suppress(Saturated):
            while True:
                place = street.replier._turnstile.admit(owner=object())
                await crowd.enter_async_context(place)
        await client.say(TROUBLE.audio)
        assert await not_answered(client) == "saturated"
    street.llama.gate.set()
    await answered(street, client)
    await client.socket.close()


TROUBLES: dict[str, Trouble] = {
    "the recogniser raises": decoder_fails(RuntimeError("x"), "transcription_failed"),
    "the recogniser's thread dies": decoder_fails(
        SystemExit("x"), "transcription_failed", alone=True
    ),
    "the recogniser's queue is full": recogniser_is_full,
    "the language model answers nothing": llama_answers(nothing),
    "the language model is stuck while it reads": llama_answers(stream(reading(128), stuck)),
    "the language model is stuck while it writes": llama_answers(
        stream(words("This is it. And then"), stuck)
    ),
    "the language model refuses": llama_answers(status(500, {"error": {"message": "broken"}})),
    "the language model fails": llama_answers(
        stream(words("This is it. And"), {"error": {"message": "broken"}})
    ),
    "the language model hangs up": llama_answers(hang_up),
    "the language model hangs up while it writes": llama_answers(
        stream(words("This is it. And then"), cut)
    ),
    "the line at the language model is full": line_at_the_language_model_is_full,
    "the voice raises": voice_fails(RuntimeError("x"), "voice_failed"),
    "the voice's thread dies": voice_fails(SystemExit("x"), "voice_failed"),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_is_one_callers_alone(street, name):
    await beside_neighbours(street, TROUBLES[name])
