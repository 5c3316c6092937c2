"""Chatterbox begun anew, its thread stuck or gone: who waits is told, who comes is served."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from realtime.engines import Line
from realtime.engines.chatterbox.voice import ChatterboxVoice, VoiceOptions
from realtime.errors import StageError
from realtime.metrics import Metrics
from tests.chatterbox import weights

LINE = Line("Seven lights were out.")


@pytest.fixture
async def voice(
    chatterbox_folders: dict[str, Path], tmp_path: Path
) -> AsyncIterator[ChatterboxVoice]:
    options = VoiceOptions(streams=2, threads=2)
    folder = chatterbox_folders["turbo"]
    made = ChatterboxVoice(folder, tmp_path, options, metrics=Metrics(), seeds=lambda line: 7)
    with weights.depth(small=True):
        made.load()
        made.warm()
        made.start()
        yield made
    await made.close()


async def spoken(voice: ChatterboxVoice, owner: str = "a") -> np.ndarray:
    return np.concatenate([chunk async for chunk in voice.speak(LINE, owner=owner)])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110, a thread changes it
            await asyncio.sleep(0.005)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", ["stuck", "dies"])
async def test_it_is_begun_anew(voice: ChatterboxVoice, how: str) -> None:
    expected, library = await spoken(voice), voice.store
    library.put("anna", library.get("default"))
    go, decoder, old = threading.Event(), voice._decoder, voice._worker
    step = decoder.step

    def losing() -> None:
        if how == "dies":
            raise SystemExit("the thread dies")
        assert go.wait(60)
        step()

    decoder.step = losing  # type: ignore[method-assign]
    old._stuck_s = 0.2
    lost = [asyncio.create_task(spoken(voice, owner)) for owner in ("a", "b", "c")]
    await until(lambda: voice.trouble)
    assert not voice.alive
    voice.abandon(voice.trouble)
    for failed in await asyncio.gather(*lost, return_exceptions=True):
        assert isinstance(failed, StageError)
        assert (failed.stage, failed.code) == ("voice", "restarting")
    with pytest.raises(StageError, match="is being restarted"):
        await spoken(voice)
    assert voice.abandoned == (how == "stuck")
    await voice.renew()
    assert voice.alive
    assert voice.store is library
    assert voice.names() == ("default", "anna")
    assert np.array_equal(await spoken(voice), expected)
    go.set()
    await until(lambda: not voice.abandoned)
    assert np.array_equal(await spoken(voice), expected)
