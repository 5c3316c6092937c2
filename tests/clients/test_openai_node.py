"""OpenAI's npm package, which dials nothing but TLS, in the two versions that are in use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients import node_program
from tests.clients.chat import CITY, STORY
from tests.clients.speech import FIRST, SECOND, misheard, spoken, wav
from tests.clients.wire import Wire

Run = Callable[[str, str], Awaitable[dict[str, Any]]]


def both(*features: str) -> pytest.MarkDecorator:
    """A run with each version, for a cell of each on the page."""
    runs = []
    for package, name in (("openai", "npm 6"), ("openai-7", "npm 7")):
        marks = [pytest.mark.feature(f"openai ({name})", feature) for feature in features]
        runs.append(pytest.param(package, id=name, marks=marks))
    return pytest.mark.parametrize("package", runs)


@pytest.fixture
def run(secure_site: str, certificate: Path, tmp_path: Path) -> Run:
    """One scenario of `openai.mjs` with one of the packages."""
    sound = tmp_path / "first.wav"
    sound.write_bytes(wav(spoken(FIRST)))

    async def program(package: str, scenario: str) -> dict[str, Any]:
        return await node_program.run(
            "openai.mjs",
            trust=certificate,
            package=package,
            scenario=scenario,
            site=secure_site,
            speech=node_program.speech(tmp_path),
            wav=str(sound),
        )

    return program


@both("connect", "spoken turn")
async def test_39_node_hears_and_is_answered(package: str, run: Run, wire: Wire) -> None:
    found = await run(package, "spoken")
    assert not found["errors"]
    assert misheard(FIRST, found["heard"]) <= 0.15
    assert found["said"] == f"You said: {found['heard']}"
    assert found["status"] == "completed"
    assert found["bytes"] > 24_000 * 2


@both("text turn")
async def test_39_node_is_answered_in_writing(package: str, run: Run, wire: Wire) -> None:
    assert await run(package, "written") == {"errors": [], "said": "You said: Good morning."}


@both("tool call")
async def test_39_node_calls_a_tool(package: str, run: Run, wire: Wire) -> None:
    assert await run(package, "tool") == {
        "errors": [],
        "name": "get_weather",
        "arguments": f'{{"city": "{CITY}"}}',
        "said": "The tool says sunny.",
    }


@both("barge-in")
async def test_39_node_is_interrupted(package: str, run: Run, wire: Wire) -> None:
    found = await run(package, "interrupted")
    assert not found["errors"]
    assert (found["status"], found["reason"]) == ("cancelled", "turn_detected")
    assert found["kept"]
    assert STORY.startswith(found["kept"])
    assert len(found["kept"]) < len(STORY) / 2
    assert misheard(SECOND, found["heard"]) <= 0.15


@both("history")
async def test_39_node_changes_the_history(package: str, run: Run, wire: Wire) -> None:
    found = await run(package, "history")
    assert found == {"errors": [], "text": "I am here.", "deleted": "mine"}


@both("REST")
async def test_39_node_speaks_and_transcribes_over_rest(package: str, run: Run) -> None:
    found = await run(package, "rest")
    assert found["models"]
    assert found["bytes"] > 24_000
    assert misheard(FIRST, found["heard"]) <= 0.15
