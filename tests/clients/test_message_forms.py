"""Every message that the server sent in this run, by the clients' own types. Runs near the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import RealtimeServerEvent
from pipecat.services.openai.realtime import events as pipecat_events

from tests.clients import node_program
from tests.clients.wire import Passed, Wire

MAX_FRAME_BYTES = 1024 * 1024
"""What the `websockets` package takes by default."""

SHOWN = 5
OPENAIS: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RealtimeServerEvent)
OPENAIS_BETA: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(BetaServerEvent)
PIPECATS: dict[str, type[pydantic.BaseModel]] = pipecat_events._server_event_types

Check = Callable[[dict[str, Any]], object]


def openai_check(event: dict[str, Any]) -> object:
    return OPENAIS.validate_json(json.dumps(event), strict=True)


def beta_check(event: dict[str, Any]) -> object:
    return OPENAIS_BETA.validate_json(json.dumps(event), strict=True)


def pipecat_check(event: dict[str, Any]) -> object:
    return PIPECATS[event["type"]].model_validate(event)


@pytest.fixture(scope="module")
def sent(record: Path) -> list[Passed]:
    """What the server said; nothing is proven by a run that had few kinds of it."""
    passed = [p for p in Wire(record, whole=True).passed() if p.sender == "server"]
    if len({p.type for p in passed if not p.beta}) < 25:
        pytest.skip("the other tests of this folder were not run")
    return passed


def misfits(events: list[dict[str, Any]], check: Check) -> dict[str, str]:
    """Type of event -> the first complaint about one."""
    found: dict[str, str] = {}
    for event in events:
        try:
            check(event)
        except (pydantic.ValidationError, TypeError, ValueError, AttributeError) as error:
            found.setdefault(event["type"], f"{error}\n{json.dumps(event)[:600]}")
    return found


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("input_audio_buffer.speech_started", {"audio_start_ms": "soon", "item_id": "i"}),
    ("input_audio_buffer.speech_started", {"audio_start_ms": 1}),
    ("response.output_audio.delta", {"delta": None, "item_id": "i", "response_id": "r"}),
    ("conversation.item.added", {"item": {"id": "i", "type": "message", "role": "nobody"}}),
    ("session.created", {"session": {"type": "realtime", "output_modalities": "audio"}}),
]
"""Messages that no server may send."""


@pytest.mark.parametrize(("type", "fields"), WRONG)
async def test_46_what_is_wrong_is_found(type: str, fields: dict[str, Any], tmp_path: Path) -> None:
    event = {"type": type, "event_id": "e", **fields}
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(event))
    assert misfits([event], openai_check)
    assert misfits([event], pipecat_check)
    found = await node_program.run("forms.mjs", events=str(events))
    assert found["misfits"] or type == "session.created", "it takes any session"


@pytest.mark.feature("openai (Python)", "message forms")
def test_46_messages_fit_openais_types(sent: list[Passed]) -> None:
    """Strictly: no string where a number is meant, nothing that is required left out."""
    assert not misfits([p.event for p in sent if not p.beta], openai_check)


@pytest.mark.feature("openai (Python), beta.realtime", "message forms")
def test_46_beta_messages_fit_openais_types(sent: list[Passed]) -> None:
    events = [p.event for p in sent if p.beta]
    assert events
    assert not misfits(events, beta_check)


@pytest.mark.feature("pipecat-ai", "message forms")
def test_46_messages_fit_pipecats_models(sent: list[Passed]) -> None:
    """Of conversations: it has no model of a session that only transcribes, nor of a tool that is
    chosen by name, which it therefore never does."""
    events = [p.event for p in sent if not p.beta and p.type in PIPECATS]
    events = [e for e in events if e.get("session", {}).get("type") != "transcription"]
    assert len({e["type"] for e in events}) > 20
    assert not misfits(events, pipecat_check)


@pytest.mark.feature("@openai/agents-realtime", "message forms")
async def test_46_messages_fit_the_agents_schemas(sent: list[Passed], tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(p.event) + "\n" for p in sent if not p.beta))
    found = await node_program.run("forms.mjs", events=str(events))
    assert found["checked"] > 100
    assert not found["misfits"], json.dumps(found["misfits"][:SHOWN])[:3_000]
    assert set(found["unknown"]) <= {"input_audio_buffer.timeout_triggered"}


def test_46_every_message_has_an_id_of_its_own(sent: list[Passed]) -> None:
    ids = [p.event["event_id"] for p in sent]
    assert all(isinstance(id_, str) and id_ for id_ in ids)
    assert len(ids) == len(set(ids))


def test_7_no_message_is_too_large_for_a_client(sent: list[Passed]) -> None:
    assert max(p.size_bytes for p in sent) < MAX_FRAME_BYTES
