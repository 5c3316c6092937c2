"""Smart Turn itself, from the wheel, on recorded speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr

from realtime.audio import Int16
from realtime.engines.end_of_turn import HEARD_SAMPLES, SmartTurn
from realtime.errors import EndOfTurnError
from realtime.metrics import Metrics
from tests.client import clip

WHOLE = "ls_6930_0000"


@pytest.fixture(scope="module")
def model(models: dict[str, Path]) -> SmartTurn:
    smart_turn = SmartTurn(models["end_of_turn"], metrics=Metrics())
    smart_turn.load()
    smart_turn.warm()
    return smart_turn


@pytest.fixture
async def running(model: SmartTurn):
    model.start()
    yield model
    await model.close()


def heard(name: str) -> Int16:
    audio = np.frombuffer(clip(name), "<i2").astype(np.float32) / 32_768
    return (soxr.resample(audio, 24_000, 16_000) * 32_767).astype(np.int16)


def ending(audio: Int16, seconds: float = 0.2) -> Int16:
    """Up to the last loud sample, and so much silence."""
    last = np.flatnonzero(np.abs(audio) > 1_000)[-1]
    return np.concatenate((audio[:last], np.zeros(int(seconds * 16_000), np.int16)))


def test_silence_stands_before_what_is_shorter_and_only_the_last_8_s_count(model):
    audio = heard(WHOLE)
    padded = np.concatenate((np.zeros(HEARD_SAMPLES - len(audio), np.int16), audio))
    assert np.array_equal(model.features(audio), model.features(padded))
    assert model.features(audio).shape == (80, 800)


def test_how_loud_it_is_changes_nothing(model):
    loud, quiet = model.run([ending(heard(WHOLE)), ending(heard(WHOLE)) // 4])
    assert loud == pytest.approx(quiet, abs=0.05)


def test_a_batch_gives_what_each_gives_alone(model):
    each = [heard(WHOLE), heard("jfk")[: 16_000 * 5], np.zeros(0, np.int16)]
    alone = [model.run([audio])[0] for audio in each]
    assert model.run(each) == pytest.approx(alone, abs=0.02)


async def test_a_failing_run_is_told_and_the_next_one_works(running, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(running, "features", lambda audio: np.zeros(3))
        with pytest.raises(EndOfTurnError):
            await running.complete(heard(WHOLE), owner="a")
    assert 0 <= await running.complete(heard(WHOLE), owner="a") <= 1
