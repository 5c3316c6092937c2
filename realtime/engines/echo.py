"""A replier that says back what it heard: for benchmarks, and to hear what was understood."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence

from realtime.engines import Delta
from realtime.prompt import Message
from realtime.tools import Toolbox


class EchoReplier:
    """Repeats the caller's last message."""

    prompt_tokens = 1_000_000
    calls_functions = False
    alive = True
    spare = True

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to close."""

    async def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]:
        said = next((m.text for m in reversed(prompt) if m.role == "user"), "")
        yield Delta(said)
