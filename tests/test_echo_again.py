"""A session that has heard itself holds speech back until it is known to be a caller's.

Real ears over a real socket, in real time; what the recogniser says of any speech is fixed.
"""

from __future__ import annotations

import asyncio

import pytest

from realtime.playout import Pacing
from realtime.server import METRICS
from realtime.speaker import Manners
from tests.client import clip, quiet
from tests.street import until

pytestmark = pytest.mark.pace

ECHO, CALLER = "The river runs.", "What time is it?"
SPOKEN = clip("ls_6930_0000")[24_000:]
"""Speech from 0.1 to 2.9 s, without a pause."""
RATE = 24_000
CHUNK_BYTES = RATE // 50 * 2
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
HEARD = "conversation.item.input_audio_transcription"


@pytest.fixture
def manners(request):
    return Manners(pacing=Pacing(), speculates=getattr(request, "param", True))


with_and_without_speculation = pytest.mark.parametrize(
    "manners", [True, False], ids=["speculation on", "speculation off"], indirect=True
)


@pytest.fixture
def counts(server):
    return server.app[METRICS].counts


@pytest.fixture
async def client(connect, runtime, counts):
    """A reply plays again that was broken off by its own echo. No words come before a pause."""
    return await that_heard_itself(await connect(), runtime, counts)


async def that_heard_itself(client, runtime, counts):
    runtime.replier.words = [f"{word} " for word in (ECHO + " ").split() * 60]
    runtime.voice.seconds = 0.7
    runtime.transcriber.texts = ["How does it go?"]
    await client.say(quiet(0.3) + SPOKEN + quiet(1))
    await client.until("response.output_audio.delta")
    runtime.transcriber.texts = [ECHO]
    await speak(client, quiet(1.5) + SPOKEN[: RATE * 2] + quiet(1))
    while len(client.of("response.created")) < 2:
        await client.until("response.created")
    assert counts["turns.echo"] == 1
    await speak(client, quiet(1.5))
    client.events.clear()
    return client


async def speak(client, audio: bytes) -> None:
    """As a microphone does: 20 ms every 20 ms."""
    for start in range(0, len(audio), CHUNK_BYTES):
        await client.say(audio[start : start + CHUNK_BYTES])
        await asyncio.sleep(0.02)


async def in_doubt(client, runtime) -> None:
    """The session is in the middle of speech that it does not believe yet."""
    asked = len(runtime.transcriber.asked)
    await speak(client, SPOKEN[: int(RATE * 0.7) * 2])
    assert not told(await so_far(client))
    assert len(runtime.transcriber.asked) - asked <= 3


async def so_far(client) -> list[str]:
    """The types of all events up to now."""
    await client.send("conversation.item.retrieve", item_id="nothing")
    await client.until("error")
    return client.types()


def told(types: list[str]) -> list[str]:
    """What the client was told of speech, and of a reply that ended with it."""
    return [each for each in types if each in (STARTED, STOPPED, "response.done")]


def deltas(client) -> str:
    return "".join(e["delta"] for e in client.of(f"{HEARD}.delta"))


@with_and_without_speculation
async def test_an_echo_that_ends_is_told_nobody(client, runtime, counts):
    asked = len(runtime.replier.prompts)
    await speak(client, SPOKEN[: RATE * 2] + quiet(1))
    assert not told(await so_far(client))
    assert counts["turns.echo"] == 2
    assert len(runtime.replier.prompts) == asked


@with_and_without_speculation
async def test_a_caller_is_told_at_the_end_of_his_words_at_the_latest(client, runtime):
    runtime.transcriber.texts = [CALLER]
    await speak(client, SPOKEN[: int(RATE * 0.7) * 2] + quiet(1))
    assert told(await so_far(client))[:3] == [STARTED, "response.done", STOPPED]
    assert client.of(f"{HEARD}.completed")[0]["transcript"] == CALLER
    await until(lambda: runtime.replier.prompts[-1][-1].text == CALLER)


@with_and_without_speculation
async def test_a_caller_is_believed_by_his_words_and_they_are_told(client, runtime):
    runtime.transcriber.texts, runtime.transcriber.spare = [CALLER], True
    speaking = asyncio.create_task(speak(client, SPOKEN + quiet(1)))
    await client.until(STARTED)
    await client.until(f"{HEARD}.delta")
    assert not speaking.done()
    await client.until(f"{HEARD}.completed")
    assert deltas(client) == CALLER
    await speaking


async def test_speech_without_words_is_believed_after_a_second(client, runtime, counts):
    await speak(client, SPOKEN[: int(RATE * 1.6) * 2])
    types = await so_far(client)
    assert STARTED in types
    assert STOPPED not in types


async def test_an_echo_that_goes_on_is_doubted_on(client, runtime):
    runtime.transcriber.spare = True
    await speak(client, SPOKEN[: int(RATE * 2.6) * 2])
    assert not told(await so_far(client))
    assert not deltas(client)


async def test_cleared_audio_was_nobody(client, runtime):
    await in_doubt(client, runtime)
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await speak(client, quiet(1.5))
    types = await so_far(client)
    assert not told(types)
    assert "input_audio_buffer.committed" not in types
    runtime.transcriber.texts = [CALLER]
    await speak(client, SPOKEN[: RATE * 2] + quiet(1))
    assert told(await so_far(client))[:3] == [STARTED, "response.done", STOPPED]


@pytest.mark.parametrize("words", [True, False], ids=["words", "no words"])
async def test_a_commit_takes_what_was_doubted_with_all_its_words(client, runtime, words):
    runtime.transcriber.spare = words
    await in_doubt(client, runtime)
    await client.send("input_audio_buffer.commit")
    committed = await client.until("input_audio_buffer.committed")
    runtime.transcriber.texts = ["The river runs. And where?"]
    completed = await client.until(f"{HEARD}.completed")
    assert completed["item_id"] == committed["item_id"]
    assert deltas(client) == completed["transcript"]
    assert not told(await so_far(client))


async def test_turn_detection_that_is_turned_off_ends_the_doubt(client, runtime):
    await in_doubt(client, runtime)
    update = {"audio": {"input": {"turn_detection": None}}}
    await client.send("session.update", session=update)
    await client.until("session.updated")
    await speak(client, SPOKEN[: RATE * 2] + quiet(1))
    assert not told(await so_far(client))
    assert not deltas(client)


async def test_other_settings_leave_the_doubt_alone(client, runtime, counts):
    await in_doubt(client, runtime)
    await client.send("session.update", session={"audio": {"output": {"speed": 1.1}}})
    await client.until("session.updated")
    await speak(client, quiet(1))
    assert not told(await so_far(client))
    assert counts["turns.echo"] == 2


async def test_who_wants_no_transcripts_is_told_no_words(connect, runtime, counts):
    client = await that_heard_itself(await connect(transcription=False), runtime, counts)
    runtime.transcriber.texts, runtime.transcriber.spare = [CALLER], True
    speaking = asyncio.create_task(speak(client, SPOKEN))
    await client.until(STARTED)
    asked = len(runtime.transcriber.asked)
    await speaking
    assert len(runtime.transcriber.asked) <= asked + 3  # a draft in each pause is not a partial
    await speak(client, quiet(1))
    assert STOPPED in await so_far(client)
    assert not deltas(client)
