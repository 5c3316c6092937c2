"""A caller is gone at any stage of his turn, or does not read; the others' answers are whole.

Each row of `TROUBLES` is one way to go, while two neighbours talk. Whatever was being made for him
is stopped, and what had not begun never costs anything.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct

import pytest

from tests.client import Client
from tests.llm_endpoint import Answer, stream, stuck, words
from tests.neighbour import Trouble, beside_neighbours, told
from tests.street import Street, until
from tests.weights import PATIENCE_S, TROUBLE, reading

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    await street.hold_up_the_recogniser()
    batches = len(street.decoder.batches)
    await client.say(TROUBLE.audio)
    await until(lambda: street.waiting[0] == 2)
    await gone(street, client)
    assert street.waiting[0] == 1
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
    await beside_neighbours(street, TROUBLES[name])
