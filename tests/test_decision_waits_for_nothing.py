"""The decision that a turn is over waits for no engine: the same audio ends it at the same sample.

Real ears and real speech over a real socket. One server has engines that answer at once; in the
others a voice, a language model or a recogniser stalls for ever, with a reply begun in the pause.
"""

from __future__ import annotations

import asyncio

import pytest

from realtime.server import METRICS
from realtime.speaker import Manners
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn
from tests.test_speculation import COMPLETED, STOPPED, speak

NAMES = ("ls_6930_0000", "vctk_p287_004_clean")
STARTED = "input_audio_buffer.speech_started"
COMMITTED = "input_audio_buffer.committed"
OF_THE_EAR = (STARTED, STOPPED, COMMITTED, "conversation.item.added", "conversation.item.done")


@pytest.fixture
def manners():
    return Manners(pacing=None, speculates=True)


@pytest.fixture(autouse=True)
def a_patient_ear(monkeypatch):
    """Audio that comes late, because this machine is busy, is not replaced by silence."""
    monkeypatch.setattr("realtime.listening.QUIET_GRACE_MS", 60_000)


@pytest.fixture(params=[None, 1.0], ids=["silence alone", "an end-of-turn model"])
def runtime(runtime, request):
    if request.param is not None:
        runtime.end_of_turn = FakeEndOfTurn([request.param])
    return runtime


def stall(runtime, *stalled: str) -> None:
    if "replier" in stalled:
        runtime.replier.stall_after = 0
    for name in stalled:
        if name != "replier":
            getattr(runtime, name).gate = asyncio.Event()


async def two_turns(client) -> list[dict]:
    """Say two sentences; the events up to the second's decision, of the caller's side alone."""
    begin = len(client.events)
    for name in NAMES:
        await speak(client, quiet(0.3) + clip(name) + quiet(1.2))
        while len(client.of(STOPPED)) <= NAMES.index(name):
            await client.until(STOPPED)
    return client.events[begin:]


def decisions(events: list[dict]) -> list[tuple[int, int]]:
    """Begin and end of each turn, in milliseconds of the audio that was sent."""
    begun = [e["audio_start_ms"] for e in events if e["type"] == STARTED]
    return list(
        zip(begun, [e["audio_end_ms"] for e in events if e["type"] == STOPPED], strict=True)
    )


FOUND: dict[bool, list[tuple[int, int]]] = {}


@pytest.fixture
async def expected(connect, runtime):
    """What a server decides whose engines answer at once; found once with a model, once without."""
    judged = runtime.end_of_turn is not None
    if judged not in FOUND:
        FOUND[judged] = decisions(await two_turns(await connect()))
    return FOUND[judged]


@pytest.mark.parametrize(
    "stalled", [(), ("voice",), ("replier",), ("voice", "replier"), ("transcriber",)], ids=str
)
async def test_the_same_audio_ends_turns_at_the_same_sample(
    connect, runtime, server, expected, stalled
):
    stall(runtime, *stalled)
    begun = server.app[METRICS].counts["speculation.begun"]
    client = await connect()
    events = await two_turns(client)
    assert decisions(events) == expected
    assert len(expected) == len(NAMES)
    assert server.app[METRICS].counts["speculation.begun"] > begun


async def test_what_follows_a_decision_comes_at_once_and_in_its_order(connect, runtime):
    stall(runtime, "voice", "replier")
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAMES[0]) + quiet(1))
    await client.until("response.created")
    told = [e["type"] for e in client.events if e["type"] in (*OF_THE_EAR, COMPLETED)]
    assert told == [*OF_THE_EAR, COMPLETED]
    assert runtime.replier.prompts
    assert not client.of("response.output_audio.delta")


async def test_a_stalled_reply_does_not_hide_the_next_speech(connect, runtime):
    """It was never begun to be spoken: speech ends it, and the next turn is decided as any."""
    stall(runtime, "voice", "replier")
    client = await connect()
    await speak(client, quiet(0.3) + clip(NAMES[0]) + quiet(1))
    await client.until("response.created")
    await speak(client, clip(NAMES[1]) + quiet(1.2))
    while len(client.of(STOPPED)) < 2:
        await client.until(STOPPED)
    types = [e["type"] for e in client.events]
    second = len(types) - 1 - types[::-1].index(STARTED)
    assert types.index("response.done") > second
    assert types.index("response.done") < len(types) - 1 - types[::-1].index(STOPPED)
