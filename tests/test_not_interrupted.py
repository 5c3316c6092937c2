"""A reply that is spoken over stops at once, and goes on where nobody wanted it to end.

Real ears, recogniser and voice over a real socket, in real time; what the language model writes is
fixed, so that every word of it can be looked for.
"""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from realtime.engines import CallPart, Delta, Line
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from realtime.playout import Pacing
from realtime.speaker import Manners
from tests.client import clip, quiet

pytestmark = pytest.mark.pace

STORY = (
    "The river begins high in the mountains. It runs through three valleys and two old towns. "
    "At last it comes to the sea."
)
RATE = 24_000
COMPLETED = "conversation.item.input_audio_transcription.completed"


@pytest.fixture
def manners():
    return Manners(pacing=Pacing())


@pytest.fixture
async def voice():
    made = EmbeddedVoice(metrics=Metrics())
    made.load()
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def runtime(runtime, models, voice):
    whisper = WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics())
    whisper.load()
    whisper.start()
    runtime.transcriber, runtime.voice = whisper, voice
    runtime.replier.words = [f"{word} " for word in STORY.split()]
    yield runtime
    await whisper.close()


async def spoken(voice, text: str) -> bytes:
    """A caller's words, in the embedded voice, and the silence after them."""
    chunks = [chunk async for chunk in voice.speak(Line(text), owner="caller")]
    return np.concatenate(chunks).astype("<i2").tobytes() + quiet(1)


def hum() -> bytes:
    """Half a second of a motor at 130 Hz: speech to the detector, no words to the recogniser."""
    time = np.arange(RATE // 2) / RATE
    tones = sum(np.sin(2 * np.pi * 130 * n * time) / n for n in range(1, 9))
    return (tones * 3_000 * np.hanning(len(time))).astype("<i2").tobytes() + quiet(1)


async def a_reply_that_plays(client, seconds: float) -> None:
    """Ask for a reply and listen to its first seconds."""
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.output_audio.delta")
    await listen(client, seconds)


async def listen(client, seconds: float) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        await client.next()


async def two_replies(client) -> tuple[dict, dict]:
    first = (await client.until("response.done"))["response"]
    second = (await client.until("response.done"))["response"]
    return first, second


def words_of(response: dict) -> list[str]:
    return response["output"][0]["content"][0]["transcript"].split()


def assert_goes_on(first: dict, second: dict) -> None:
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert second["status"] == "completed"
    assert 0 < len(words_of(first)) < len(STORY.split())
    assert words_of(first) + words_of(second) == STORY.split()


async def test_a_sign_of_listening_does_not_end_a_reply(connect, runtime, voice):
    client = await connect()
    await a_reply_that_plays(client, 1.5)
    await client.say(await spoken(voice, "Yeah."))
    first, second = await two_replies(client)
    assert_goes_on(first, second)
    assert client.of(COMPLETED)[-1]["transcript"].rstrip(".") == "Yeah"
    assert len(runtime.replier.prompts) == 1
    await client.say(quiet(0.3) + clip("vctk_p287_004_clean") + quiet(1))
    await client.until("response.output_audio.delta")
    said = [(m.role, m.text) for m in runtime.replier.prompts[-1]]
    assert {("user", "Yeah"), ("user", "Yeah.")} & set(said)
    assert ("assistant", " ".join(words_of(first))) in said


async def test_a_noise_does_not_end_a_reply(connect, runtime):
    client = await connect()
    await a_reply_that_plays(client, 1.5)
    await client.say(hum())
    first, second = await two_replies(client)
    assert_goes_on(first, second)
    assert client.of(COMPLETED)[-1]["transcript"] == ""
    await client.say(quiet(0.3) + clip("vctk_p287_004_clean") + quiet(1))
    await client.until("response.output_audio.delta")
    remembered = [m.text for m in runtime.replier.prompts[-1] if m.role == "assistant"]
    [one] = remembered  # but for what still played when the question came
    assert STORY.startswith(one)
    assert len(one.split()) > len(words_of(first))


async def test_a_reply_does_not_answer_itself_from_a_loudspeaker(connect, runtime):
    """The microphone gets the reply a quarter of a second later and at a quarter of its level."""
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    begun = await client.until("response.output_audio.delta")
    loop = asyncio.get_running_loop()
    start, heard_to = loop.time() + 0.25, 0
    while not client.of("response.done"):
        await client.next()
        played = client.audio(begun["response_id"])
        now = min(len(played), int(max(0.0, loop.time() - start) * RATE) * 2)
        echo = np.frombuffer(played[heard_to:now], "<i2") // 4
        heard_to = now
        await client.say(echo.astype("<i2").tobytes())
    await client.say(quiet(1))
    first = client.of("response.done")[0]["response"]
    second = (await client.until("response.done"))["response"]
    assert_goes_on(first, second)
    assert client.of(COMPLETED)[-1]["transcript"] == ""
    assert len(runtime.replier.prompts) == 1


async def test_words_over_a_reply_end_it_and_are_answered(connect, runtime):
    client = await connect()
    await a_reply_that_plays(client, 1.0)
    await client.say(clip("vctk_p287_004_clean") + quiet(1))
    first = (await client.until("response.done"))["response"]
    assert first["status"] == "cancelled"
    await client.until("response.output_audio.delta")
    assert len(runtime.replier.prompts) == 2
    assert runtime.replier.closed >= 1
    assert [m.text for m in runtime.replier.prompts[1] if m.role == "assistant"] == [
        " ".join(words_of(first))
    ]


async def test_yes_to_a_question_is_an_answer(connect, runtime, voice):
    asked = "Shall I tell you how the river begins? Well, it begins high in the mountains."
    runtime.replier.words = [f"{word} " for word in asked.split()]
    client = await connect()
    await a_reply_that_plays(client, 1.5)
    await client.say(await spoken(voice, "Yeah."))
    await client.until("response.done")
    await client.until("response.output_audio.delta")
    assert [m.text for m in runtime.replier.prompts[1] if m.role == "user"][-1].rstrip(
        "."
    ) == "Yeah"


class TestWhereAnyWordsInterrupt:
    @pytest.fixture
    def manners(self):
        return Manners(pacing=Pacing(), backchannels_interrupt=True)

    async def test_a_sign_of_listening_is_answered(self, connect, runtime, voice):
        client = await connect()
        await a_reply_that_plays(client, 1.5)
        await client.say(await spoken(voice, "Yeah."))
        await client.until("response.done")
        await client.until("response.output_audio.delta")
        assert len(runtime.replier.prompts) == 2


async def test_what_the_client_says_that_it_played_is_where_the_reply_goes_on(connect, runtime):
    client = await connect()
    await a_reply_that_plays(client, 2.0)
    await client.say(hum()[: -RATE * 2])
    started = await client.until("response.done")
    item = started["response"]["output"][0]["id"]
    await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=0)
    await client.say(quiet(1))
    second = (await client.until("response.done"))["response"]
    assert words_of(second) == STORY.split()


@pytest.mark.parametrize("change", ["delete", "create", "cancel"])
async def test_a_client_that_moves_on_is_not_talked_at(connect, runtime, change):
    client = await connect()
    await a_reply_that_plays(client, 1.0)
    await client.say(hum()[: -RATE * 2])
    item = (await client.until("response.done"))["response"]["output"][0]["id"]
    if change == "delete":
        await client.send("conversation.item.delete", item_id=item)
    elif change == "create":
        content = [{"type": "input_text", "text": "Something else."}]
        message = {"type": "message", "role": "user", "content": content}
        await client.send("conversation.item.create", item=message)
    else:
        await client.send("response.cancel")
    await client.say(quiet(1))
    await client.until(COMPLETED)
    await client.send("conversation.item.retrieve", item_id="nothing")
    await client.until("error")
    assert len(client.of("response.created")) == 1


async def test_a_client_that_asks_for_its_responses_is_left_to_ask(connect, runtime):
    client = await connect()
    detection = {"type": "server_vad", "create_response": False}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.until("session.updated")
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await client.say(quiet(1) + hum())
    await client.until(COMPLETED)
    await client.send("conversation.item.retrieve", item_id="nothing")
    await client.until("error")
    assert len(client.of("response.created")) == 1


async def test_a_call_that_waited_for_the_words_before_it_is_made_after_them(connect, runtime):
    runtime.replier.deltas = (Delta(call=CallPart(0, "call_1", "weather", '{"city":"Oslo"}')),)
    client = await connect()
    await client.send(
        "session.update",
        session={"tools": [{"type": "function", "name": "weather", "parameters": {}}]},
    )
    await client.until("session.updated")
    await a_reply_that_plays(client, 1.0)
    await client.say(hum())
    first, second = await two_replies(client)
    assert [item["type"] for item in first["output"]] == ["message"]
    assert [item["type"] for item in second["output"]] == ["message", "function_call"]
    assert second["output"][1]["arguments"] == '{"city":"Oslo"}'


async def with_a_loudspeaker(client, *, beside: bytes = b"", after_s: float = 0.0) -> None:
    """Play every reply into the microphone, a quarter of a second late and at a quarter of its
    level, until one is completed; `beside` is said when the second one has played `after_s`."""
    loop = asyncio.get_running_loop()
    playing, start, heard_to, turn = "", 0.0, 0, 0
    at, sent, said = loop.time(), 0, np.zeros(0, np.int16)
    while not any(e["response"]["status"] == "completed" for e in client.of("response.done")):
        assert loop.time() - at < 40, [words_of(e["response"]) for e in client.of("response.done")]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                event = await client.next()
                is_sound = event and event["type"] == "response.output_audio.delta"
                if is_sound and event["response_id"] != playing:
                    playing, heard_to, turn = event["response_id"], 0, turn + 1
                    start = loop.time() + 0.25
        due = int((loop.time() - at) * RATE) - sent
        if due < RATE // 50:
            continue
        sent += due
        if turn == 2 and beside and loop.time() - start > after_s:
            said, beside = np.frombuffer(beside, "<i2"), b""
        mixed = np.zeros(due, np.float32)
        if playing:
            sound = np.frombuffer(client.audio(playing), "<i2")
            now = min(len(sound), int(max(0.0, loop.time() - start) * RATE))
            echo = sound[heard_to:now][-due:]
            mixed[: len(echo)] += echo / 4
            heard_to = now
        mixed[: len(said[:due])] += said[:due]
        said = said[due:]
        await client.say(np.clip(mixed, -32_768, 32_767).astype("<i2").tobytes())
    await client.say(quiet(1))


async def test_a_loudspeaker_that_is_heard_all_the_time_hardly_breaks_a_reply_off(connect, runtime):
    """Once; once or twice more where a busy machine has no words for a second. It used to be each
    word."""
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.output_audio.delta")
    await with_a_loudspeaker(client)
    done = [e["response"] for e in client.of("response.done")]
    assert len(done) <= 4
    assert [word for each in done for word in words_of(each)] == STORY.split()
    assert len(runtime.replier.prompts) == 1


async def test_a_caller_is_heard_over_a_loudspeaker_too(connect, runtime):
    client = await connect()
    await client.say(quiet(0.3) + clip("ls_6930_0000") + quiet(1))
    await client.until("response.output_audio.delta")
    await with_a_loudspeaker(client, beside=clip("vctk_p287_004_clean"), after_s=0.5)
    done = [e["response"] for e in client.of("response.done")]
    assert [each["status"] for each in done[:2]] == ["cancelled", "cancelled"]
    assert len(words_of(done[0]) + words_of(done[1])) < len(STORY.split())
    assert len(runtime.replier.prompts) == 2
