"""A caller's words are read by the language model while he still speaks.

What is left to be read when he pauses is then the end of his sentence, and the model is awake. A
hypothesis of the recogniser goes to it up to where the one before it says the same to the letter;
if the words turn out otherwise, what was read up to there still counts. Only while speech is heard:
in a pause the recogniser wants the processor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any

from realtime.agreement import units
from realtime.engines import EndReader
from realtime.metrics import Metrics
from realtime.prompt import Message

LEAST_WORDS = 2
"""Fewer new ones are left for the next time."""

UNBELIEVED = 2
"""Words at the end of a turn's first hypothesis, with which nothing agrees yet."""

log = logging.getLogger("banter.reading_ahead")

Own = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
Prompt = Callable[[str], Sequence[Message] | None]


class ReadingAhead:
    """`begin` with a turn, `hear` each hypothesis of it. One question at a time.

    `prompt` says what would be read if these were the caller's words, or None where nothing may be.
    `own` makes the tasks, and whoever owns them awaits them.
    """

    def __init__(
        self, reader: EndReader, *, owner: Hashable, own: Own, prompt: Prompt, metrics: Metrics
    ) -> None:
        self._reader, self._owner, self._own = reader, owner, own
        self._prompt, self._metrics = prompt, metrics
        self._last: list[str] | None = None
        self._read = 0
        """Words that were given to the reader, which may have had better things to do."""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """A turn begins."""
        self._last, self._read = None, 0

    def hear(self, text: str, *, speaking: bool) -> None:
        """A hypothesis of all that was said in the turn so far, and whether it goes on."""
        said, last = units(text), self._last
        self._last = said
        if not speaking:
            return
        agreed = len(said) - UNBELIEVED if last is None else common(last, said)
        if agreed < self._read + LEAST_WORDS or (self._task and not self._task.done()):
            return
        if prompt := self._prompt("".join(said[:agreed])):
            self._read = agreed
            self._metrics.count("speculation.read_ahead")
            self._task = self._own(self._go(prompt))

    def close(self) -> None:
        """Nobody will pause any more."""
        if self._task:
            self._task.cancel()

    async def _go(self, prompt: Sequence[Message]) -> None:
        """The pause will show what was not read."""
        try:
            await self._reader.read(prompt, owner=self._owner)
        except Exception:
            log.debug("%s: nothing was read ahead", self._owner, exc_info=True)


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences begin with together."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
