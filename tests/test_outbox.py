"""What waits to be sent: in order, bounded, and dropped by response."""

from __future__ import annotations

import asyncio

import pytest

from realtime import outbox, server_events
from realtime.outbox import AudioChunk, Outbox, OutboxFull


def chunk(response: str, samples: int = 4_800) -> AudioChunk:
    return AudioChunk(response, 1, "item", 0, samples, samples / 24_000, bytes(2 * samples))


async def test_things_leave_in_order_and_every_event_has_its_own_id():
    box = Outbox()
    box.put(server_events.AudioCleared())
    box.put_audio(chunk("a"))
    box.put(server_events.AudioCleared())
    box.close()
    found = [await box.get() for _ in range(4)]
    assert [type(f).__name__ for f in found] == [
        "AudioCleared",
        "AudioChunk",
        "AudioCleared",
        "NoneType",
    ]
    assert found[0].event_id != found[2].event_id


async def test_audio_of_one_response_is_dropped_and_counted():
    box = Outbox()
    box.put_audio(chunk("a"))
    box.put_audio(chunk("b"))
    box.put_audio(chunk("a"))
    assert box.drop_audio("a") == 9_600
    assert box.dropped_samples == 9_600
    assert (await box.get()).response_id == "b"


async def test_a_reply_pauses_while_the_client_does_not_read():
    box = Outbox()
    second = 24_000
    for _ in range(outbox.MAX_AUDIO_S):
        box.put_audio(chunk("a", second))
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.get()
    await asyncio.wait_for(waiting, 5)


async def test_dropping_lets_a_paused_reply_go_on():
    box = Outbox()
    box.put_audio(chunk("a", outbox.MAX_AUDIO_S * 24_000))
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    box.drop_audio("a")
    await asyncio.wait_for(waiting, 5)


async def test_a_client_that_reads_nothing_is_given_up():
    box = Outbox()
    for _ in range(outbox.MAX_EVENTS):
        box.put(server_events.AudioCleared())
    with pytest.raises(OutboxFull):
        box.put(server_events.AudioCleared())


async def test_who_has_many_events_to_take_is_asked_for_nothing_more():
    box = Outbox()
    for _ in range(outbox.MAX_UNREAD + 1):
        box.put(server_events.AudioCleared())
    waiting = asyncio.create_task(box.caught_up())
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.get()
    await asyncio.wait_for(waiting, 5)
    box.put(server_events.AudioCleared())
    waiting = asyncio.create_task(box.caught_up())
    await asyncio.sleep(0)
    assert not waiting.done()
    box.close()
    await asyncio.wait_for(waiting, 5)


async def test_audio_is_none_of_these_events():
    box = Outbox()
    for _ in range(2 * outbox.MAX_UNREAD):
        box.put_audio(chunk("a", 2))
    await asyncio.wait_for(box.caught_up(), 5)
