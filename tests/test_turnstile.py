"""The way in to the language model: waiting, being stopped, leaving, and what is stuck."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from realtime.engines.turnstile import GaveWay, Place, Turnstile
from realtime.errors import Saturated
from realtime.metrics import Metrics
from realtime.slots import PREPARATION, REPLY, Slots

SOON_S = 5.0


class Reader:
    """One caller with a prompt; what became of it is in `log`."""

    def __init__(self, turnstile: Turnstile, log: list[str], name: str, rank: int = REPLY) -> None:
        self.reads, self.done = asyncio.Event(), asyncio.Event()
        self.place: Place
        self.task = asyncio.create_task(self._call(turnstile, log, name, rank))

    async def _call(self, turnstile: Turnstile, log: list[str], name: str, rank: int) -> None:
        async with turnstile.admit(owner=name, rank=rank) as self.place:
            while True:
                try:
                    async with self.place.reading():
                        log.append(f"{name} reads")
                        self.reads.set()
                        await self.done.wait()
                    break
                except GaveWay:
                    log.append(f"{name} gives way")
            log.append(f"{name} writes")

    async def reading(self) -> None:
        await asyncio.wait_for(self.reads.wait(), SOON_S)

    async def end(self) -> None:
        self.done.set()
        await asyncio.wait_for(self.task, SOON_S)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
async def turnstile():
    made = Turnstile(Slots(2, max_waiting=2), silent_s=SOON_S, metrics=Metrics())
    yield made
    assert len(made.slots) == 0, "everybody has left"


async def test_a_long_prompt_is_stopped_and_goes_on_when_the_other_is_read(turnstile, log):
    long = Reader(turnstile, log, "long")
    await long.reading()
    short = Reader(turnstile, log, "short")
    await asyncio.sleep(0)
    assert not short.reads.is_set()
    long.place.advanced(left=True)
    await short.reading()
    await short.end()
    await long.end()
    assert log == [
        *("long reads", "long gives way", "short reads", "short writes", "long reads"),
        "long writes",
    ]
    assert turnstile.metrics.counts["reply.gave_way"] == 1


async def test_a_preparation_that_has_not_begun_to_read_is_stopped_too(turnstile, log):
    ahead = Reader(turnstile, log, "ahead", PREPARATION)
    await asyncio.sleep(0)  # its turn has come, and its task has not run since
    reply = Reader(turnstile, log, "reply")
    await reply.reading()
    await reply.end()
    await ahead.reading()
    await ahead.end()
    assert log[-2:] == ["ahead reads", "ahead writes"]
    assert log.index("reply writes") < len(log) - 2


async def test_what_is_stuck_is_overtaken(log):
    turnstile = Turnstile(Slots(2, max_waiting=2), silent_s=0.01, metrics=Metrics())
    stuck = Reader(turnstile, log, "stuck")
    other = Reader(turnstile, log, "other")
    await other.reading()
    assert not stuck.task.done()
    await other.end()
    await stuck.end()


@pytest.mark.parametrize("leaves", ["waiting", "called", "reading"])
async def test_who_leaves_makes_room_at_once(turnstile, log, leaves):
    first = Reader(turnstile, log, "first")
    await first.reading()
    leaver = Reader(turnstile, log, "leaver")
    await asyncio.sleep(0)
    if leaves != "waiting":
        first.done.set()
        await (leaver.reading() if leaves == "reading" else asyncio.sleep(0))
    leaver.task.cancel()
    last = Reader(turnstile, log, "last")
    await first.end()
    await last.reading()
    await last.end()
    with suppress(asyncio.CancelledError):
        await leaver.task


async def test_too_many_are_refused_with_an_answer(turnstile, log):
    readers = [Reader(turnstile, log, name) for name in "abc"]
    await readers[0].reading()
    with pytest.raises(Saturated, match="too many replies are waiting") as refusal:
        async with turnstile.admit(owner="d"):
            raise AssertionError("unreachable")
    assert refusal.value.stage == "reply"
    for reader in readers:
        await reader.end()
