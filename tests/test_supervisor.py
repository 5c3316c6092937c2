"""The supervisor, around engines that are in trouble on cue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from realtime import supervisor
from realtime.metrics import Metrics
from realtime.restarts import Restarts
from realtime.supervisor import DEVICE_LOST, ENGINE_LOST, MOST_ABANDONED, Loss, Supervisor
from tests.street import until


class Engine:
    """Says `trouble`; each restart does the next of `renewals`, and mends it if that is nothing."""

    def __init__(self) -> None:
        self.trouble = self.lost_device = ""
        self.abandoned = 0
        self.alive = True
        self.supervised = False
        self.reasons: list[str] = []
        self.renewals: list[Exception | None] = []
        self.renewed = 0

    def supervise(self) -> None:
        self.supervised = True

    def abandon(self, why: str) -> None:
        self.reasons.append(why)
        self.trouble = ""

    async def renew(self) -> None:
        error = self.renewals.pop(0) if self.renewals else None
        self.renewed += 1
        if error:
            raise error


class House:
    """Two engines, and what was told of them."""

    def __init__(self) -> None:
        self.whisper, self.voice = Engine(), Engine()
        self.downs: list[set[str]] = []
        self.losses: list[Loss] = []
        self.metrics = Metrics()
        self.supervisor = Supervisor(
            {"transcription": self.whisper, "voice": self.voice},
            self.metrics,
            changed=lambda outages: self.downs.append(set(outages)),
            lost=self.losses.append,
            tick_s=0.002,
        )


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    made.supervisor.start()
    yield made
    await made.supervisor.stop()


async def looked_at(house: House, times: int = 4) -> None:
    """So often it was looked at everything."""
    looks, look = 0, house.supervisor._look

    def counting(stage: str, engine: Engine) -> None:
        nonlocal looks
        looks += stage == "voice"
        look(stage, engine)

    house.supervisor._look = counting  # type: ignore[method-assign, assignment]
    await until(lambda: looks >= times)
    house.supervisor._look = look  # type: ignore[method-assign]


async def test_an_engine_in_trouble_is_given_up_and_begun_anew(house):
    assert house.whisper.supervised
    house.whisper.trouble = "stuck"
    await until(lambda: house.supervisor.restarted["transcription"] == 1)
    assert house.whisper.reasons == ["stuck"]
    assert house.voice.reasons == []
    assert house.downs == [{"transcription"}, set()]
    assert house.metrics.counts["transcription.restarts"] == 1
    assert house.supervisor.report() == {
        "restarted": {"transcription": 1, "voice": 0},
        "abandoned": {"transcription": 0, "voice": 0},
        "down": {},
    }


async def test_what_looks_stuck_once_is_left_alone(house):
    """After the whole process stood still, everything looks stuck for a moment."""
    house.supervisor._look("voice", house.voice)
    house.voice.trouble = "stuck"
    house.supervisor._look("voice", house.voice)
    house.voice.trouble = ""
    await looked_at(house)
    assert house.voice.reasons == []


async def test_a_restart_that_fails_is_tried_again_and_given_up_in_the_end(house, caplog):
    house.supervisor._restarts["voice"] = quick(most=3)
    house.voice.renewals = [OSError("no such file")] * 5
    house.voice.trouble = "its worker thread died"
    await until(lambda: house.losses)
    assert house.voice.renewed == 3
    assert house.losses[0].code == ENGINE_LOST
    assert "voice was lost again and again: its worker thread died" in house.losses[0].reason
    assert "no such file" in caplog.text
    assert house.supervisor.down == {"transcription", "voice"}


async def test_a_restart_that_fails_and_then_works(house):
    house.supervisor._restarts["voice"] = quick(most=3)
    house.voice.renewals = [OSError("no such file"), None]
    house.voice.trouble = "stuck"
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert house.voice.renewed == 2
    assert not house.losses


async def test_a_lost_device_ends_the_process_at_once_and_once(house):
    house.voice.lost_device = "CUDA error: an illegal memory access was encountered"
    await until(lambda: house.losses)
    await asyncio.sleep(0.02)
    [loss] = house.losses
    assert loss.code == DEVICE_LOST
    assert "voice has lost the GPU" in loss.reason
    assert house.voice.reasons == []


async def test_two_engines_are_begun_anew_beside_each_other(house):
    go, renew = asyncio.Event(), house.whisper.renew

    async def waits() -> None:
        await go.wait()
        await renew()

    house.whisper.renew = waits
    house.whisper.trouble = "stuck"
    await until(lambda: "transcription" in house.supervisor.outages)
    house.voice.trouble = "stuck"
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert house.supervisor.down == {"transcription"}
    assert str(house.supervisor.outages["transcription"]) == (
        "transcription is being restarted: stuck"
    )
    go.set()
    await until(lambda: not house.supervisor.down)


async def test_models_that_were_given_up_do_not_pile_up(house):
    house.voice.abandoned = MOST_ABANDONED - 1
    house.voice.trouble = "stuck"
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert not house.losses
    house.voice.abandoned = MOST_ABANDONED
    house.voice.trouble = "stuck"
    await until(lambda: house.losses)
    assert house.losses[0].code == ENGINE_LOST
    assert house.losses[0].reason == "voice was lost 3 times and did not come back: stuck"
    assert house.voice.renewed == 1


async def test_a_slow_load_is_waited_for_again_and_has_no_second_beside_it(house, monkeypatch):
    monkeypatch.setattr(supervisor, "LOADED_WITHIN_S", 0.02)
    monkeypatch.setattr(supervisor, "MOST_WAITS", 1_000)
    go, renew, begun = asyncio.Event(), house.voice.renew, 0

    async def slow() -> None:
        nonlocal begun
        begun += 1
        await go.wait()
        await renew()

    house.voice.renew = slow
    house.voice.trouble = "stuck"
    await until(lambda: begun)
    await asyncio.sleep(0.1)
    assert (begun, house.voice.renewed) == (1, 0)
    go.set()
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert (begun, house.voice.renewed) == (1, 1)


async def test_a_load_that_never_ends_ends_the_process(house, monkeypatch):
    monkeypatch.setattr(supervisor, "LOADED_WITHIN_S", 0.01)
    house.voice.renew = asyncio.Event().wait
    house.voice.trouble = "stuck"
    await until(lambda: house.losses)
    assert house.losses == [Loss(ENGINE_LOST, "voice is not there after 0.03 s")]


async def test_a_time_out_of_the_engine_itself_is_tried_again(house):
    house.supervisor._restarts["voice"] = quick(most=3)
    house.voice.renewals = [TimeoutError("the disk is slow")]
    house.voice.trouble = "stuck"
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert house.voice.renewed == 2


async def test_an_engine_that_does_not_run_after_its_renewal_is_begun_again(house):
    house.supervisor._restarts["voice"] = quick(most=3)
    renew = house.voice.renew

    async def runs_the_second_time() -> None:
        await renew()
        house.voice.alive = house.voice.renewed > 1

    house.voice.renew = runs_the_second_time
    house.voice.trouble = "its worker thread died"
    await until(lambda: house.supervisor.restarted["voice"] == 1)
    assert house.voice.renewed == 2


async def test_a_device_that_is_lost_to_the_fresh_model_ends_the_process_at_once(house):
    house.voice.renewals = [RuntimeError("CUDA error: unspecified launch failure")] * 5
    house.voice.trouble = "stuck"
    await until(lambda: house.losses)
    assert house.losses[0].code == DEVICE_LOST
    assert "voice has lost the GPU: RuntimeError: CUDA error" in house.losses[0].reason
    assert house.voice.renewed == 1


def quick(*, most: int) -> Restarts:
    """Without pauses."""
    restarts = Restarts(most=most)
    pause_s: Callable[[float], float | None] = restarts.pause_s
    restarts.pause_s = lambda now_s: None if pause_s(now_s) is None else 0.0  # type: ignore
    return restarts
