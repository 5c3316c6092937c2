"""Whatever happens to one caller, or is done by one, the others' answers are whole and in time.

Each row of `TROUBLES` makes one trouble while two neighbours talk, who look at every answer to the
last sample. The troubled caller is told what is promised and, where he is still there, is answered
the next time. In the end the process holds what it held before.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
import pytest_asyncio

from realtime.errors import Saturated
from tests.client import Client
from tests.leaks import at_rest, settled
from tests.llm_endpoint import Answer, cut, hang_up, nothing, status, stream, stuck, words
from tests.neighbour import Neighbour
from tests.street import (
    CONCORD,
    FROG,
    PATIENCE_S,
    TROUBLE,
    Street,
    a_street,
    reading,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

Trouble = Callable[[Street], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(models) -> AsyncIterator[Street]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realtime.engines.llm.SILENCE_TIMEOUT_S", 0.3)
        patch.setattr("realtime.engines.llm.SILENT_S", 0.1)
        patch.setattr("realtime.engines.whisper.MAX_WAITING_S", 12.0)
        patch.setattr("realtime.websocket.STALLED_S", 0.3)
        async with a_street(models["whisper"]) as street:
            yield street


# --- a stage fails, and says so -----------------------------------------------------------------


async def told(client: Client, *types: str) -> dict:
    """The event that comes within the time that anybody waits."""
    async with asyncio.timeout(PATIENCE_S):
        return await client.until(*types)


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


def decoder_fails(failure: BaseException, code: str) -> Trouble:
    """On a batch that holds a neighbour's utterance, too, where the failure allows for it."""

    async def trouble(street: Street) -> None:
        client = await street.knock()
        if isinstance(failure, SystemExit):  # who dies with others in a batch: see below
            prompt = {"audio": {"input": {"transcription": {"prompt": "a batch of its own"}}}}
            await client.send("session.update", session=prompt)
        waiting = await street.hold_up_the_recogniser()
        street.decoder.failure = failure
        await client.say(TROUBLE.audio)
        await until(lambda: street.waiting[0] == waiting + 1)
        street.decoder.gate.open()
        assert await not_transcribed(client) == code
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
    assert len(client.of(names[0])) >= 3
    await client.socket.close()


async def line_at_the_language_model_is_full(street: Street) -> None:
    """The neighbours' replies are being written; everybody else's place is taken."""
    client = await street.knock()
    street.llama.gate.clear()
    before = street.llama.replies
    await until(lambda: street.llama.replies == before + 2)
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


# --- the caller is gone, or does not read -------------------------------------------------------


async def gone(street: Street, client: Client) -> None:
    """Without a goodbye, as when a process dies; the server notices, and ends the session."""
    connection = client.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()
    await until(lambda: street.callers == 2)


async def gone_in_mid_turn(street: Street) -> None:
    client = await street.knock()
    await client.say(TROUBLE.audio[:100_000])
    await told(client, "input_audio_buffer.speech_started")
    await gone(street, client)


async def gone_while_transcribed(street: Street) -> None:
    client = await street.knock()
    street.decoder.gate.close(to_trouble=True)
    await client.say(TROUBLE.audio)
    await until(lambda: TROUBLE.words in street.decoder.batches[-1])
    await gone(street, client)
    street.decoder.gate.open()


async def gone_while_he_waits_for_the_recogniser(street: Street) -> None:
    """His utterance is dropped before it costs anything."""
    client = await street.knock()
    waiting = await street.hold_up_the_recogniser()
    batches = len(street.decoder.batches)
    await client.say(TROUBLE.audio)
    await until(lambda: street.waiting[0] == waiting + 1)
    await gone(street, client)
    assert street.waiting[0] == waiting
    street.decoder.gate.open()
    await until(lambda: len(street.decoder.batches) > batches)
    assert all(TROUBLE.words not in batch for batch in street.decoder.batches[batches:])


async def gone_while_the_language_model_reads(street: Street) -> None:
    await gone_from_the_language_model(street, stream(reading(128), stuck))


async def gone_while_the_language_model_writes(street: Street) -> None:
    await gone_from_the_language_model(street, stream(words("Now listen. And"), stuck))


async def gone_from_the_language_model(street: Street, answer: Answer) -> None:
    """The connection is closed, so that llama.cpp stops."""
    client = await street.knock()
    street.llama.failure = answer
    street.llama.waiting.clear()
    street.llama.hung_up.clear()
    await client.say(TROUBLE.audio)
    async with asyncio.timeout(PATIENCE_S):
        await street.llama.waiting.wait()
        await gone(street, client)
        await street.llama.hung_up.wait()


async def gone_while_the_voice_speaks(street: Street) -> None:
    client = await street.knock()
    street.voice.gate.close(to_trouble=True)
    await client.say(TROUBLE.audio)
    await until(lambda: TROUBLE.words in street.voice.spoken[-1])
    await gone(street, client)
    street.voice.gate.open()


async def gone_while_he_waits_for_the_voice(street: Street) -> None:
    """His piece is dropped before it costs anything."""
    client = await street.knock()
    street.voice.gate.close()
    await until(lambda: street.waiting[2])
    spoken = len(street.voice.spoken)
    await client.say(TROUBLE.audio)
    await until(lambda: street.waiting[2] == 2)
    await gone(street, client)
    assert street.waiting[2] == 1
    street.voice.gate.open()
    await until(lambda: len(street.voice.spoken) > spoken)
    assert all(TROUBLE.words not in text for text in street.voice.spoken[spoken:])


async def gone_while_he_is_sent_audio(street: Street) -> None:
    client = await street.knock()
    street.voice.long = True
    await client.say(TROUBLE.audio)
    await told(client, "response.output_audio.delta")
    await gone(street, client)


async def never_reads(street: Street) -> None:
    """Minutes of a reply are made for him, and wait, until he is closed with 1008."""
    street.voice.long = True
    _, writer = await bare_socket(street)
    writer.write(frame({"type": "input_audio_buffer.append", "audio": b64(TROUBLE.audio)}))
    await until(lambda: street.callers == 3)
    await until(lambda: street.callers == 2)
    writer.close()


async def gone_in_mid_frame(street: Street) -> None:
    """The head of a frame and half of its body come, and then a reset."""
    _, writer = await bare_socket(street)
    message = frame({"type": "input_audio_buffer.append", "audio": b64(TROUBLE.audio)})
    writer.write(message[: len(message) // 2])
    await until(lambda: street.callers == 3)
    writer.transport.abort()
    await until(lambda: street.callers == 2)


async def bare_socket(street: Street) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A session over a socket that is read no further than its first event, and holds little."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect((street.server.host, street.server.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1_024)
    writer.write(
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"session.created")
    return reader, writer


def frame(message: dict[str, str]) -> bytes:
    """A text message of 64 KiB or more as a client sends it, masked with zeros."""
    data = json.dumps(message).encode()
    return struct.pack(">BBQI", 0x81, 0x80 | 127, len(data), 0) + data


def b64(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


TROUBLES: dict[str, Trouble] = {
    "the recogniser raises": decoder_fails(RuntimeError("x"), "transcription_failed"),
    "the recogniser's thread dies": decoder_fails(SystemExit("x"), "server_failed"),
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
    "the voice's thread dies": voice_fails(SystemExit("x"), "server_failed"),
    "gone in mid-frame": gone_in_mid_frame,
    "gone in mid-turn": gone_in_mid_turn,
    "gone while transcribed": gone_while_transcribed,
    "gone while he waits for the recogniser": gone_while_he_waits_for_the_recogniser,
    "gone while the language model reads": gone_while_the_language_model_reads,
    "gone while the language model writes": gone_while_the_language_model_writes,
    "gone while the voice speaks": gone_while_the_voice_speaks,
    "gone while he waits for the voice": gone_while_he_waits_for_the_voice,
    "gone while he is sent audio": gone_while_he_is_sent_audio,
    "never reads": never_reads,
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_is_one_callers_alone(street, name):
    neighbours = [Neighbour(await street.knock(), saying) for saying in (CONCORD, FROG)]
    try:
        for neighbour in neighbours:
            await neighbour.turn()
        before = await at_rest()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as talks, asyncio.timeout(PATIENCE_S):
            for neighbour in neighbours:
                talks.create_task(neighbour.talk(over))
            await TROUBLES[name](street)
            over.set()
        assert await settled(before) == before
        assert street.waiting == (0, 0, 0)
        assert all(neighbour.turns >= 3 for neighbour in neighbours)
    finally:
        await street.empty()
