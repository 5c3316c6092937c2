"""Functions in the form of OpenAI's chat endpoints: what is asked, and calls out of a stream.

Endpoints want a strict history: each call is followed by its result, each result follows its call.
Conversations are not like that: results come late or never, or their calls were forgotten. And
endpoints stream calls each in its own way: without ids, without numbers, all in one piece.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.engines import CallPart
from realtime.ids import new_id
from realtime.prompt import Message, ToolCall
from realtime.tools import Toolbox

NO_RESULT = "There is no result yet."
"""Told of a call that nothing has answered."""


def asked(toolbox: Toolbox | None) -> dict[str, Any]:
    """The fields of a request that offer these functions."""
    if toolbox is None:
        return {}
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": tool.parameters,
            },
        }
        for tool in toolbox.tools
    ]
    choice: Any = toolbox.choice
    if toolbox.only:
        choice = {"type": "function", "function": {"name": toolbox.only}}
    body: dict[str, Any] = {"tools": tools, "tool_choice": choice}
    if toolbox.parallel is not None:
        body["parallel_tool_calls"] = toolbox.parallel
    return body


def written(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A prompt as an endpoint takes it: every call answered, right where it was made.

    A result that came after something else was said stays in its place, in words; so the model
    reads it as what is new.
    """
    lines: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    waiting: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message.role == "tool":
            if line := waiting.pop(message.call_id, None):
                line["content"] = message.text
            else:
                lines.append({"role": "system", "content": _in_words(message, names)})
            continue
        waiting = {}
        calls = []
        for call in message.calls:
            if call.call_id not in names:
                names[call.call_id] = call.name
                calls.append(call)
        if not message.calls:
            lines.append({"role": message.role, "content": message.text})
        elif calls or message.text:
            lines.append({"role": "assistant", "content": message.text or None})
        if calls:
            lines[-1]["tool_calls"] = [_call(call) for call in calls]
        for call in calls:
            waiting[call.call_id] = line = {
                "role": "tool",
                "tool_call_id": call.call_id,
                "content": NO_RESULT,
            }
            lines.append(line)
    return lines


def _in_words(result: Message, names: dict[str, str]) -> str:
    name = names.get(result.call_id)
    return f"{f'The function {name}' if name else 'A function'} has answered: {result.text}"


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": _object(call.arguments)}
    return {"id": call.call_id, "type": "function", "function": function}


def _object(arguments: str) -> str:
    """Arguments that are no JSON object make some endpoints refuse all that follows."""
    try:
        if isinstance(json.loads(arguments), dict):
            return arguments
    except (ValueError, RecursionError):
        pass
    return json.dumps({"arguments": arguments} if arguments.strip() else {})


@dataclass
class _Streamed:
    """A call as far as it is known; its arguments wait until it has a name."""

    key: Any
    number: int = -1
    call_id: str = ""
    name: str = ""
    waiting: str = ""


class CallStream:
    """A stream's `delta.tool_calls` in, parts of calls out. One call follows the other."""

    def __init__(self) -> None:
        self._calls: list[_Streamed] = []
        self._told = 0

    def push(self, fragments: Any) -> list[CallPart]:
        """What is new in one chunk.

        Raises:
            ValueError: it is not what a chunk holds.
        """
        return [part for fragment in fragments or () if (part := self._push(fragment))]

    def end(self) -> None:
        """The stream is over.

        Raises:
            ValueError: a call never got a name.
        """
        if any(call.number < 0 for call in self._calls):
            raise ValueError("a call without a name")

    def _push(self, fragment: Any) -> CallPart | None:
        function = getattr(fragment, "function", None)
        id_, index = getattr(fragment, "id", None), getattr(fragment, "index", None)
        name, arguments = getattr(function, "name", None), getattr(function, "arguments", None)
        if function is None and id_ is None:
            raise ValueError("that is no part of a call")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if not all(v is None or isinstance(v, str) for v in (id_, name, arguments)):
            raise ValueError("a call's fields are not texts")
        call = self._call(index, id_, name)
        call.name = call.name or name or ""
        call.waiting += arguments or ""
        if not call.name:
            return None
        first = call.number < 0
        if first:
            call.number, self._told = self._told, self._told + 1
            call.call_id = call.call_id or new_id("call")
        new, call.waiting = call.waiting, ""
        return CallPart(call.number, call.call_id, call.name, new) if first or new else None

    def _call(self, index: Any, id_: str | None, name: str | None) -> _Streamed:
        """The call that a fragment is of: by its number, unless an id of its own says otherwise."""
        last = self._calls[-1] if self._calls else None
        if last and self._goes_on(last, index, id_, name):
            if id_ and last.number < 0:
                last.call_id = id_
            return last
        if not id_ and index is not None and index in [call.key for call in self._calls]:
            raise ValueError("a call goes on after the next one has begun")
        self._calls.append(_Streamed(index, call_id=id_ or ""))
        return self._calls[-1]

    def _goes_on(self, last: _Streamed, index: Any, id_: str | None, name: str | None) -> bool:
        if id_ and last.call_id and id_ != last.call_id:
            return False
        if index is None and not id_:
            return not (name and last.name)
        return bool(index is None or index == last.key)
