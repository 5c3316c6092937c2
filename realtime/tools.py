"""The functions that a model may call: what a client defines, checked. Pure values.

The session and each response have `tools`, `tool_choice` and `parallel_tool_calls`. What a client
sends is checked when it comes, so that a reply that begins by itself cannot fail on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from realtime.errors import ProtocolError

MODES = ("auto", "none", "required")
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
NAME_CHARS = "A-Z a-z 0-9 _ - . :"
MAX_TOOLS = 128
CALL_TOKENS = 768
"""Room for a call's arguments, beside what a reply may say."""


@dataclass(frozen=True)
class Tool:
    """A function. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Toolbox:
    """The functions of one reply. `choice` is one of `MODES`, or `only` names the one to call."""

    tools: tuple[Tool, ...]
    choice: str = "auto"
    only: str | None = None
    parallel: bool | None = None
    """Whether several may be called at once; None leaves it to the model."""

    @property
    def required(self) -> bool:
        """A reply without a call is none."""
        return self.choice == "required" or self.only is not None

    @property
    def tokens(self) -> int:
        """What the definitions take of a prompt: an estimate on the safe side."""
        return sum(
            int((len(t.name) + len(t.description) + len(json.dumps(t.parameters))) / 3) + 16
            for t in self.tools
        )


def checked(tools: Sequence[Any], *, root: str) -> tuple[Tool, ...]:
    """A client's `tools`.

    Raises:
        ProtocolError: one cannot be used; names the field.
    """
    if len(tools) > MAX_TOOLS:
        _refuse(f"{root}.tools", f"holds {len(tools)} functions; at most {MAX_TOOLS} may be given")
    made: dict[str, Tool] = {}
    for n, given in enumerate(tools):
        tool = _tool(given, f"{root}.tools[{n}]")
        if tool.name in made:
            _refuse(f"{root}.tools[{n}].name", f"is '{tool.name}', which another function has")
        made[tool.name] = tool
    return tuple(made.values())


def check_tools(tools: Sequence[Any], choice: Any, *, root: str) -> None:
    """See whether a client's `tools`, and its `tool_choice` where it sets one, can be used.

    Raises:
        ProtocolError: one has no meaning, or a function is named that is not there.
    """
    known = checked(tools, root=root)
    if choice is None:
        return
    field = f"{root}.tool_choice"
    if isinstance(choice, str):
        if choice not in MODES:
            _refuse(field, f"is '{choice}'; it must be {_listed(MODES)}, or name a function")
        return
    name = named(choice)
    if name is None:
        _refuse(field, f'must be {_listed(MODES)}, or {{"type": "function", "name": …}}')
    elif name not in [t.name for t in known]:
        _refuse(f"{field}.name", f"is '{name}', which is not among the tools")


def toolbox(tools: Sequence[Any], choice: Any, parallel: bool | None) -> Toolbox | None:
    """What was checked before, for one reply; None without functions.

    A choice whose function is gone since then is left to the model.
    """
    known = checked(tools, root="session")
    if not known:
        return None
    if isinstance(choice, str):
        return Toolbox(known, choice, None, parallel)
    name = named(choice)
    return Toolbox(known, "auto", name if name in [t.name for t in known] else None, parallel)


def named(choice: Any) -> str | None:
    """The function that a `tool_choice` names: as Realtime writes it, or as chat endpoints do."""
    if not isinstance(choice, dict) or choice.get("type", "function") != "function":
        return None
    inner = choice.get("function")
    name = (inner if isinstance(inner, dict) else choice).get("name")
    return name if isinstance(name, str) else None


def _tool(given: Any, field: str) -> Tool:
    if not isinstance(given, dict):
        _refuse(field, "must be an object")
    kind = given.get("type", "function")
    if kind != "function":
        _refuse(f"{field}.type", f"is '{kind}'; only 'function' can be used here")
    inner = given.get("function")
    body = inner if isinstance(inner, dict) else given
    name, about, schema = body.get("name"), body.get("description"), body.get("parameters")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        _refuse(f"{field}.name", f"must be 1 to 128 of the characters {NAME_CHARS}")
    if about is not None and not isinstance(about, str):
        _refuse(f"{field}.description", "must be a text")
    if schema is None:
        schema = {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        _refuse(f"{field}.parameters", "must be a JSON schema, as an object")
    return Tool(name, about or "", schema)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _refuse(field: str, problem: str) -> NoReturn:
    raise ProtocolError(f"'{field}' {problem}", param=field)
