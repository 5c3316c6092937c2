"""The server itself, with a recogniser that a setting names: fetched, loaded, and listening."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from fake_hub import Hub
from hub_handler import Stored

import bootstrap
from bootstrap import volume as layout
from tests.client import Client, clip, quiet
from tests.conftest import run_server

NAME = "somebody/faster-whisper-small-ear"
COMMIT = "c" * 40


@pytest.fixture(scope="module")
def embedded() -> dict[str, Path]:
    plan, volume = bootstrap.plan_for("embedded"), bootstrap.default_volume()
    return asyncio.run(bootstrap.ensure(plan, volume))


async def test_a_recogniser_of_the_hub_is_fetched_and_hears(
    embedded: dict[str, Path], hub: Hub, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {path.name: path.read_bytes() for path in embedded["whisper"].iterdir()}
    hub.repositories[NAME] = Stored(weights, COMMIT)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "10")
    wheels = layout.models_folder(volume) / "wheels"
    wheels.parent.mkdir(parents=True)
    at_home = layout.models_folder(bootstrap.default_volume()) / "wheels"
    if at_home.is_dir():
        wheels.symlink_to(at_home)
    options = ("--volume", str(volume), "--whisper", NAME, "--replier", "echo", "--pacing", "off")
    for url in run_server(*options):
        assert await heard(url)
    cache = layout.models_folder(volume) / "huggingface" / "hub"
    assert (cache / "models--somebody--faster-whisper-small-ear").is_dir()
    assert "model.bin" in hub.fetched

    asked = len(hub.requests)
    for url in run_server(*options, "--max-sessions", "2"):
        assert await heard(url)
    assert len(hub.requests) == asked


async def heard(url: str) -> bool:
    """Whether a spoken clip is understood."""
    async with aiohttp.ClientSession() as http:
        client = Client(await http.ws_connect(f"{url}/v1/realtime", max_msg_size=0))
        transcription = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        await client.send("session.update", session=transcription)
        await client.say(clip("vctk_p287_004_clean") + quiet(1))
        event = await client.until("conversation.item.input_audio_transcription.completed")
        await client.socket.close()
    return "plastic snake" in event["transcript"].lower()
