"""The whole loop with Chatterbox on weights that say noise: real speech in, sound out, barge-in."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from realtime.engines.chatterbox.voice import ChatterboxVoice, VoiceOptions
from realtime.engines.echo import EchoReplier
from realtime.engines.speech_detector import SileroDetector
from realtime.engines.whisper import WhisperTranscriber
from realtime.metrics import Metrics
from realtime.runtime import Runtime
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.chatterbox import weights
from tests.chatterbox.test_voice import another_speaker
from tests.client import Client, clip, quiet
from tests.conftest import run_server

CLIP = "vctk_p287_004_clean"
DELTA = "response.output_audio.delta"


@pytest.fixture(scope="module")
def chatterbox_url(chatterbox_folders: dict[str, Path], models: Any) -> Iterator[str]:
    """The command as a person types it."""
    folder = str(chatterbox_folders["turbo"])
    yield from run_server(
        *("--voice", "chatterbox", "--voice-folder", folder, "--voice-streams", "2"),
        *("--replier", "echo", "--max-sessions", "8"),
        module="tests.chatterbox.serve",
    )


@asynccontextmanager
async def a_session(url: str, voice: str = "default") -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(f"{url}/v1/realtime", max_msg_size=0))
        await client.until("session.created")
        await client.send("session.update", session={"audio": {"output": {"voice": voice}}})
        await client.until("session.updated")
        yield client


async def counted(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/status") as response:
        found: dict[str, Any] = await response.json()
        return found


async def steps(url: str) -> int:
    return int((await counted(url))["counts"].get("voice.steps", 0))


async def test_a_spoken_turn_is_answered_while_the_decoder_works(chatterbox_url: str) -> None:
    before = await steps(chatterbox_url)
    async with a_session(chatterbox_url) as client:
        await client.say(quiet(0.3) + clip(CLIP) + quiet(1))
        await client.until(DELTA)
        at_first = await steps(chatterbox_url)
        while len(client.audio()) < 24_000:  # half a second: more than the first chunk holds
            await client.until(DELTA)
        at_second = await steps(chatterbox_url)
        done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert before < at_first <= at_second < await steps(chatterbox_url)
    sound = np.frombuffer(client.audio(), "<i2")
    assert len(sound) > 24_000
    assert np.abs(sound).max() > 100


async def test_a_barge_in_stops_the_decoder_within_two_steps(chatterbox_url: str) -> None:
    async with a_session(chatterbox_url) as client:
        await client.say(quiet(0.3) + clip(CLIP) + quiet(1))
        await client.until(DELTA)
        await client.say(clip(CLIP)[: 24_000 * 2])
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        metrics: dict[str, Any] = {}
        until_s = time.monotonic() + 30
        while not metrics.get("counts", {}).get("voice.cancelled") and time.monotonic() < until_s:
            metrics = await counted(chatterbox_url)
        assert metrics["counts"]["voice.cancelled"] == 1
        assert metrics["series"]["voice.steps_after_cancel"]["max"] <= 2
        left = await steps(chatterbox_url)
        await asyncio.sleep(0.5)
        assert await steps(chatterbox_url) == left, "nothing is made for nobody"


@pytest.fixture
async def two_voices(
    chatterbox_folders: dict[str, Path], models: dict[str, Path], tmp_path: Path
) -> AsyncIterator[str]:
    """A server in this process, where the same text in the same voice always sounds the same."""
    metrics = Metrics()
    voice = ChatterboxVoice(
        chatterbox_folders["turbo"],
        tmp_path,
        VoiceOptions(streams=2, threads=2),
        metrics=metrics,
        seeds=lambda line: zlib.crc32(line.text.encode()),
    )
    with weights.depth(small=True):
        voice.load()
    own = voice.library.get("default")
    voice.library.put("anna", another_speaker(own))
    whisper = WhisperTranscriber(models["whisper"], threads=2, metrics=metrics)
    runtime = Runtime(SileroDetector(metrics), whisper, EchoReplier(), voice)
    for engine in (runtime.detector, whisper):
        engine.load()
    for engine in (runtime.detector, whisper, voice):
        engine.start()
    app = make_app(runtime, metrics, SessionConfig(), Manners(pacing=None))
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
    await runtime.close()


async def test_two_sessions_with_two_voices_at_once_sound_as_each_alone(two_voices: str) -> None:
    async def say(voice: str, text: str) -> np.ndarray:
        async with a_session(two_voices, voice) as client:
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            await client.send("conversation.item.create", item=item)
            await client.send("response.create")
            done = await client.until("response.done")
            assert done["response"]["status"] == "completed"
            return np.frombuffer(client.audio(), "<i2").astype(int)

    asked = [("default", "Seven lights."), ("anna", "The ship came.")]
    alone = [await say(*one) for one in asked]
    at_once = await asyncio.gather(*(say(*one) for one in asked))
    for solo, together in zip(alone, at_once, strict=True):
        assert len(solo) == len(together) > 12_000
        # float32 sums in another order, in 16 bits
        assert np.abs(solo - together).max() <= 3
