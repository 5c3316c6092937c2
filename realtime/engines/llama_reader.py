"""A caller's words, read by llama.cpp: ahead while he speaks, and to say whether they may end.

What was read stays in the slot, so of a prompt that begins with it only the rest is read. On two
cores that costs 4 ms a token, and as much again where the weights rested.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from realtime.engines.end_of_words import LOOKED_AT, bare, probability_of_end
from realtime.prompt import Message

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Post JSON to a path of llama.cpp's server, and get its answer."""

PLACEHOLDER = "\u2060WORDS\u2060"
"""Stands for the caller's last words in what the model's template makes of a conversation."""

KEPT = 16
"""Turns whose prompt's beginning is remembered as the template writes it."""


class LlamaReader:
    """Reads prompts up to the last word of their last message, without the mark behind it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._begins: dict[tuple[Message, ...], str] = {}

    async def ends(self, messages: Sequence[Message]) -> float:
        """The probability, from 0 to 1, that the last message ends with its last word.

        Raises:
            KeyError, ValueError: the server answered strangely.
        """
        if not bare(messages[-1].text):
            return 1.0
        next_token = {"n_predict": 1, "n_probs": LOOKED_AT, "temperature": 0}
        return probability_of_end(await self._read(messages, next_token))

    async def ahead(self, messages: Sequence[Message]) -> None:
        """More words may follow the last message's.

        Raises:
            KeyError, ValueError: the server answered strangely.
        """
        await self._read(messages, {"n_predict": 0})

    async def _read(self, messages: Sequence[Message], how: dict[str, Any]) -> dict[str, Any]:
        prompt = await self._beginning(messages) + bare(messages[-1].text)
        return await self._ask("/completion", {"prompt": prompt, "cache_prompt": True, **how})

    async def _beginning(self, messages: Sequence[Message]) -> str:
        """The prompt up to the last message's text. To have it written takes 3 to 9 ms, once for
        each turn."""
        *before, last = messages
        known = (*before, Message(last.role, PLACEHOLDER))
        begin = self._begins.pop(known, None)
        if begin is None:
            told = [{"role": m.role, "content": m.text} for m in known]
            whole = await self._ask("/apply-template", {"messages": told})
            begin = whole["prompt"][: whole["prompt"].rindex(PLACEHOLDER)]
        self._begins[known] = begin
        if len(self._begins) > KEPT:
            del self._begins[next(iter(self._begins))]
        return begin
