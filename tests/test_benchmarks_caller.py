"""The caller against a small server that plays one turn: what it sends, stamps and hears."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from benchmarks.caller import Caller, call, realtime_url
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, Pcm
from benchmarks.microphone import CHUNK_SAMPLES
from benchmarks.record import AUDIO_DELTA
from benchmarks.turn import session_with, take_turn

TIMER_S = 0.001
SPEECH = np.arange(1, 2 * CHUNK_SAMPLES + 101, dtype=np.int16)
REPLY = [
    np.concatenate([np.zeros(240, np.int16), np.full(2160, 9, np.int16)]),
    np.full(4800, 5000, np.int16),
]
"""100 ms under -50 dBFS, then 200 ms that can be heard."""


def as_clip(pcm: Pcm) -> Clip:
    return Clip("counting.flac", "speech", "one two three", pcm, 0, pcm.size - 1)


@dataclass
class OneTurnServer:
    """Hears one stretch of samples that are not zero, and answers it as section 1.4 says."""

    heard: list[bytes] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    truncated: list[dict[str, Any]] = field(default_factory=list)
    cancels: list[dict[str, Any]] = field(default_factory=list)
    closes: list[int | None] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    hold_second_delta: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(max_msg_size=32 * 2**20)
        await websocket.prepare(request)
        self.binary = request.query.get("audio") == "binary"
        self.websocket = websocket
        await self.say("session.created", session={})
        try:
            await self.converse(websocket)
        finally:
            self.closes.append(websocket.close_code)
            self.gone.set()
        return websocket

    async def converse(self, websocket: web.WebSocketResponse) -> None:
        async with asyncio.TaskGroup() as tasks:
            answering: asyncio.Task[None] | None = None
            async for message in websocket:
                if self.take_in(message) and answering is None and self.turn_is_over:
                    answering = tasks.create_task(self.answer())
                elif message.type is WSMsgType.TEXT:
                    await self.obey(json.loads(message.data))
            if answering is not None:
                answering.cancel()

    def take_in(self, message: Any) -> bool:
        """Keep the audio of a message; False for a message without audio."""
        audio = message.data
        if message.type is WSMsgType.TEXT:
            event = json.loads(message.data)
            if event["type"] != "input_audio_buffer.append":
                return False
            audio = base64.b64decode(event["audio"])
        self.heard.append(audio)
        self.messages.append(len(audio) // 2)
        return True

    @property
    def samples(self) -> Pcm:
        return np.frombuffer(b"".join(self.heard), "<i2")

    @property
    def turn_is_over(self) -> bool:
        """Speech was heard, and 40 ms of silence after it."""
        spoken = np.flatnonzero(self.samples)
        return bool(spoken.size) and self.samples.size - spoken[-1] > 2 * CHUNK_SAMPLES

    async def obey(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            await self.say("session.updated", session=event["session"])
        elif event["type"] == "conversation.item.truncate":
            self.truncated.append(event)
            await self.say("conversation.item.truncated", item_id=event["item_id"])
        elif event["type"] == "response.cancel":
            self.cancels.append(event)
            await self.say("response.done", response={"id": "resp_1", "status": "cancelled"})

    async def say(self, kind: str, **fields: Any) -> None:
        await self.websocket.send_json({"type": kind, "event_id": "event_1", **fields})

    async def answer(self) -> None:
        await self.say("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=0)
        await self.say("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=90)
        await self.say("input_audio_buffer.committed", item_id="item_U", previous_item_id=None)
        heard = "conversation.item.input_audio_transcription.completed"
        await self.say(heard, item_id="item_U", transcript="one two three")
        number = {"response_number": 7} if self.binary else {}
        running = {"id": "resp_1", "status": "in_progress"}
        await self.say("response.created", response=running, **number)
        ids = {"response_id": "resp_1", "output_index": 0}
        await self.say("response.output_item.added", item={"id": "item_A"}, **ids)
        written = "response.output_audio_transcript.delta"
        await self.say(written, item_id="item_A", delta="Three, ", **ids)
        await self.send_audio(REPLY[0], 0)
        if self.hold_second_delta is not None:
            await self.hold_second_delta.wait()
        await self.say(written, item_id="item_A", delta="two.", **ids)
        await self.send_audio(REPLY[1], REPLY[0].size)
        await self.say("response.done", response={"id": "resp_1", "status": "completed"})

    async def send_audio(self, pcm: Pcm, first_sample: int) -> None:
        if self.binary:
            header = struct.pack("<BBHII", 1, 0, 0, 7, first_sample)
            await self.websocket.send_bytes(header + pcm.tobytes())
        else:
            delta = base64.b64encode(pcm.tobytes()).decode()
            await self.say(AUDIO_DELTA, response_id="resp_1", item_id="item_A", delta=delta)


@asynccontextmanager
async def serving(server: OneTurnServer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v1/realtime", server.handle)
    async with TestServer(app) as running:
        yield f"http://127.0.0.1:{running.port}"


@asynccontextmanager
async def calling(server: OneTurnServer, *, binary: bool = False) -> AsyncIterator[Caller]:
    async with (
        serving(server) as url,
        call(url, binary=binary, session=session_with()) as caller,
    ):
        yield caller


@pytest.mark.parametrize("binary", [False, True])
async def test_speech_arrives_whole_at_the_number_that_it_was_given(binary: bool) -> None:
    server = OneTurnServer()
    async with calling(server, binary=binary) as caller:
        await caller.microphone.sent(CHUNK_SAMPLES)
        first_sample = caller.microphone.say(SPEECH)
        await caller.record.first("response.done")
    assert server.samples[first_sample : first_sample + SPEECH.size].tolist() == SPEECH.tolist()
    assert not server.samples[:first_sample].any()
    assert not server.samples[first_sample + SPEECH.size :].any()
    assert set(server.messages) == {CHUNK_SAMPLES}


async def test_no_sample_is_sent_before_it_could_have_been_recorded() -> None:
    async with calling(OneTurnServer()) as caller:
        begun_at = time.perf_counter()
        first_sample = caller.microphone.sent_samples
        await caller.microphone.sent(first_sample + 10 * CHUNK_SAMPLES)
        for chunk in range(1, 11):
            sample = first_sample + chunk * CHUNK_SAMPLES
            recorded_at = begun_at + (sample - first_sample) / SAMPLE_RATE_HZ
            assert caller.microphone.sent_at(sample) >= recorded_at - TIMER_S


async def test_samples_of_one_message_were_sent_at_one_time() -> None:
    async with calling(OneTurnServer()) as caller:
        microphone = caller.microphone
        await microphone.sent(2 * CHUNK_SAMPLES)
        assert microphone.sent_at(0) == microphone.sent_at(CHUNK_SAMPLES - 1)
        assert microphone.sent_at(CHUNK_SAMPLES) > microphone.sent_at(0)
        with pytest.raises(ValueError, match="not among"):
            microphone.sent_at(microphone.sent_samples)


@pytest.mark.parametrize("binary", [False, True])
async def test_both_encodings_leave_the_same_record(binary: bool) -> None:
    async with calling(OneTurnServer(), binary=binary) as caller:
        caller.microphone.say(SPEECH)
        await caller.record.first("response.done")
    audio = [e.event for e in caller.record.since(0, AUDIO_DELTA)]
    assert [(e["response_id"], e["first_sample"], e["samples"]) for e in audio] == [
        ("resp_1", 0, 2400),
        ("resp_1", 2400, 4800),
    ]
    reply = caller.record.reply("resp_1")
    assert reply.pcm.tolist() == np.concatenate(REPLY).tolist()
    assert (reply.item_id, reply.gaps) == ("item_A", 0)


@pytest.mark.parametrize("binary", [False, True])
async def test_stamps_are_arrivals_in_order(binary: bool) -> None:
    before = time.perf_counter()
    async with calling(OneTurnServer(), binary=binary) as caller:
        first_sample = caller.microphone.say(SPEECH)
        await caller.record.first("response.done")
    stamps = [stamped.at for stamped in caller.record.events]
    assert stamps == sorted(stamps)
    assert before < stamps[0]
    assert stamps[-1] < time.perf_counter()
    started = next(caller.record.since(0, "input_audio_buffer.speech_started"))
    assert started.at > caller.microphone.sent_at(first_sample + SPEECH.size - 1)


async def test_a_turn_is_measured_from_its_last_voiced_sample_to_the_first_audible_one() -> None:
    async with calling(OneTurnServer()) as caller:
        turn = await take_turn(caller, as_clip(SPEECH))
    assert turn.outcome == "answered"
    assert turn.heard == "one two three"
    assert turn.response is not None
    assert turn.response.transcript == "Three, two."
    first, second = caller.record.reply("resp_1").pieces
    assert turn.first_audio_at == max(second.arrived_at, first.arrived_at + 0.1)
    stages = turn.stages_ms
    assert all(ms is not None and ms >= 0 for ms in stages.values())
    parts = list(stages.values())[:4]
    whole = stages["end of speech -> first audio"]
    assert sum(ms or 0.0 for ms in parts) == pytest.approx(whole, abs=0.3)


async def test_who_is_interrupted_while_listening_tells_how_much_was_heard() -> None:
    server = OneTurnServer()
    async with calling(server) as caller:
        caller.microphone.say(SPEECH)
        await caller.record.first("response.done")
        await server.say("input_audio_buffer.speech_started", item_id="item_U2")
        assert await caller.record.first("conversation.item.truncated")
    (told,) = server.truncated
    assert (told["item_id"], told["content_index"]) == ("item_A", 0)
    assert 0 <= told["audio_end_ms"] <= 300
    assert caller.record.reply("resp_1").stopped_at is not None


async def test_a_muted_caller_sends_nothing_until_it_is_unmuted() -> None:
    server = OneTurnServer()
    async with calling(server) as caller:
        await caller.microphone.sent(CHUNK_SAMPLES)
        caller.microphone.mute()
        await asyncio.sleep(0.03)
        sent = caller.microphone.sent_samples
        await asyncio.sleep(0.06)
        assert caller.microphone.sent_samples == sent
        caller.microphone.unmute()
        await caller.microphone.sent(sent)


async def test_any_amount_can_be_sent_at_once() -> None:
    server = OneTurnServer()
    async with calling(server) as caller:
        await caller.microphone.send_at_once(np.ones(2**21, np.int16))
        assert await caller.record.first("response.done")
        assert 2**21 in server.messages
        assert caller.microphone.sent_at(0) <= caller.microphone.sent_at(2**20)


async def test_a_response_can_be_cancelled() -> None:
    server = OneTurnServer(hold_second_delta=asyncio.Event())
    async with calling(server) as caller:
        caller.microphone.say(SPEECH)
        await caller.record.first(AUDIO_DELTA)
        await caller.cancel("resp_1")
        done = await caller.record.first("response.done")
    assert done is not None
    assert done.event["response"]["status"] == "cancelled"
    assert [event["response_id"] for event in server.cancels] == ["resp_1"]


async def test_who_vanishes_says_no_goodbye_and_waits_for_nothing_more() -> None:
    server = OneTurnServer()
    async with serving(server) as url, call(url) as caller:
        await caller.microphone.sent(CHUNK_SAMPLES)
        caller.vanish()
        await asyncio.wait_for(server.gone.wait(), 5)
        with pytest.raises(ConnectionError, match="vanished"):
            await caller.record.first("response.done")
    assert server.closes in ([None], [1006])


async def test_waiting_ends_when_the_server_closes() -> None:
    server = OneTurnServer()
    async with calling(server) as caller:
        await server.websocket.close(code=1001)
        with pytest.raises(ConnectionError, match="1001"):
            await caller.record.first("response.done")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://host:8000", "ws://host:8000/v1/realtime"),
        ("https://host/", "wss://host/v1/realtime"),
        ("ws://host:8000/v1/realtime", "ws://host:8000/v1/realtime"),
    ],
)
def test_addresses(given: str, address: str) -> None:
    assert realtime_url(given) == address
    assert realtime_url(given, binary=True) == address + "?audio=binary"
