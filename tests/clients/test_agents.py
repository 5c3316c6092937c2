"""OpenAI's agents package for voice, on Node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients import node_program
from tests.clients.chat import CITY, STORY
from tests.clients.speech import FIRST, SECOND, misheard
from tests.clients.wire import Wire

CLIENT = "@openai/agents-realtime"
Run = Callable[[str], Awaitable[dict[str, Any]]]


@pytest.fixture
def run(site: str, tmp_path: Path) -> Run:
    """One scenario of `agents.mjs`."""

    async def program(scenario: str) -> dict[str, Any]:
        return await node_program.run(
            "agents.mjs", scenario=scenario, site=site, speech=node_program.speech(tmp_path)
        )

    return program


@pytest.mark.feature(CLIENT, "connect")
@pytest.mark.feature(CLIENT, "spoken turn")
async def test_40_agents_hear_and_are_answered(run: Run, wire: Wire) -> None:
    found = await run("spoken")
    assert not found["errors"]
    user, assistant = found["history"]
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert misheard(FIRST, user["text"]) <= 0.15
    assert assistant["text"] == f"You said: {user['text']}"
    assert found["bytes"] > 24_000 * 2


@pytest.mark.feature(CLIENT, "barge-in")
@pytest.mark.feature(CLIENT, "history")
async def test_40_agents_are_interrupted(run: Run, wire: Wire) -> None:
    """It truncates what it played and asks for the item again, which holds what was heard."""
    found = await run("interrupted")
    assert not found["errors"]
    assert found["status"] == "cancelled"
    assert found["interruptions"] >= 1
    assert found["truncated"] == 1
    first, told, second = found["history"][:3]
    assert misheard(FIRST, first["text"]) <= 0.15
    assert misheard(SECOND, second["text"]) <= 0.15
    assert told["text"]
    assert STORY.startswith(told["text"])
    assert len(told["text"]) < len(STORY) / 2
    assert wire.asked("conversation.item.retrieve")
    [cut] = wire.asked("conversation.item.truncate")
    assert cut["audio_end_ms"] > 0


@pytest.mark.feature(CLIENT, "tool call")
@pytest.mark.feature(CLIENT, "text turn")
async def test_40_agents_call_a_tool(run: Run, wire: Wire) -> None:
    found = await run("called")
    assert not found["errors"]
    assert found["result"] == f"sunny in {CITY}"
    assert found["history"][-1]["text"] == f"The tool says sunny in {CITY}."
