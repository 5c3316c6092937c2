"""The real engines, begun anew while their old thread is stuck: they do what they did."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realtime.audio import Int16
from realtime.engines import HearingState, Line, Utterance
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.end_of_turn import SmartTurn
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.renewable import Renewable
from realtime.engines.speech_detector import WINDOW_SAMPLES, SileroDetector
from realtime.engines.whisper import WhisperTranscriber
from realtime.errors import StageError
from realtime.metrics import Metrics
from realtime.prompt import Message
from tests.client import ear_audio
from tests.street import until

SPEECH: Int16 = ear_audio("ls_6930_0000")
Work = Callable[[Any], Awaitable[Any]]


async def listen(detector: SileroDetector) -> list[float]:
    windows = list(SPEECH[: 20 * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES))
    return await detector.probabilities(HearingState(), windows, owner="a")


async def transcribe(whisper: WhisperTranscriber) -> str:
    return (await whisper.transcribe(Utterance(SPEECH), owner="a")).text


async def judge(model: SmartTurn) -> float:
    return await model.complete(SPEECH, owner="a")


async def speak(voice: EmbeddedVoice) -> list[int]:
    chunks = [chunk async for chunk in voice.speak(Line("All is well."), owner="a")]
    found: list[int] = np.concatenate(chunks).tolist()
    return found


ENGINES: dict[str, tuple[Callable[[dict[str, Path]], Renewable], Work]] = {
    "speech_detection": (lambda models: SileroDetector(Metrics()), listen),
    "transcription": (
        lambda models: WhisperTranscriber(models["whisper"], threads=2, metrics=Metrics()),
        transcribe,
    ),
    "end_of_turn": (lambda models: SmartTurn(models["end_of_turn"], metrics=Metrics()), judge),
    "voice": (lambda models: EmbeddedVoice(metrics=Metrics()), speak),
}


@pytest.mark.parametrize("stage", ENGINES)
async def test_what_waited_behind_a_stuck_thread_is_done_by_a_fresh_model(models, stage):
    make, work = ENGINES[stage]
    engine = make(models)
    engine.load()
    engine.start()
    engine.supervise()
    expected = await work(engine)
    batcher = engine._batchers()[-1]
    run, go, entered = batcher._run, threading.Event(), threading.Event()

    def stuck(batch):
        entered.set()
        assert go.wait(30)
        return run(batch)

    batcher._run, batcher._stuck_s = stuck, 0.05
    lost = asyncio.create_task(work(engine))
    await until(entered.is_set)
    batcher._run, batcher._stuck_s = run, 60.0
    waiting = asyncio.create_task(work(engine))
    await until(lambda: engine.trouble)
    engine.abandon(engine.trouble)
    with pytest.raises(StageError, match="it is restarted") as told:
        await lost
    assert told.value.stage == stage
    assert not engine.alive
    await engine.renew()
    assert engine.alive
    assert await waiting == expected
    assert engine.abandoned == 1
    go.set()
    await until(lambda: not engine.abandoned)
    assert await work(engine) == expected
    await engine.close()


@pytest.fixture
async def replier(models: dict[str, Path]) -> AsyncIterator[EmbeddedReplier]:
    made = EmbeddedReplier(models["llm"], threads=2, metrics=Metrics())
    made.load()
    made.start()
    await made.warm("Be kind.")
    made.supervise()
    yield made
    await made.close()


async def test_a_language_model_that_says_nothing_is_replaced_by_a_fresh_server(replier):
    """Its socket is taken away: nobody is reached there any more."""
    before = replier._folder
    os.unlink(f"{before}/llm.sock")
    asked = asyncio.create_task(say(replier))
    await until(lambda: replier.trouble)
    replier.abandon(replier.trouble)
    assert not replier.alive
    await replier.renew()
    assert replier.alive
    assert await asked
    assert await say(replier)
    assert (replier.trouble, replier.abandoned) == ("", 1)
    assert not os.access(before, os.F_OK)


async def say(replier: EmbeddedReplier) -> str:
    prompt = [Message("system", "Be kind."), Message("user", "How are you?")]
    deltas = replier.reply(prompt, max_tokens=8, owner="a")
    return "".join([delta.text async for delta in deltas])
