"""From the items of a conversation to the messages that a language model reads. Pure values.

Items that have nothing to say yet, or that broke off before they said it, make no message. A call
and what was said just before it are one message of the assistant, as models were trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

from realtime.items import AnyItem, FunctionCall, FunctionResult, Item
from realtime.prompt import CHARS_PER_TOKEN, Message, ToolCall, tokens_of

LOW_WATER = 0.5
"""The share of the room beside the instructions that is used after the history was shortened."""

RESULT_SHARE = 0.25
"""The share of that room that a function's result may take. Tools answer with whole documents, and
the question must still fit in beside it."""

LEAST_ROOM = 0.25
"""The share of the budget that the history has however long the instructions are: better a little
too much, as estimates are on the safe side, than an answer without its question."""

LEFT_OUT = " … (the rest is left out)"

Line = tuple[str, Message]
"""A message and the id of the item that it comes from."""


def lines_of(items: Iterable[AnyItem]) -> list[Line]:
    """Each item that has something to tell, in order; one that goes on with the message before it
    is a part of that."""
    lines: list[Line] = []
    for item in items:
        if not (message := message_of(item)):
            continue
        if isinstance(item, Item) and item.goes_on and lines and lines[-1][1].role == "assistant":
            begun, said = lines[-1]
            lines[-1] = (begun, replace(said, text=f"{said.text} {message.text.lstrip()}"))
        else:
            lines.append((item.id, message))
    return lines


def message_of(item: AnyItem) -> Message | None:
    """What the language model is told of one item; None while there is nothing to tell."""
    match item:
        case FunctionCall():
            if item.status != "completed":
                return None
            call = ToolCall(item.call_id, item.name, item.arguments)
            return Message("assistant", "", calls=(call,))
        case FunctionResult():
            return Message("tool", item.output, call_id=item.call_id)
    return Message(item.role, item.text) if item.text else None


def prompt_of(
    lines: list[Line], instructions: str, *, budget_tokens: int, start: str | None
) -> tuple[list[Message], str | None]:
    """Instructions, then the newest lines that fit in `budget_tokens`; and where they start.

    `start` is the id that the last prompt started with. Whole items leave, oldest first, and once
    the budget is passed the history shrinks to `LOW_WATER` of its room in one go: dropping one item
    a turn would move the prompt's beginning every time, and the language model would have to read
    all of it again instead of only what is new. The last question stays with all that was called
    and answered for it, as long as these fit.
    """
    head = [Message("system", instructions)] if instructions else []
    room = max(budget_tokens - tokens_of(head), int(budget_tokens * LEAST_ROOM))
    first = next((n for n, (id_, _) in enumerate(lines) if id_ == start), 0)
    messages = _bounded([message for _, message in lines], room)
    if messages and tokens_of(messages[first:]) > room:
        first = _fitting(messages, room)
        start = lines[first][0]
    return head + joined(messages[first:]), start


def _fitting(messages: list[Message], room: int) -> int:
    """Where a shortened history begins."""
    first, left = len(messages) - 1, room * LOW_WATER - tokens_of(messages[-1:])
    while first > 0 and (left := left - tokens_of(messages[first - 1 : first])) >= 0:
        first -= 1
    asked = (n for n in reversed(range(len(messages))) if messages[n].role == "user")
    question = next(asked, first)
    return min(first, question) if tokens_of(messages[question:]) <= room else first


def _bounded(messages: list[Message], room: int) -> list[Message]:
    """Results that would fill the prompt are cut: those of one question share `LOW_WATER` of it."""
    kept: list[Message] = []
    for asks, exchange in groupby(messages, lambda m: m.role not in ("assistant", "tool")):
        some = list(exchange)
        results = sum(message.role == "tool" for message in some)
        share = min(RESULT_SHARE, LOW_WATER / (results + 1))
        kept += some if asks else [_cut(message, int(room * share)) for message in some]
    return kept


def _cut(message: Message, tokens: int) -> Message:
    most = int(tokens * CHARS_PER_TOKEN)
    if message.role != "tool" or len(message.text) <= most:
        return message
    return replace(message, text=message.text[:most] + LEFT_OUT)


def joined(messages: Iterable[Message]) -> list[Message]:
    """Calls that follow what the assistant said, or each other, become one message with it."""
    made: list[Message] = []
    for message in messages:
        last = made[-1] if made else None
        if last and message.calls and last.role == "assistant":
            made[-1] = Message("assistant", last.text, calls=last.calls + message.calls)
        else:
            made.append(message)
    return made
