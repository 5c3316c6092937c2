"""Replies that are begun in a pause, over real sockets with a real ear and real speech."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from realtime.metrics import Metrics
from realtime.server import METRICS
from realtime.speaker import Manners
from realtime.speculation import DRAFTS_A_TURN, Speculation
from realtime.turns import SpeechStopped, TurnPaused
from tests.client import clip, quiet
from tests.street import until
from tests.test_session import TURN

NAME = "ls_6930_0000"
STOPPED = "input_audio_buffer.speech_stopped"
COMPLETED = "conversation.item.input_audio_transcription.completed"
CHUNK_BYTES = 24_000 // 50 * 2


@pytest.fixture
def manners():
    return Manners(pacing=None, speculates=True)


@pytest.fixture
def counts(server):
    return server.app[METRICS].counts


async def speak(client, audio: bytes) -> None:
    """In bits of 20 ms, and everything else has its turn between two of them."""
    for start in range(0, len(audio), CHUNK_BYTES):
        await client.say(audio[start : start + CHUNK_BYTES])
        await asyncio.sleep(0.004)


async def patient(connect):
    """A caller whose pauses may last, however slow the machine is."""
    client = await connect()
    detection = {"type": "server_vad", "silence_duration_ms": 1_500}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.until("session.updated")
    return client


def order_from(client, begin: int) -> list[str]:
    return [e["type"] for e in client.events[begin:] if not e["type"].endswith(".delta")]


async def test_a_hit_tells_the_client_what_a_turn_always_tells(connect, runtime, counts):
    client = await connect()
    begin = len(client.events)
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    done = await client.until("response.done")
    assert order_from(client, begin) == TURN
    assert done["response"]["output"][0]["content"][0]["transcript"] == (
        "All is well, thank you. And with you?"
    )
    assert len(client.audio()) == 3 * 0.5 * 24_000 * 2
    assert counts["speculation.hit.sound"] == 1
    # the last pause's draft was the reply: one question for it, and each piece was spoken once
    assert [p[-1].text for p in runtime.replier.prompts][-1] == "hello there"
    assert len(runtime.replier.prompts) == counts["speculation.begun"]
    assert runtime.voice.pieces[-3:] == ["All is well,", "thank you.", "And with you?"]


async def test_speech_that_goes_on_is_one_turn_and_nothing_of_the_draft_leaks(
    connect, runtime, counts
):
    runtime.transcriber.texts = ["a guess"]
    client = await patient(connect)
    begin = len(client.events)
    await speak(client, quiet(0.3) + clip(NAME) + quiet(0.4))
    await until(lambda: counts["speculation.begun"] and runtime.voice.lines)
    runtime.transcriber.texts = ["all of it"]
    runtime.voice.lines.clear()
    missed = counts["speculation.missed"]
    await speak(client, clip("lj001_0016") + quiet(2))
    await client.until("response.done")
    assert order_from(client, begin) == TURN
    assert client.of(COMPLETED)[0]["transcript"] == "all of it"
    assert counts["speculation.missed"] > missed
    seconds = (len(clip(NAME)) + len(clip("lj001_0016"))) / 48_000
    assert len(runtime.transcriber.heard[-1]) / 16_000 > seconds
    prompts = [[m.text for m in prompt] for prompt in runtime.replier.prompts]
    assert prompts[0] == ["be kind", "a guess"]
    assert prompts[-1] == ["be kind", "all of it"]
    assert len(client.audio()) == 3 * 0.5 * 24_000 * 2
    await until(lambda: runtime.replier.closed == len(runtime.replier.prompts))


@pytest.mark.parametrize("stalled", ["transcriber", "replier", "voice"])
async def test_the_decision_waits_for_no_engine(connect, runtime, stalled):
    if stalled == "replier":
        runtime.replier.stall_after = 0
    else:
        getattr(runtime, stalled).gate = asyncio.Event()
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    stopped = await client.until(STOPPED)
    spoken_ms = 300 + len(clip(NAME)) / 48
    assert stopped["audio_end_ms"] < spoken_ms + 800
    assert not client.of("response.output_audio.delta")


async def test_settings_that_change_meanwhile_make_another_reply(connect, runtime, counts):
    client = await patient(connect)
    await speak(client, quiet(0.3) + clip(NAME) + quiet(0.3))
    await until(lambda: runtime.voice.lines)
    await client.send("session.update", session={"instructions": "be brief"})
    await client.until("session.updated")
    await speak(client, quiet(2))
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert [m.text for m in runtime.replier.prompts[-1]] == ["be brief", "hello there"]
    assert counts["speculation.hit"] == counts["speculation.unused"] == 1
    assert len(client.audio()) == 3 * 0.5 * 24_000 * 2
    assert runtime.replier.closed == len(runtime.replier.prompts)


async def test_where_no_response_is_wanted_only_the_words_are_looked_for(connect, runtime, counts):
    client = await connect()
    detection = {"type": "server_vad", "create_response": False}
    await client.send("session.update", session={"audio": {"input": {"turn_detection": detection}}})
    await client.until("session.updated")
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until(COMPLETED)
    assert counts["speculation.hit.transcript"] == 1
    assert runtime.replier.prompts == []


async def test_a_busy_recogniser_is_left_alone(connect, runtime, counts):
    runtime.transcriber.free = False
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until("response.done")
    assert len(runtime.transcriber.asked) == 1
    assert counts["speculation.begun"] == 0
    assert counts["speculation.busy"] >= 1


async def test_a_language_model_without_room_is_left_alone(connect, runtime, counts):
    runtime.replier.spare = False
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(1))
    await client.until("response.done")
    assert len(runtime.replier.prompts) == 1
    assert counts["speculation.hit.transcript"] == 1


async def test_a_caller_who_hangs_up_leaves_nothing_running(connect, runtime):
    runtime.replier.stall_after = 4
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAME) + quiet(0.3))
    await asyncio.wait_for(runtime.replier.stalled.wait(), 10)
    await client.socket.close()
    await until(lambda: runtime.replier.closed == len(runtime.replier.prompts))


class Drawer:
    """Drafts that do nothing but remember."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.replies: list[bool] = []
        self.dropped = self.finished = 0
        self.reached = "nothing"
        self.asked_for_reply = True

    def begin(self, audio, last_speech, replies):
        self.replies.append(replies)
        self.begun.append((len(audio), last_speech))
        self.last_speech = last_speech
        return self

    def drop(self) -> None:
        self.dropped += 1

    def finish(self) -> None:
        self.finished += 1


def speculation(free=lambda: True):
    drawer = Drawer()
    made = Speculation(free=free, begin=drawer.begin, metrics=Metrics())
    made.start(1_000)
    return made, drawer


def read(start: int, end: int) -> np.ndarray:
    return np.zeros(end - start, np.int16)


def test_a_turn_has_so_many_replies_begun_and_beyond_that_its_words_are_still_looked_for():
    made, drawer = speculation()
    for n in range(DRAFTS_A_TURN + 2):
        made.pause(TurnPaused(12_000 + n, 10_000 + n))
        made.hear(12_000 + n, read)
    assert drawer.replies == [True] * DRAFTS_A_TURN + [False] * 2
    assert drawer.dropped == DRAFTS_A_TURN + 1
    made.start(50_000)
    made.pause(TurnPaused(62_000, 60_000))
    made.hear(62_000, read)
    assert drawer.begun[-1] == (12_000, 60_000)


def test_words_that_were_only_looked_for_are_not_counted():
    made, drawer = speculation()
    drawer.asked_for_reply = False
    for n in range(DRAFTS_A_TURN + 2):
        made.pause(TurnPaused(12_000 + n, 10_000 + n))
        made.hear(12_000 + n, read)
    assert len(drawer.begun) == DRAFTS_A_TURN + 2


def test_a_pause_in_which_the_recogniser_becomes_free_still_has_its_draft():
    free = [False, False, True]
    made, drawer = speculation(lambda: free.pop(0))
    made.pause(TurnPaused(12_000, 10_000))
    made.hear(12_000, read)
    made.hear(20_000, read)
    assert drawer.begun == [(10_000 + 3_200 - 1_000, 10_000)]


def test_only_the_end_that_was_guessed_is_a_hit():
    for end, hit in (
        (SpeechStopped(20_000, 10_000), True),
        (SpeechStopped(20_000, 15_000), False),
        (SpeechStopped(20_000, 10_000, split=True), False),
    ):
        made, drawer = speculation()
        made.pause(TurnPaused(12_000, 10_000))
        made.hear(12_000, read)
        assert (made.stop(end) is drawer) == hit
        assert (drawer.finished, drawer.dropped) == (int(hit), int(not hit))
