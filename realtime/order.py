"""What one response is to be made of: the session's settings with its own, and what is read for it.

Pure values; everything that a client can get wrong in `response.create` is found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime import client_events
from realtime.client_items import chosen_items
from realtime.conversation import Conversation
from realtime.errors import ProtocolError
from realtime.session_config import SessionConfig
from realtime.tools import Toolbox, toolbox
from realtime.voice_choice import check_voice


@dataclass(frozen=True)
class Order:
    """`talk` is what the language model reads."""

    config: SessionConfig
    talk: Conversation
    tools: Toolbox | None
    saying: str
    """A sentence of ours, which is said instead of a reply."""
    in_history: bool
    """What it says becomes a part of the conversation."""
    lasting: bool
    """Read as the session's replies are: what is left out for want of room stays out."""
    attends: bool
    """It reads what the caller said last, and so answers it."""


def order_for(
    body: client_events.ResponseBody,
    config: SessionConfig,
    conversation: Conversation,
    *,
    voices: Sequence[str],
    saying: str = "",
) -> Order:
    """A client's wishes for one response.

    Raises:
        ProtocolError: one cannot be met; names the field.
    """
    if body.conversation not in (None, "auto", "none"):
        raise ProtocolError(
            f"'response.conversation' is '{body.conversation}'; it must be 'auto' or 'none'",
            param="response.conversation",
        )
    voice = config.audio.output.voice
    config = config.updated(_own_settings(body), root="response")
    if config.audio.output.voice != voice:
        check_voice(config.audio.output.voice, voices, root="response")
    in_history = body.conversation != "none"
    talk = conversation if in_history else conversation.copy()
    if body.input is not None:
        talk = conversation.of(chosen_items(body.input, conversation))
    return Order(
        config,
        talk,
        toolbox(config.tools, config.tool_choice, config.parallel_tool_calls),
        saying,
        in_history=in_history,
        lasting=body.instructions is None and body.tools is None,
        attends=in_history and body.input is None,
    )


def _own_settings(body: client_events.ResponseBody) -> dict[str, Any]:
    """What a response sets for itself, as a session's update would carry it."""
    own = {
        "output_modalities": body.output_modalities,
        "max_output_tokens": body.max_output_tokens,
        "instructions": body.instructions,
        "tools": body.tools,
        "tool_choice": body.tool_choice,
        "parallel_tool_calls": body.parallel_tool_calls,
        "audio": body.audio and {"output": body.audio.get("output")},
        "modalities": body.modalities,
        "voice": body.voice,
        "output_audio_format": body.output_audio_format,
        "max_response_output_tokens": body.max_response_output_tokens,
    }
    return {key: value for key, value in own.items() if value is not None}
