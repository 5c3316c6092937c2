"""Words while somebody speaks, over a real socket: real audio, the real recogniser, real time."""

from __future__ import annotations

import asyncio

import pytest

from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from tests.client import clip, quiet
from tests.fakes import FakeTranscriber

CHUNK_BYTES = 24_000 // 50 * 2
HEARD = "conversation.item.input_audio_transcription"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


async def speak(client, audio: bytes) -> None:
    """As a microphone does: 20 ms every 20 ms."""
    for start in range(0, len(audio), CHUNK_BYTES):
        await client.say(audio[start : start + CHUNK_BYTES])
        await asyncio.sleep(0.02)


@pytest.fixture
async def whisper(models, runtime):
    engine = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    engine.load()
    engine.warm()
    engine.start()
    runtime.transcriber = engine
    yield engine
    await engine.close()


@pytest.mark.pace
async def test_words_come_while_they_are_spoken_and_none_is_taken_back(whisper, connect):
    client = await connect()
    speaking = asyncio.create_task(speak(client, quiet(0.3) + clip("jfk") + quiet(1.5)))
    done = await client.until(f"{HEARD}.completed")
    while client.types().count(STARTED) > client.types().count(f"{HEARD}.completed"):
        await client.until(f"{HEARD}.completed")
    await speaking
    begins = [n for n, e in enumerate(client.events) if e["type"] == STARTED]
    early = 0
    for begin in begins:
        item = client.events[begin]["item_id"]
        mine = [e for e in client.events if e.get("item_id") == item]
        order = [e["type"] for e in mine]
        deltas = [e["delta"] for e in mine if e["type"] == f"{HEARD}.delta"]
        early += f"{HEARD}.delta" in order[: order.index(STOPPED)]
        [completed] = [e for e in mine if e["type"] == f"{HEARD}.completed"]
        told, final = "".join(deltas).lower().split(), completed["transcript"].lower().split()
        assert len(set(told) ^ set(final)) <= max(3, len(final) // 2)
        assert order.index(f"{HEARD}.completed") > max(
            n for n, kind in enumerate(order) if kind == f"{HEARD}.delta"
        )
    assert early == len(begins)
    assert done["content_index"] == 0


async def test_a_client_that_wants_no_transcripts_is_told_no_words(runtime, connect):
    runtime.transcriber = FakeTranscriber(["so my"], spare=True)
    client = await connect(transcription=False)
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.done")
    assert not client.of(f"{HEARD}.delta")
    assert [u.rank for u in runtime.transcriber.asked] == [0]


async def test_deltas_before_and_after_the_end_are_the_transcript(runtime, connect):
    runtime.transcriber = FakeTranscriber(
        ["so my", "so my fellow", "so my fellow men", "So my fellow men."], spare=True
    )
    client = await connect()
    await speak(client, quiet(0.3) + clip("ls_6930_0000")[: 24_000 * 3] + quiet(1))
    completed = await client.until(f"{HEARD}.completed")
    deltas = "".join(e["delta"] for e in client.of(f"{HEARD}.delta"))
    assert deltas.lower() == completed["transcript"].lower()
    types = [e["type"] for e in client.events]
    assert types.index(f"{HEARD}.delta") < types.index(STOPPED)


async def test_cleared_audio_shows_no_more_words(runtime, connect):
    gate = asyncio.Event()
    runtime.transcriber = FakeTranscriber(["so my", "so my fellow"], spare=True, gate=gate)
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000")[: 24_000 * 3])
    await client.until(STARTED)
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    gate.set()
    await client.send("session.update", session={"type": "realtime"})
    await client.until("session.updated")
    assert not client.of(f"{HEARD}.delta")
