"""Where a turn's milliseconds went: the bookkeeping as a story, then over a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from realtime import server_events as told
from realtime.faint_end import faint_end
from realtime.outbox import AudioChunk
from realtime.speaker import Manners
from realtime.turn_timing import TurnTiming, TurnWatch
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn

TIMING = "banter.turn.timing"
CHUNK_BYTES = 24_000 // 50 * 2
SPEECH = clip("ls_6930_0000")[: 24_000 * 2 * 3]
BINARY = "?audio=binary"


def committed(item_id: str) -> told.AudioCommitted:
    return told.AudioCommitted(previous_item_id=None, item_id=item_id)


def heard(item_id: str, transcript: str = "Hello.") -> told.TranscriptionCompleted:
    return told.TranscriptionCompleted(
        item_id=item_id, content_index=0, transcript=transcript, usage={}
    )


def created(response_id: str, conversation: str | None = "conv_1") -> told.ResponseCreated:
    response = {"id": response_id, "conversation_id": conversation}
    return told.ResponseCreated(response=response, response_number=7)


def words(response_id: str) -> told.TranscriptDelta:
    return told.TranscriptDelta(
        response_id=response_id, item_id="reply", output_index=0, content_index=0, delta="Well"
    )


def sound(response_id: str) -> AudioChunk:
    return AudioChunk(response_id, 7, "reply", 0, 1, 0.0, b"\0\0")


def done(response_id: str, status: str) -> told.ResponseDone:
    return told.ResponseDone(response={"id": response_id, "status": status})


def said(watch: TurnWatch, *sent: tuple[Any, float]) -> list[TurnTiming]:
    found = [watch.sent(item, at) for item, at in sent]
    return [timing for timing in found if timing]


def after_a_turn(item_id: str = "user", *, speculated: bool = False) -> TurnWatch:
    """Speech ended at 10 s, which was known at 10.3 s."""
    watch = TurnWatch()
    watch.ended(item_id, 10.3, 0.3, lambda: speculated)
    return watch


def test_every_moment_is_counted_from_the_end_of_speech() -> None:
    [timing] = said(
        after_a_turn(speculated=True),
        (committed("user"), 10.301),
        (heard("user"), 10.4),
        (created("resp"), 10.41),
        (words("resp"), 10.5),
        (words("resp"), 10.55),
        (sound("resp"), 10.6),
        (sound("resp"), 10.7),
        (done("resp", "completed"), 12.0),
    )
    assert (timing.item_id, timing.response_id, timing.response_number) == ("user", "resp", 7)
    assert timing.end_of_speech_ms == 0
    times = (timing.decision_ms, timing.transcript_ms, timing.text_ms, timing.audio_ms)
    assert times == pytest.approx((300, 400, 500, 600), abs=0.11)
    assert timing.speculated


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_reply_without_audio_is_told_at_its_end(status: str) -> None:
    [timing] = said(
        after_a_turn(),
        (committed("user"), 10.3),
        (created("resp"), 10.4),
        (done("resp", status), 11),
    )
    assert timing.transcript_ms is timing.text_ms is timing.audio_ms is None
    assert not timing.speculated


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_a_reply_that_nobody_heard_is_none(status: str) -> None:
    ended = (committed("user"), 10.3), (created("resp"), 10.4), (done("resp", status), 11)
    later = (created("next"), 12), (sound("next"), 13)
    assert said(after_a_turn(), *ended, *later) == []


@pytest.mark.parametrize(
    "between",
    [
        committed("other"),
        told.ItemAdded(previous_item_id=None, item={"id": "typed", "role": "user"}),
        heard("user", ""),
    ],
)
def test_a_turn_that_something_else_follows_has_no_reply(between: told.ServerEvent) -> None:
    watch = after_a_turn()
    before = (committed("user"), 10.3), (between, 10.4)
    assert said(watch, *before, (created("resp"), 10.5), (sound("resp"), 10.6)) == []


def test_an_aside_is_no_reply() -> None:
    [timing] = said(
        after_a_turn(),
        (committed("user"), 10.3),
        (created("aside", conversation=None), 10.4),
        (sound("aside"), 10.5),
        (done("aside", "completed"), 10.6),
        (created("resp"), 10.7),
        (sound("resp"), 10.8),
    )
    assert timing.response_id == "resp"


def test_a_reply_that_goes_on_is_none_to_the_noise_over_it() -> None:
    watch = after_a_turn()
    said(watch, (committed("user"), 10.3))
    watch.resumed()
    assert said(watch, (created("resp"), 10.5), (sound("resp"), 10.6)) == []


def test_what_is_faint_after_speech_is_silence_already() -> None:
    loud, faint = np.full(16_000, 8_000, np.int16), np.full(800, 100, np.int16)
    assert faint_end(np.concatenate((loud, faint))) == 800
    assert faint_end(loud) == 0
    assert faint_end(np.concatenate((loud, np.tile(faint, 10)))) == 3_200
    assert faint_end(np.zeros(100, np.int16)) == 0
    assert faint_end(np.zeros(1_600, np.int16)) == 0


# --- over a real socket ------------------------------------------------------------------------


@pytest.fixture
def manners(request: pytest.FixtureRequest) -> Manners:
    return Manners(pacing=None, speculates=getattr(request, "param", False))


async def speak(client, audio: bytes) -> None:
    """As a microphone does: 20 ms every 20 ms."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for n, start in enumerate(range(0, len(audio), CHUNK_BYTES)):
        await client.socket.send_bytes(audio[start : start + CHUNK_BYTES])
        await asyncio.sleep(max(0.0, begun + 0.02 * n - loop.time()))


async def messages(client, until: str) -> list[tuple[str, float]]:
    """Types of events, `audio` for a frame, and when each came, to the first event `until`."""
    came = []
    while not came or came[-1][0] != until:
        event = await client.next()
        came.append((event["type"] if event else "audio", asyncio.get_running_loop().time()))
    return came


async def test_what_is_told_is_what_was_seen(connect, runtime) -> None:
    client = await connect(BINARY)
    speaking = asyncio.create_task(speak(client, quiet(0.2) + SPEECH + quiet(1.2)))
    came = await messages(client, "response.done")
    await speaking
    [timing] = client.of(TIMING)
    kinds = [kind for kind, _ in came]
    assert kinds.index(TIMING) == kinds.index("audio") + 1

    first = {kind: at for kind, at in reversed(came)}
    decided = first["input_audio_buffer.speech_stopped"]
    since = {
        "transcript_ms": first["conversation.item.input_audio_transcription.completed"],
        "text_ms": first["response.output_audio_transcript.delta"],
        "audio_ms": first["audio"],
    }
    assert 400 < timing["decision_ms"] < 620  # the silence that ends a turn is 500 ms
    for name, at in since.items():
        seen_ms = (at - decided) * 1000
        # as closely as a busy machine reads what has come
        assert timing[name] - timing["decision_ms"] == pytest.approx(seen_ms, abs=200)
    assert timing["event_id"]
    [started] = client.of("input_audio_buffer.speech_started")
    [response] = client.of("response.created")
    assert timing["item_id"] == started["item_id"]
    assert timing["response_id"] == response["response"]["id"]
    assert timing["response_number"] == response["response_number"]
    assert timing["end_of_speech_ms"] == 0
    assert timing["speculated"] is False


@pytest.mark.parametrize("manners", [True], indirect=True)
async def test_a_reply_that_was_begun_in_the_pause_says_so(connect, runtime) -> None:
    runtime.end_of_turn = FakeEndOfTurn()
    client = await connect(BINARY)
    speaking = asyncio.create_task(speak(client, quiet(0.2) + SPEECH + quiet(1.2)))
    timing = await client.until(TIMING)
    await speaking
    assert timing["speculated"] is True


async def test_push_to_talk_counts_from_the_commit(connect) -> None:
    client = await connect(BINARY)
    await client.send("session.update", session={"audio": {"input": {"turn_detection": None}}})
    await client.until("session.updated")
    await client.socket.send_bytes(SPEECH)
    await client.send("input_audio_buffer.commit")
    await client.send("response.create")
    timing = await client.until(TIMING)
    assert timing["decision_ms"] == 0
    assert 0 <= timing["transcript_ms"] <= timing["text_ms"] <= timing["audio_ms"] < 5_000


async def test_typed_words_and_sockets_without_binary_audio_are_told_nothing(connect) -> None:
    strict = await connect()
    await strict.say(quiet(0.2) + SPEECH + quiet(1))
    await strict.until("rate_limits.updated")
    client = await connect(BINARY)
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    await client.send("conversation.item.create", item=typed)
    await client.send("response.create")
    await client.until("rate_limits.updated")
    assert not strict.of(TIMING)
    assert not client.of(TIMING)


async def test_a_turn_of_only_noise_is_told_nothing(connect, runtime) -> None:
    runtime.transcriber.texts = ["", "hello there"]
    client = await connect(BINARY)
    await client.socket.send_bytes(quiet(0.2) + SPEECH + quiet(1))
    await client.until("conversation.item.input_audio_transcription.completed")
    await client.socket.send_bytes(SPEECH + quiet(1))
    timing = await client.until(TIMING)
    stopped = [e["item_id"] for e in client.of("input_audio_buffer.speech_stopped")]
    assert timing["item_id"] == stopped[-1]
    assert len(stopped) == 2
    assert json.dumps(timing).count("null") == 0
