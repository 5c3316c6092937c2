"""Chatterbox behind the seam, on weights that say noise: order, chunks, cancelling, neighbours."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import torch

from realtime.audio import VOICE_RATE_HZ, Int16
from realtime.batching import PARTIAL
from realtime.engines import Line
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.decoder import Row
from realtime.engines.chatterbox.voice import ChatterboxVoice, VoiceOptions
from realtime.errors import StageError
from realtime.metrics import Metrics
from tests.chatterbox import weights

LONG = "The ship came in late."
OTHER = "Seven lights were out."
ROWS = 3


def seed_of(line: Line) -> int:
    """The same line always sounds the same."""
    return zlib.crc32(f"{line.voice}: {line.text}".encode())


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="module")
def voice(
    chatterbox_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, metrics: Metrics
) -> Iterator[ChatterboxVoice]:
    """Started; with `anna`, whose conditionals are not the model's."""
    voices = tmp_path_factory.mktemp("voices")
    options = VoiceOptions(streams=ROWS, threads=2)
    made = ChatterboxVoice(
        chatterbox_folders["turbo"], voices, options, metrics=metrics, seeds=seed_of
    )
    with weights.depth(small=True):
        made.load()
    own = made.library.get("default")
    made.library.put("anna", another_speaker(own))
    made.warm()
    made.start()
    metrics.clear()
    yield made
    asyncio.run(made.close())


@pytest.fixture(autouse=True)
def cleared(metrics: Metrics) -> None:
    metrics.clear()


def another_speaker(one: Conditionals) -> Conditionals:
    draw = torch.Generator().manual_seed(77)
    return Conditionals(
        speaker=torch.rand(one.speaker.shape, generator=draw),
        prompt=torch.randint(0, 6561, one.prompt.shape, generator=draw),
        flow_tokens=torch.randint(0, 6561, one.flow_tokens.shape, generator=draw),
        flow_mel=torch.randn(one.flow_mel.shape, generator=draw),
        flow_embedding=torch.randn(one.flow_embedding.shape, generator=draw),
    )


async def chunks(voice: ChatterboxVoice, line: Line, owner: str) -> list[Int16]:
    return [chunk async for chunk in voice.speak(line, owner=owner)]


async def until(condition: object) -> None:
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110, a thread changes it
            await asyncio.sleep(0.005)


async def test_the_first_sound_leaves_while_the_decoder_still_works(
    voice: ChatterboxVoice, metrics: Metrics
) -> None:
    steps_at_first, sizes = 0, []
    async for chunk in voice.speak(Line(LONG), owner="a"):
        steps_at_first = steps_at_first or metrics.counts["voice.steps"]
        sizes.append(len(chunk))
    assert len(sizes) > 2
    assert 0 < steps_at_first < metrics.counts["voice.steps"] / 2
    assert sizes[0] <= 0.4 * 24_000


async def test_a_caller_who_goes_stops_the_decoder_within_two_steps(
    voice: ChatterboxVoice, metrics: Metrics
) -> None:
    async with aclosing(voice.speak(Line(LONG), owner="a")) as sounds:
        async for _ in sounds:
            break
    await until(lambda: metrics.counts["voice.cancelled"])
    [after] = metrics.series["voice.steps_after_cancel"]
    assert after <= 2
    made = len(metrics.series["voice.batch"])
    heard = await chunks(voice, Line("Hello there, you."), "b")
    assert heard
    steps_of_b = metrics.counts["voice.steps"]
    assert len(metrics.series["voice.batch"]) - made <= len(heard) + 1
    await asyncio.sleep(0.1)
    assert metrics.counts["voice.steps"] == steps_of_b, "it steps for nobody"


async def test_two_callers_with_two_voices_each_hear_what_they_would_alone(
    voice: ChatterboxVoice,
) -> None:
    lines = [Line(LONG), Line(OTHER, voice="anna")]
    alone = [np.concatenate(await chunks(voice, line, "a")) for line in lines]
    at_once = await asyncio.gather(
        *(chunks(voice, line, f"caller {n}") for n, line in enumerate(lines))
    )
    for solo, together in zip(alone, map(np.concatenate, at_once), strict=True):
        assert len(solo) == len(together)
        # 16 bits: rounding of float32 sums in another order
        assert np.abs(solo.astype(int) - together.astype(int)).max() <= 3
    assert len(alone[0]) != len(alone[1]) or np.abs(alone[0] - alone[1]).max() > 100


async def test_more_callers_than_places_wait_and_are_all_spoken_to(
    voice: ChatterboxVoice, metrics: Metrics
) -> None:
    heard = await asyncio.gather(
        *(
            chunks(voice, Line(weights.sentence(n, words=3)), f"caller {n}")
            for n in range(ROWS * 2 + 1)
        )
    )
    assert all(sum(map(len, each)) > 24_000 for each in heard)
    assert max(metrics.series["voice.rows"]) == ROWS
    assert max(metrics.series["voice.batch"]) > 1, "chunks of several callers were made together"


async def test_a_live_caller_begins_before_others_who_wait_and_has_the_last_place(
    voice: ChatterboxVoice, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    join, begun = voice._decoder.join, []

    def noted(row: Row) -> None:
        begun.append((row.seed, voice._decoder.free))
        join(row)

    monkeypatch.setattr(voice._decoder, "join", noted)
    others = [Line(weights.sentence(n, words=3), rank=PARTIAL) for n in range(ROWS + 1)]
    speaking = [asyncio.create_task(chunks(voice, o, f"s{n}")) for n, o in enumerate(others)]
    await until(lambda: len(begun) == ROWS - 1)
    live = asyncio.create_task(chunks(voice, Line(OTHER), "caller"))
    heard = await asyncio.gather(live, *speaking)
    assert all(sum(map(len, each)) > 0 for each in heard)
    assert begun[ROWS - 1][0] == seed_of(Line(OTHER))
    assert all(free > 1 for seed, free in begun if seed != seed_of(Line(OTHER)))


async def test_who_is_gone_before_his_place_comes_costs_nothing(
    voice: ChatterboxVoice, metrics: Metrics
) -> None:
    speaking = [asyncio.create_task(chunks(voice, Line(LONG), f"c{n}")) for n in range(ROWS)]
    await until(lambda: metrics.counts["voice.steps"])
    waiting = asyncio.create_task(chunks(voice, Line(OTHER), "late"))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(*speaking)
    assert len(metrics.series["voice.first_ms"]) == ROWS


@pytest.fixture
def quiet_log() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet_log")
async def test_a_line_that_cannot_begin_fails_alone(
    voice: ChatterboxVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = voice._decoder.join

    def failing(row: object) -> None:
        if row.seed == seed_of(Line(OTHER)):  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory")
        join(row)

    monkeypatch.setattr(voice._decoder, "join", failing)
    good, bad = await asyncio.gather(
        chunks(voice, Line(LONG), "a"), chunks(voice, Line(OTHER), "b"), return_exceptions=True
    )
    assert isinstance(good, list)
    assert isinstance(bad, StageError)
    assert bad.code == "out_of_memory"
    assert voice.alive


@pytest.mark.usefixtures("quiet_log")
async def test_a_line_whose_sound_cannot_be_opened_gives_its_place_back(
    voice: ChatterboxVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = voice._synthesizer.open

    def failing(conditionals: Conditionals, *, seed: int, speed: float) -> object:
        if seed == seed_of(Line(OTHER)):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return opened(conditionals, seed=seed, speed=speed)

    monkeypatch.setattr(voice._synthesizer, "open", failing)
    good, bad = await asyncio.gather(
        chunks(voice, Line(LONG), "a"), chunks(voice, Line(OTHER), "b"), return_exceptions=True
    )
    assert isinstance(good, list)
    assert isinstance(bad, StageError)
    assert bad.code == "out_of_memory"
    assert voice._decoder.free == ROWS


@pytest.mark.usefixtures("quiet_log")
async def test_a_device_that_is_lost_stays_lost(
    voice: ChatterboxVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [RuntimeError("CUDA error: an illegal memory access"), RuntimeError("something else")]

    def failing() -> None:
        raise errors.pop(0)

    monkeypatch.setattr(voice._decoder, "step", failing)
    lines = (chunks(voice, Line(OTHER), owner) for owner in range(ROWS + 1))
    ended = await asyncio.gather(*lines, return_exceptions=True)
    assert all(isinstance(error, StageError) for error in ended)
    assert errors == []  # the line that waited for a place failed in a step of its own
    assert not voice.alive
    with pytest.raises(StageError, match="not available"):
        await chunks(voice, Line(OTHER), "later")
    voice._worker.lost_device = ""


@pytest.mark.usefixtures("quiet_log")
async def test_a_chunk_that_fails_costs_its_own_line(
    voice: ChatterboxVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, anna = voice._synthesizer.run, voice.library.get("anna")

    def failing(jobs: list[object]) -> object:
        if any(job.sound.conditionals is anna for job in jobs):  # type: ignore[attr-defined]
            raise RuntimeError("this one")
        return run(jobs)

    monkeypatch.setattr(voice._synthesizer, "run", failing)
    good, bad = await asyncio.gather(
        chunks(voice, Line(LONG), "a"),
        chunks(voice, Line(OTHER, voice="anna"), "b"),
        return_exceptions=True,
    )
    assert isinstance(good, list)
    assert isinstance(bad, StageError)
    assert voice.alive
    assert voice._decoder.free == ROWS


async def test_after_a_hush_nobody_has_anything_in_hand(voice: ChatterboxVoice) -> None:
    """Else the line after an interruption would be made as late as if all were still heard."""
    voice._worker._runs_dry_s["a"] = time.perf_counter() + 100  # as after a long line
    voice.hush("a")
    async with aclosing(voice.speak(Line(OTHER), owner="a")) as sounds:
        first = await anext(sounds)
        left_s = voice._worker._runs_dry_s["a"] - time.perf_counter()
    assert left_s < 1 + len(first) / VOICE_RATE_HZ


@pytest.mark.usefixtures("quiet_log")
async def test_memory_that_runs_out_in_a_step_costs_the_youngest(
    voice: ChatterboxVoice, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, fail = voice._decoder.step, [False]

    def failing() -> object:
        if fail[0]:
            fail[0] = False
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step()

    monkeypatch.setattr(voice._decoder, "step", failing)
    old = asyncio.create_task(chunks(voice, Line(LONG), "old"))
    await until(lambda: metrics.counts["voice.steps"] > 3)
    young = asyncio.create_task(chunks(voice, Line(OTHER), "young"))
    await until(lambda: max(metrics.series["voice.rows"]) == 2)
    fail[0] = True
    with pytest.raises(StageError, match="memory"):
        await young
    assert sum(map(len, await old)) > 24_000


@pytest.mark.usefixtures("quiet_log")
async def test_a_voice_that_nobody_knows_is_an_error_of_its_line(voice: ChatterboxVoice) -> None:
    with pytest.raises(StageError, match="nobody"):
        await chunks(voice, Line("Hello.", voice="nobody"), "a")


async def test_when_it_closes_everybody_is_told(
    chatterbox_folders: dict[str, Path], tmp_path: Path
) -> None:
    made = ChatterboxVoice(
        chatterbox_folders["turbo"],
        tmp_path,
        VoiceOptions(streams=1, threads=2, watermark=False),
        metrics=Metrics(),
        seeds=seed_of,
    )
    with weights.depth(small=True):
        made.load()
    made.start()
    first, second = (asyncio.create_task(chunks(made, Line(LONG), o)) for o in ("a", "b"))
    await until(lambda: made._decoder.free == 0)
    await made.close()
    for task in (first, second):
        with pytest.raises(StageError, match="going away"):
            await task
    assert not made.alive
