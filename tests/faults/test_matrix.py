"""Each cell of the fault matrix, on a server on which a neighbour talks all the while.

The neighbour's every turn is answered to the last sample, and in the end the process holds what it
held before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from realtime.engines.llm import MOST_SILENCES
from realtime.restarts import Restarts
from tests.conftest import ROOT
from tests.faults.looks import down, next_turn, not_answered, not_transcribed, told_of, victim
from tests.faults.matrix import CELLS, FAULTS, STAGES, table
from tests.faults.sabotage import Act, raising, stuck
from tests.faults.ward import Ward, a_ward
from tests.leaks import at_rest, settled
from tests.llm_endpoint import nothing
from tests.neighbour import Neighbour
from tests.street import until
from tests.weights import CONCORD, PATIENCE_S, TROUBLE

pytestmark = [
    pytest.mark.pace,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(models: dict[str, Path]) -> AsyncIterator[Ward]:
    async with a_ward(models["whisper"]) as made:
        yield made


@pytest.mark.parametrize(("stage", "fault"), CELLS)
async def test_no_other_session_notices(ward: Ward, stage: str, fault: str) -> None:
    neighbour = Neighbour(await ward.knock(), CONCORD)
    ward.supervisor._restarts[stage] = Restarts()  # each cell is the first in ten minutes
    try:
        before = await at_rest()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as talks, asyncio.timeout(PATIENCE_S):
            talks.create_task(neighbour.talk(over))
            await CELLS[stage, fault].trouble(ward)
            over.set()
        ward.repair()
        assert await settled(before) == before
        assert ward.waiting == (0, 0, 0)
        assert neighbour.turns >= 2
    finally:
        await ward.empty()


@pytest.mark.parametrize(
    ("act", "code"),
    [(stuck, "restarting"), (raising(SystemExit("x")), "transcription_failed")],
    ids=["stuck", "dies"],
)
async def test_the_thread_before_whisper_is_whispers_too(ward: Ward, act: Act, code: str) -> None:
    ward.supervisor._restarts["transcription"] = Restarts()
    client, name = await victim(ward)
    ward.holds["transcription"].gate.clear()
    ward.sabotages["transcription.features"].strike(name, act, alone=True)
    await client.say(TROUBLE.audio)
    await told_of(client, "transcription", code)
    await not_transcribed(client)
    await down(ward, "transcription")
    await next_turn(ward, client)
    await ward.empty()


async def test_a_language_model_that_answers_nobody_is_begun_anew(ward: Ward) -> None:
    client, _ = await victim(ward)
    before = ward.supervisor.restarted["reply"]
    ward.llama.failure = nothing
    for _ in range(MOST_SILENCES):
        await client.say(TROUBLE.audio)
        await told_of(client, "reply", "reply_failed")
        await not_answered(client)
    await until(lambda: ward.supervisor.restarted["reply"] == before + 1)
    await next_turn(ward, client)
    await ward.empty()


async def test_every_cell_is_there_and_the_docs_have_the_table() -> None:
    assert set(CELLS) == {(stage, fault) for stage in STAGES for fault in FAULTS}
    assert table() in (ROOT / "docs" / "reliability.md").read_text()
