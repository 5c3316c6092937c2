"""A server with an end-of-turn model, and one that could not load it."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.engines.end_of_turn import SmartTurn
from realtime.metrics import Metrics
from realtime.runtime import _prepared
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn


async def stopped_ms(client) -> int:
    """When the turn in a sentence and 3 s of silence ended, in the client's audio."""
    audio = quiet(0.3) + clip("ls_6930_0000") + quiet(3)
    for start in range(0, len(audio), 1_920):  # 40 ms, so that a verdict can come between two
        await client.say(audio[start : start + 1_920])
    return (await client.until("input_audio_buffer.speech_stopped"))["audio_end_ms"]


async def test_a_turn_that_the_model_calls_complete_ends_sooner_than_without_it(connect, runtime):
    plain = await stopped_ms(await connect())
    runtime.end_of_turn = FakeEndOfTurn([1.0])
    assert await stopped_ms(await connect()) < plain


async def test_a_turn_that_the_model_calls_incomplete_ends_later(connect, runtime):
    plain = await stopped_ms(await connect())
    runtime.end_of_turn = FakeEndOfTurn([0.0])
    assert await stopped_ms(await connect()) > plain


async def test_a_model_that_cannot_be_loaded_is_left_out_unless_it_is_required(tmp_path: Path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    model = SmartTurn(broken, metrics=Metrics())
    assert await _prepared(model, required=False) is None
    with pytest.raises(Exception, match=r"broken\.onnx"):
        await _prepared(model, required=True)
