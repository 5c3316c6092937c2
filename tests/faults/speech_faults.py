"""The stages with a thread before which jobs wait: speech detection, Whisper, end of turn, voice.

What differs between them is what a caller sees who has lost one job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.client import Client
from tests.faults.looks import (
    answered,
    down,
    next_turn,
    not_answered,
    not_transcribed,
    told_of,
    victim,
)
from tests.faults.sabotage import Act, raising, slow, struck, stuck
from tests.faults.ward import Ward, cut_off
from tests.street import until
from tests.weights import TROUBLE

Trouble = Callable[[Ward], Awaitable[None]]


async def sees_failure(client: Client, stage: str, code: str) -> None:
    """What the caller is told whose job was lost."""
    if stage == "end_of_turn":
        await answered(client)
        assert not client.of("error")
        return
    await told_of(client, stage, code)
    if stage == "transcription":
        await not_transcribed(client)
    elif stage == "voice":
        await not_answered(client)


def late(stage: str) -> Trouble:
    """The job takes longer than it should, and is done."""

    async def trouble(ward: Ward) -> None:
        client, name = await victim(ward)
        ward.sabotages[stage].strike(name, slow, alone=True)
        await client.say(TROUBLE.audio)
        await struck(ward.sabotages[stage])
        await answered(client)
        assert not client.of("error")
        await next_turn(ward, client)

    return trouble


def lost(stage: str, act: Act, code: str) -> Trouble:
    """The thread does not come back, or is gone: the engine is begun anew."""

    async def trouble(ward: Ward) -> None:
        client, name = await victim(ward)
        ward.holds[stage].gate.clear()
        ward.sabotages[stage].strike(name, act, alone=True)
        await client.say(TROUBLE.audio)
        await struck(ward.sabotages[stage])
        await sees_failure(client, stage, code)
        await down(ward, stage)
        await next_turn(ward, client)

    return trouble


def failed(stage: str, error: BaseException, code: str) -> Trouble:
    """The job fails, in whatever batch it is; the engine goes on."""

    async def trouble(ward: Ward) -> None:
        client, name = await victim(ward)
        restarted = dict(ward.supervisor.restarted)
        ward.sabotages[stage].strike(name, raising(error), alone=False)
        await client.say(TROUBLE.audio)
        await struck(ward.sabotages[stage])
        await sees_failure(client, stage, code)
        assert (await ward.get("/health"))[0] == 200
        await next_turn(ward, client)
        assert ward.supervisor.restarted == restarted

    return trouble


def gone(stage: str) -> Trouble:
    """He hangs up while the engine is at his job."""

    async def trouble(ward: Ward) -> None:
        client, name = await victim(ward)
        callers = ward.callers
        ward.sabotages[stage].strike(name, stuck, alone=True)
        await client.say(TROUBLE.audio)
        await struck(ward.sabotages[stage])
        await cut_off(client)
        await until(lambda: ward.callers == callers - 1)
        ward.sabotages[stage].release.set()

    return trouble


ALONE = "answered late"
FRESH = "then a fresh model in a fresh thread"
SEEN = {
    "speech_detection": "`error`, stage `speech_detection`: some of his audio counts as silence",
    "transcription": "`error`, stage `transcription`, and `….transcription.failed`",
    "end_of_turn": "nothing: silence alone ends the turn",
    "voice": "`error`, stage `voice`, and the response is `failed`",
}

CELLS: dict[tuple[str, str], tuple[str, Trouble]] = {}
for _stage, _seen in SEEN.items():
    CELLS |= {
        (_stage, "slow"): (
            "nothing: silence alone ends the turn" if _stage == "end_of_turn" else ALONE,
            late(_stage),
        ),
        (_stage, "stuck"): (f"{_seen}; {FRESH}", lost(_stage, stuck, "restarting")),
        (_stage, "raises"): (_seen, failed(_stage, RuntimeError("x"), f"{_stage}_failed")),
        (_stage, "dies"): (
            f"{_seen}; {FRESH}",
            lost(_stage, raising(SystemExit("x")), f"{_stage}_failed"),
        ),
        (_stage, "memory"): (
            _seen.replace("`error`, ", "`error` `out_of_memory`, "),
            failed(_stage, MemoryError(), "out_of_memory"),
        ),
        (_stage, "gone"): ("his job is dropped when it comes back", gone(_stage)),
    }
