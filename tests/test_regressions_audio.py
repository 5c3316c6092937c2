"""Mended once: the input audio buffer, at commits, clears and changes of turn detection."""

from __future__ import annotations

import asyncio

import numpy as np

from realtime.ear import RELISTEN_SAMPLES, SLICE_SAMPLES, Ear
from realtime.errors import HearingError
from realtime.formats import Format
from realtime.session_config import ServerVad
from tests.client import Client, clip, quiet

SLICE = bytes(4_800)
"""100 ms of silence at 24 kHz."""


async def detect(client: Client, detection: dict[str, object] | None) -> None:
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.until("session.updated")


async def one_turn(client: Client) -> None:
    """Speech, and then nothing more is sent: the turn's end is the end of what was heard."""
    await client.say(quiet(0.3) + clip("ls_6930_0000"))
    await client.until("input_audio_buffer.committed")


# --- clear ------------------------------------------------------------------------------------


async def test_clears_do_not_move_the_clients_clock(detector):
    ear = Ear(detector, owner="test")
    ear.configure(ServerVad(), Format())
    for _ in range(20):
        for _ in range(5):
            await ear.hear(SLICE)
        ear.clear()
    assert abs(ear.client_ms(ear.turns.position) - 20 * 500) <= 20


async def test_clear_keeps_the_byte_order(detector):
    """Half a sample came before the clear and the other half after it."""
    ear = Ear(detector, owner="test")
    ear.configure(None, Format())
    tone = (np.sin(np.arange(24_000) * 0.05) * 8_000).astype("<i2").tobytes()
    await ear.hear(tone[:4_801])
    ear.clear()
    await ear.hear(tone[4_801:])
    heard = ear.commit().astype(float)
    assert np.abs(np.diff(heard)).max() < 2_000  # swapped bytes make steps of 30 000


# --- what was committed with a turn is not heard again ----------------------------------------


async def test_a_commit_right_after_a_turn_finds_nothing(connect):
    client = await connect()
    await detect(client, {"create_response": False})
    await one_turn(client)
    await client.send("input_audio_buffer.commit")
    answer = await client.until("error", "input_audio_buffer.committed")
    assert answer["type"] == "error"
    assert answer["error"]["code"] == "input_audio_buffer_commit_empty"


async def test_a_turn_is_not_committed_again_when_detection_is_turned_off(connect, runtime):
    client = await connect()
    await one_turn(client)
    await client.until("conversation.item.input_audio_transcription.completed")
    await detect(client, None)
    await client.say(quiet(0.5))
    await client.send("input_audio_buffer.commit")
    await client.until("conversation.item.input_audio_transcription.completed")
    assert len(runtime.transcriber.heard[1]) <= 0.56 * 16_000


async def test_a_turn_is_not_heard_again_when_detection_is_turned_off_and_on(connect):
    client = await connect()
    await one_turn(client)
    await client.until("response.done")
    await detect(client, None)
    await detect(client, {"type": "server_vad"})
    await client.say(quiet(1.5))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")  # by now all of it was listened to
    assert len(client.of("input_audio_buffer.speech_started")) == 1


# --- turn detection turned off and on ---------------------------------------------------------


async def test_speech_that_started_stops_when_detection_is_turned_off(connect):
    client = await connect()
    await client.say(clip("ls_6930_0000"))
    await client.until("input_audio_buffer.speech_started")
    await detect(client, None)
    await client.send("input_audio_buffer.commit")
    await client.until("input_audio_buffer.committed")
    assert len(client.of("input_audio_buffer.speech_stopped")) == 1


async def test_detection_turned_on_after_minutes_does_not_hold_up_the_loop(detector):
    """What is listened to again is bounded, and others have their turn after every slice of it."""
    ear = Ear(detector, owner="test")
    ear.configure(None, Format())
    for _ in range(60 * 10):
        await ear.hear(SLICE)
    ear.configure(ServerVad(), Format())
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await ear.hear(SLICE)
    counting.cancel()
    slices = RELISTEN_SAMPLES // SLICE_SAMPLES
    assert slices <= turns <= slices + 2


# --- audio that is lost, hearing that fails ---------------------------------------------------


async def test_audio_that_is_being_lost_is_told_once(connect, monkeypatch):
    monkeypatch.setattr("realtime.ear.MAX_LOG_SAMPLES", 16_000)
    client = await connect()
    await detect(client, None)
    for _ in range(3):
        await client.say(quiet(1.2))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    [error] = client.of("error")
    assert error["error"]["code"] == "input_audio_buffer_full"
    assert " 0 s" not in error["error"]["message"]


async def test_a_detector_that_fails_costs_its_audio_and_not_the_session(connect, runtime):
    class Failing:
        async def probabilities(self, *windows: object, **owner: object) -> list[float]:
            raise HearingError("x")

    runtime.detector = Failing()
    client = await connect()
    await client.say(clip("ls_6930_0000"))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    assert {e["error"]["code"] for e in client.of("error")} == {"speech_detection_failed"}
