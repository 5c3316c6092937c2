"""What a language model is given to read: messages, their size, and what of them can be left out.

Pure values. A message may carry calls of functions, or the result of one; `plain` turns these into
words for a model that knows nothing of functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MessageRole = Literal["system", "user", "assistant", "tool"]


CHARS_PER_TOKEN = 3.5
"""On the safe side."""


@dataclass(frozen=True)
class ToolCall:
    """A function that the assistant called; `arguments` is JSON as the model wrote it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One line of a prompt."""

    role: MessageRole
    text: str
    calls: tuple[ToolCall, ...] = ()
    """Only of the assistant."""
    call_id: str = ""
    """Of a `tool` message: the call whose result `text` is."""


def plain(messages: Sequence[Message]) -> list[Message]:
    """The same prompt without calls and results as such: they are told in words."""
    lines = []
    for message in messages:
        if message.role == "tool":
            lines.append(Message("system", f"The function's result: {message.text}"))
            continue
        if message.text:
            lines.append(Message(message.role, message.text))
        lines += [Message("assistant", f"I call {c.name}({c.arguments}).") for c in message.calls]
    return lines


def tokens_of(messages: Sequence[Message]) -> int:
    """An estimate on the safe side: a token for 3.5 characters and six for each message's frame."""
    return sum(int(_chars(m) / CHARS_PER_TOKEN) + 6 for m in messages)


def _chars(message: Message) -> int:
    return len(message.text) + sum(len(c.name) + len(c.arguments) for c in message.calls)


def newer_half(messages: list[Message]) -> list[Message]:
    """The instructions and the newer half of the rest, at least its last message.

    For a context that turned out too small: token counts are estimates.
    """
    head = [m for m in messages[:1] if m.role == "system"]
    rest = messages[len(head) :]
    return head + rest[min(len(rest) - 1, (len(rest) + 1) // 2) :]
