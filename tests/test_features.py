"""Log-mel features: computed once, on the audio alone, and the same as over the whole window."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
import pytest_asyncio
from faster_whisper.feature_extractor import FeatureExtractor

from realtime.audio import to_float32
from realtime.batching import FINAL, PARTIAL, SPECULATION
from realtime.engines.features import MAX_KEPT, LogMel, filled
from realtime.metrics import Metrics
from tests.client import ear_audio

AUDIO = {
    "speech": lambda: ear_audio("jfk"),
    "no whole frame": lambda: ear_audio("ls_6930_0000")[:20_001],
    "hardly audible": lambda: np.ones(1_600, np.int16),
    "silence": lambda: np.zeros(16_000, np.int16),
    "the loudest": lambda: np.full(1_601, 32_767, np.int16),
}


@pytest.mark.parametrize("name", AUDIO)
@pytest.mark.parametrize("window_s", [15.0, 30.0])
def test_silence_after_the_audio_need_not_be_computed(name, window_s):
    extractor = FeatureExtractor()
    mel = LogMel(max_waiting_s=1, metrics=Metrics())
    mel.load(extractor)
    audio = AUDIO[name]()
    padded = int(window_s * 16_000) - len(audio)
    whole = extractor(to_float32(audio), padding=padded)[:, : int(window_s * 100)]
    [ours] = filled([mel.compute(audio)], window_s)
    assert ours.dtype == whole.dtype == np.float32
    np.testing.assert_allclose(ours, whole, rtol=0, atol=5e-7)


@pytest_asyncio.fixture
async def mel():
    mel = LogMel(max_waiting_s=100, metrics=Metrics())
    mel.load(FeatureExtractor())
    mel.start()
    yield mel
    await mel.close()


@pytest.mark.parametrize("last", [FINAL, SPECULATION])
async def test_a_growing_turn_has_the_features_of_the_whole(mel, last):
    audio = ear_audio("jfk")
    for seconds in (0.01, 0.5, 0.52, 2.0, 3.7, 7.0):
        part = audio[: int(seconds * 16_000)]
        grown = await mel.of(part, owner="a", rank=PARTIAL)
        np.testing.assert_allclose(grown, mel.compute(part), rtol=0, atol=1e-6)
    shorter = audio[: int(6.3 * 16_000)]
    found = await mel.of(shorter, owner="a", rank=last)
    np.testing.assert_allclose(found, mel.compute(shorter), rtol=0, atol=1e-6)
    assert mel._metrics.counts["transcription.frames_kept"] > 1_000


async def test_another_turn_of_the_same_caller_shares_no_frames(mel):
    await mel.of(ear_audio("jfk"), owner="a", rank=PARTIAL)
    other = ear_audio("ls_6930_0000")
    found = await mel.of(other, owner="a", rank=PARTIAL)
    np.testing.assert_array_equal(found, mel.compute(other))


async def test_nothing_of_a_caller_is_kept_after_the_final(mel):
    audio = ear_audio("jfk")
    await mel.of(audio[:32_000], owner="a", rank=PARTIAL)
    assert list(mel._kept) == ["a"]
    await mel.of(audio, owner="a", rank=FINAL)
    assert not mel._kept


async def test_what_is_kept_is_bounded(mel):
    for owner in range(MAX_KEPT + 3):
        await mel.of(np.ones(2_000, np.int16), owner=owner, rank=PARTIAL)
    assert list(mel._kept) == list(range(3, MAX_KEPT + 3))


async def test_features_of_a_turn_that_is_over_are_made_before_those_of_guesses(mel, monkeypatch):
    done, begun, goes_on = [], threading.Event(), threading.Event()

    def run(batch):
        done.extend(asked.owner for asked in batch)
        begun.set()
        goes_on.wait(10)
        return [np.zeros((80, 1), np.float32)] * len(batch)

    monkeypatch.setattr(mel._batcher, "_run", run)
    audio = np.zeros(1_600, np.int16)
    async with asyncio.TaskGroup() as group:
        group.create_task(mel.of(audio, owner="first", rank=FINAL))
        await asyncio.to_thread(begun.wait, 10)
        for owner in ("a", "b"):
            group.create_task(mel.of(audio, owner=owner, rank=SPECULATION))
        while mel._batcher.waiting < 2:  # noqa: ASYNC110, no event tells of it
            await asyncio.sleep(0)
        mel.promote("b")
        goes_on.set()
    assert done == ["first", "b", "a"]
