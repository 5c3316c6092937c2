"""Words that are read in a pause, and the end of the turn: real sockets, ears and speech."""

from __future__ import annotations

import asyncio

import pytest

from realtime.endpointing import by_model
from realtime.errors import ReplyError
from realtime.speaker import Manners
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn, FakeReader, FakeTranscriber
from tests.street import until
from tests.test_endpointing import IN_DOUBT, LIKELY
from tests.test_speculation import NAME, STOPPED, speak

WAITS = by_model()


@pytest.fixture
def manners():
    return Manners(pacing=None, speculates=True)


async def waited_ms(connect) -> float:
    """What the last pause of a sentence lasted, by the client's clock."""
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(2))
    stopped = await client.until(STOPPED)
    started = client.of("input_audio_buffer.speech_started")[0]
    assert len(client.of("input_audio_buffer.speech_started")) == 1
    return stopped["audio_end_ms"] - started["audio_start_ms"] - SPOKEN_MS


SPOKEN_MS = 3_060
"""From the start of the turn to its last frame of speech, as `silence_duration_ms` shows it."""


async def test_the_words_alone_tell_where_no_model_listens(connect, runtime):
    runtime.reader = FakeReader(1.0)
    assert await waited_ms(connect) == pytest.approx(WAITS.read.complete_ms, abs=60)
    runtime.reader = FakeReader(0.0)
    assert await waited_ms(connect) == pytest.approx(WAITS.read.incomplete_ms, abs=60)
    assert [m.text for m in runtime.reader.prompts[-1]] == ["be kind", "hello there"]


@pytest.mark.parametrize("words", [0.0, 1.0])
async def test_words_that_leave_no_doubt_spare_the_model_that_listens(connect, runtime, words):
    runtime.end_of_turn = FakeEndOfTurn([0.5])
    runtime.reader = FakeReader(words)
    expected = WAITS.read.complete_ms if words else WAITS.read.incomplete_ms
    assert await waited_ms(connect) == pytest.approx(expected, abs=60)
    assert runtime.end_of_turn.heard == []


@pytest.mark.parametrize("sound", [0.0, 1.0])
async def test_a_doubt_is_left_to_the_sound_after_a_short_silence(connect, runtime, sound):
    runtime.end_of_turn = FakeEndOfTurn([sound])
    runtime.reader = FakeReader(IN_DOUBT)
    expected = WAITS.read.complete_ms if sound else WAITS.read.incomplete_ms
    assert await waited_ms(connect) == pytest.approx(expected, abs=60)
    heard_ms = len(runtime.end_of_turn.heard[-1]) // 16
    assert heard_ms == pytest.approx(SPOKEN_MS + 120, abs=1)


@pytest.mark.parametrize(
    ("words", "wait_ms"), [(LIKELY, WAITS.silence_ms), (IN_DOUBT, WAITS.read.incomplete_ms)]
)
async def test_a_sound_that_is_not_judged_leaves_it_to_the_words(connect, runtime, words, wait_ms):
    runtime.end_of_turn = FakeEndOfTurn([0.5], gate=asyncio.Event())
    runtime.reader = FakeReader(words)
    assert await waited_ms(connect) == pytest.approx(wait_ms, abs=60)


async def test_whoever_sends_a_tenth_of_a_second_at_once_spares_it_too(connect, runtime):
    """Both the pause and the silence after which it would be listened to are in one message."""
    runtime.end_of_turn = FakeEndOfTurn([0.5])
    runtime.reader = FakeReader(1.0)
    for late_ms in range(0, 100, 20):
        client = await connect()
        spoken = quiet(0.3 + late_ms / 1_000) + clip(NAME) + quiet(1)
        for start in range(0, len(spoken), 4_800):
            await client.say(spoken[start : start + 4_800])
            await asyncio.sleep(0.02)
        await client.until(STOPPED)
    assert runtime.end_of_turn.heard == []


async def test_a_client_that_wants_no_transcripts_has_its_words_read_and_is_told_none(
    connect, runtime
):
    runtime.transcriber = FakeTranscriber(["there is a", "there is a big cat"], spare=True)
    runtime.reader = FakeReader(1.0)
    client = await connect(transcription=False)
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until("response.done")
    assert runtime.reader.ahead
    assert not client.of("conversation.item.input_audio_transcription.delta")


async def test_words_are_read_ahead_while_they_are_spoken(connect, runtime):
    said = ["there is a", "there is a big cat", "there is a big cat in"]
    runtime.transcriber = FakeTranscriber(said, spare=True)
    runtime.reader = FakeReader(1.0)
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until(STOPPED)
    assert runtime.reader.ahead[:2] == ["there is a", "there is a big cat"]
    assert [m.text for m in runtime.reader.prompts[-1]] == ["be kind", said[-1]]


async def test_what_was_not_read_before_it_is_not_read_with_the_words(connect, runtime):
    """A whole history would take long, and nobody could stop it."""
    hypotheses = ["there is a", *(f"there is a big cat{' cat' * n}" for n in range(20))]
    runtime.transcriber = FakeTranscriber(hypotheses, spare=True)
    runtime.reader = FakeReader(1.0)
    client = await connect()
    audio = quiet(0.3) + clip(NAME) + quiet(1)
    await speak(client, audio[: 2 * 24_000 * 2])
    await until(lambda: runtime.reader.ahead)
    await client.send("session.update", session={"instructions": "be quite another"})
    await client.until("session.updated")
    read = len(runtime.reader.ahead)
    await speak(client, audio[2 * 24_000 * 2 :])
    await client.until(STOPPED)
    assert len(runtime.transcriber.asked) > read + 2
    assert len(runtime.reader.ahead) == read


async def test_after_a_history_that_could_not_be_read_no_words_are(connect, runtime):
    async def prepare(prompt, *, owner) -> None:
        raise ReplyError("out of order")

    runtime.replier.prepare = prepare
    runtime.transcriber = FakeTranscriber(["there is a", "there is a big cat"], spare=True)
    runtime.reader = FakeReader(1.0)
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until(STOPPED)
    assert runtime.reader.prompts
    assert runtime.reader.ahead == []


async def test_a_reader_that_is_stuck_holds_nothing_up(connect, runtime):
    runtime.end_of_turn = FakeEndOfTurn([1.0])
    runtime.reader = FakeReader(gate=asyncio.Event())
    assert await waited_ms(connect) == pytest.approx(WAITS.silence_ms, abs=60)


async def test_a_reader_that_fails_leaves_it_to_the_sound(connect, runtime):
    runtime.end_of_turn = FakeEndOfTurn([1.0])
    runtime.reader = FakeReader(ReplyError("out of order"))
    assert await waited_ms(connect) == pytest.approx(WAITS.heard.complete_ms, abs=60)


async def test_where_no_response_is_wanted_nothing_is_read(connect, runtime):
    runtime.end_of_turn = FakeEndOfTurn([1.0])
    runtime.transcriber = FakeTranscriber(["there is a", "there is a big cat"], spare=True)
    runtime.reader = FakeReader(0.0)
    client = await connect()
    detection = {"type": "server_vad", "create_response": False}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until(STOPPED)
    assert (runtime.reader.prompts, runtime.reader.ahead) == ([], [])
