"""The protocol's older form, beta, beside GA: one table for the names, and the flat session. Pure.

A connection speaks beta if it says so (`OpenAI-Beta: realtime=v1`, or the subprotocol
`openai-beta.realtime-v1`). What leaves on it is written in GA and translated last, so nothing else
knows of it. The flat keys of a session are understood on every connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime.errors import ProtocolError

BETA_HEADER = "realtime=v1"
BETA_PROTOCOL = "openai-beta.realtime-v1"

EVENTS: dict[str, str | None] = {
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": None,
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
}
"""GA name -> beta name; None where beta has no such event. Names that are not here are the same."""

CONTENT = {"output_audio": "audio", "output_text": "text"}
"""Types of an assistant's content, GA -> beta. User content is the same in both."""

FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_FLAT_FORMATS = {type_: name for name, type_ in FORMATS.items()}

_OF_SESSION = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
}
"""Flat key -> where GA has it. `temperature`, which GA dropped, is taken and has no effect."""


def speaks_beta(headers: Mapping[str, str]) -> bool:
    """True if a connection asks for beta."""
    offered = headers.get("Sec-WebSocket-Protocol", "").split(",")
    return BETA_HEADER in headers.get("OpenAI-Beta", "") or BETA_PROTOCOL in map(str.strip, offered)


def nested(session: dict[str, Any], *, root: str = "session") -> dict[str, Any]:
    """A session object with its flat keys where GA has them; where both are given, GA's counts.

    Raises:
        ProtocolError: a flat audio format is none of beta's three.
    """
    if not any(key in session for key in _OF_SESSION):
        return session
    grown: dict[str, Any] = {}
    for key, value in session.items():
        if key not in _OF_SESSION:
            continue
        if key.endswith("_audio_format") and value is not None:
            value = {"type": _format(value, f"{root}.{key}")}
        *parents, last = _OF_SESSION[key]
        place = grown
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return _over(grown, {k: v for k, v in session.items() if k not in _OF_SESSION})


def flat(session: dict[str, Any]) -> dict[str, Any]:
    """A session or a response as GA has it, in beta's flat form."""
    audio = session.get("audio") or {}
    body = {k: v for k, v in session.items() if k not in ("type", "audio", "output_modalities")}
    body.pop("max_output_tokens", None)
    if session.get("type") == "realtime":
        body["max_response_output_tokens"] = session["max_output_tokens"]
    elif "max_output_tokens" in session:
        body["max_output_tokens"] = session["max_output_tokens"]
    if "output_modalities" in session:
        spoken = "audio" in session["output_modalities"]
        body["modalities"] = ["text", "audio"] if spoken else ["text"]
    for key, path in _OF_SESSION.items():
        if path[0] == "audio" and path[2] in audio.get(path[1], {}):
            value = audio[path[1]][path[2]]
            body[key] = _FLAT_FORMATS[value["type"]] if path[2] == "format" else value
    return body


class Beta:
    """One connection's outgoing translation. `conversation_id` is told at its beginning."""

    def __init__(self, conversation_id: str) -> None:
        self._conversation_id = conversation_id

    def outgoing(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """A GA event as the beta events that say the same; none where beta is silent."""
        kind = event["type"]
        named = EVENTS.get(kind, kind)
        if named is None:
            return []
        event = {**event, "type": named}
        if "item" in event:
            event["item"] = _item(event["item"])
        if "response" in event:
            event["response"] = _response(event["response"])
        if "session" not in event:
            return [event]
        if event["session"]["type"] == "transcription":
            event["type"] = f"transcription_{kind}"
        event["session"] = flat(event["session"])
        return [event, *self._beginning(event)] if kind == "session.created" else [event]

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """A client's event as GA has it; of those, only a response's own settings differ."""
        response = event.get("response")
        if event.get("type") != "response.create" or not isinstance(response, dict):
            return event
        return {**event, "response": nested(response, root="response")}

    def _beginning(self, created: dict[str, Any]) -> list[dict[str, Any]]:
        conversation = {"id": self._conversation_id, "object": "realtime.conversation"}
        id_ = f"{created['event_id']}_conversation"
        return [{"type": "conversation.created", "event_id": id_, "conversation": conversation}]


def _format(name: Any, field: str) -> str:
    if not isinstance(name, str) or name not in FORMATS:
        raise ProtocolError(f"'{field}' must be one of {', '.join(FORMATS)}", param=field)
    return FORMATS[name]


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two objects as one, in depth; where both have a value, that of `above`."""
    both = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            both[key] = _over(both[key], value)
        else:
            both[key] = value
    return both


def _item(item: dict[str, Any]) -> dict[str, Any]:
    body = {**item, "object": "realtime.item"}
    if "content" in item:
        parts = item["content"]
        body["content"] = [{**p, "type": CONTENT.get(p["type"], p["type"])} for p in parts]
    return body


def _response(response: dict[str, Any]) -> dict[str, Any]:
    body = flat(response)
    body["output"] = [_item(item) for item in response.get("output", ())]
    return body
