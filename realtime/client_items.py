"""What clients write for items, made entries of a conversation. Pure values.

Clients differ: a role's text comes under several names of content, ids may be missing, arguments
may be an object. What means the same is taken for the same; what cannot be used is refused, and the
field is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from realtime import client_events
from realtime.conversation import Conversation
from realtime.errors import ProtocolError
from realtime.ids import new_id
from realtime.items import AnyItem, Content, FunctionCall, FunctionResult, Item
from realtime.tools import NAME, NAME_CHARS

TEXT_PARTS = ("input_text", "output_text", "text")
SOUND_PARTS = ("input_audio", "output_audio", "audio")
UNSEEN = "(Here was a picture, which cannot be seen.)"
"""Stands in the text for `input_image`: no model here sees, and it should know that."""


def new_item(body: client_events.ItemBody, *, field: str = "item") -> AnyItem:
    """A client's item; one without an id is given one.

    Raises:
        ProtocolError: a field is missing or has no meaning here; names it.
    """
    id_ = body.id or new_id("item")
    match body.type:
        case "message":
            return _message(id_, body, field)
        case "function_call":
            call_id, name = _given(body, "call_id", field), _given(body, "name", field)
            if not NAME.fullmatch(name):
                raise ProtocolError(
                    f"'{field}.name' must be 1 to 128 of the characters {NAME_CHARS}",
                    param=f"{field}.name",
                )
            return FunctionCall(id_, call_id, name, _text(body.arguments) or "{}")
        case "function_call_output":
            if body.output is None:
                _missing(f"{field}.output")
            return FunctionResult(id_, _given(body, "call_id", field), _text(body.output))
    raise ProtocolError(
        f"'{field}.type' is '{body.type}'; it must be 'message', 'function_call' or "
        "'function_call_output'",
        param=f"{field}.type",
    )


def chosen_items(bodies: Sequence[client_events.ItemBody], talk: Conversation) -> list[AnyItem]:
    """A response's own `input`: items, and references to those of the conversation.

    Raises:
        ProtocolError: one has no meaning here, or refers to nothing; names the field.
    """
    chosen: dict[str, AnyItem] = {}
    for n, body in enumerate(bodies):
        field = f"response.input[{n}]"
        if body.type == "item_reference":
            id_ = _given(body, "id", field)
            if id_ not in talk:
                raise ProtocolError(
                    f"'{field}.id' names no item: '{id_}'",
                    code="item_not_found",
                    param=f"{field}.id",
                )
            item = talk.get(id_)
        else:
            item = new_item(body, field=field)
        chosen[item.id] = item
    return list(chosen.values())


def _message(id_: str, body: client_events.ItemBody, field: str) -> Item:
    content = body.content or []
    if isinstance(content, str):
        content = [client_events.ItemContent("input_text", content)]
    parts = [_words(part, f"{field}.content[{n}]") for n, part in enumerate(content)]
    text = " ".join(filter(None, parts)).strip()
    spoken = any(part.type in SOUND_PARTS for part in content)
    match body.role:
        case "assistant":
            return Item(id_, "assistant", "output_audio" if spoken else "output_text", text)
        case "user":
            kind: Content = "input_audio" if spoken else "input_text"
            return Item(id_, "user", kind, text)
        case "system" | "developer":
            return Item(id_, "system", "input_text", text)
    raise ProtocolError(
        f"'{field}.role' must be 'system', 'user' or 'assistant'", param=f"{field}.role"
    )


def _words(part: client_events.ItemContent, field: str) -> str:
    if part.type in TEXT_PARTS:
        return part.text or ""
    if part.type in SOUND_PARTS:
        if part.audio and part.transcript is None:
            raise ProtocolError(
                f"'{field}' is audio without a transcript; append it to the input audio buffer "
                "and commit that instead",
                param=f"{field}.transcript",
            )
        return part.transcript or part.text or ""
    if part.type == "input_image":
        return UNSEEN
    raise ProtocolError(
        f"'{field}.type' is '{part.type}'; it must be one of "
        f"{', '.join((*TEXT_PARTS, *SOUND_PARTS))}",
        param=f"{field}.type",
    )


def _text(value: Any) -> str:
    """A text as it is; anything else, as some clients send it, as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _given(body: client_events.ItemBody, name: str, field: str) -> str:
    value = getattr(body, name)
    if not isinstance(value, str) or not value:
        _missing(f"{field}.{name}")
    return value


def _missing(field: str) -> NoReturn:
    raise ProtocolError(
        f"'{field}' is missing or empty", code="missing_required_parameter", param=field
    )
