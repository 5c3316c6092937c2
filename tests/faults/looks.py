"""What is looked at in many cells: the error that names the stage, the restart, the next turn."""

from __future__ import annotations

from typing import Any

from tests.client import Client
from tests.faults.ward import Ward
from tests.neighbour import told
from tests.street import until
from tests.weights import TROUBLE

NEEDED = {"speech_detection": "whisper", "transcription": "whisper", "voice": "tts"}
"""Stages without which nobody is let in, and their key in `/health`."""


async def victim(ward: Ward) -> tuple[Client, str]:
    """A caller, and the name by which engines know him."""
    client = await ward.knock()
    [created] = client.of("session.created")
    return client, created["session"]["id"]


async def told_of(client: Client, stage: str, code: str) -> dict[str, Any]:
    """The `error` event that says which stage failed."""
    error: dict[str, Any] = (await told(client, "error"))["error"]
    assert (error["type"], error["stage"], error["code"]) == ("server_error", stage, code), error
    return error


async def not_transcribed(client: Client) -> None:
    """His words are told to be missing, and nothing is answered."""
    failed = await told(client, "conversation.item.input_audio_transcription.failed")
    [error] = client.of("error")
    assert failed["error"]["code"] == error["error"]["code"]
    assert not client.of("response.created")


async def not_answered(client: Client) -> None:
    """His response has failed, as the error before it said."""
    response = (await told(client, "response.done"))["response"]
    assert response["status"] == "failed"
    error = client.of("error")[-1]["error"]
    assert response["status_details"]["error"]["code"] == error["code"]


async def answered(client: Client) -> None:
    """A response to what he has said is whole."""
    while (await told(client, "response.done"))["response"]["status"] != "completed":
        pass


async def next_turn(ward: Ward, client: Client) -> None:
    """He says it again, nothing fails any more, and he is answered."""
    ward.repair()
    await client.say(TROUBLE.audio)
    await answered(client)
    await client.socket.close()


async def down(ward: Ward, stage: str) -> None:
    """The engine is being begun anew: what probes and newcomers are told, until it works again."""
    await until(lambda: stage in ward.supervisor.outages)
    reason = ward.supervisor.outages[stage].reason
    health, ready = await ward.get("/health"), await ward.get("/ready")
    if stage in NEEDED:
        models = {key: key != NEEDED[stage] for key in ("tts", "whisper")}
        assert health == (503, {"status": "error", "models": models})
        assert ready[0] == 503
        assert ready[1]["status"] == "unavailable"
        assert f"{stage} is being restarted: {reason}" in ready[1]["reason"]
        assert await ward.refused() == (503, "5")
    else:
        assert health[0] == 200
        assert ready == (200, {"status": "ready", "without": {stage: reason}})
        assert (await ward.refused())[0] == 101
    before = ward.supervisor.restarted[stage]
    ward.holds[stage].gate.set()
    await until(lambda: ward.supervisor.restarted[stage] == before + 1)
    assert (await ward.get("/health"))[0] == 200
    assert await ward.get("/ready") == (200, {"status": "ready"})
