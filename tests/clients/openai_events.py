"""What the tests of OpenAI's Python package share: reading events, a tool, audio as it is sent."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

TIMEOUT_S = 60
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def base64_of(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


async def until(connection: Any, *types: str) -> list[Any]:
    """Read up to and including one of these types; what came."""
    seen = []
    async with asyncio.timeout(TIMEOUT_S):
        async for event in connection:
            seen.append(event)
            if event.type in types:
                return seen
    raise AssertionError(f"the connection ended before {types}: {[e.type for e in seen]}")


def one(events: list[Any], type: str) -> Any:
    [found] = [e for e in events if e.type == type]
    return found
