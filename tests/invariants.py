"""What must hold of any session's events, whatever the client did."""

from __future__ import annotations

import base64
from typing import Any


def check_events(events: list[dict[str, Any]]) -> None:
    """Ids are unique, the chain of items is whole, nothing follows a response's end."""
    ids = [e["event_id"] for e in events]
    assert len(set(ids)) == len(ids)
    _check_items(events)
    _check_speech(events)
    for response in [e["response"]["id"] for e in events if e["type"] == "response.created"]:
        _check_response(response, [e for e in events if _belongs(e, response)])


def _belongs(event: dict[str, Any], response: str) -> bool:
    return event.get("response_id") == response or event.get("response", {}).get("id") == response


def _check_items(events: list[dict[str, Any]]) -> None:
    last = None
    for event in events:
        if event["type"] == "conversation.item.added":
            assert event["previous_item_id"] == last
            last = event["item"]["id"]


def _check_speech(events: list[dict[str, Any]]) -> None:
    kinds = [
        e["type"].rsplit("_", 1)[1]
        for e in events
        if e["type"].startswith("input_audio_buffer.speech_")
    ]
    assert kinds[::2] == ["started"] * len(kinds[::2])
    assert kinds[1::2] == ["stopped"] * len(kinds[1::2])


def _check_response(response: str, events: list[dict[str, Any]]) -> None:
    kinds = [e["type"] for e in events]
    assert kinds[0] == "response.created"
    assert kinds.count("response.done") == 1, response
    assert kinds[-1] == "response.done"
    offset = 0
    for event in events:
        if event["type"] == "response.output_audio.delta":
            data = base64.b64decode(event["delta"])
            assert len(data) % 2 == 0
            offset += len(data)
    done = events[-1]["response"]
    text = "".join(e["delta"] for e in events if e["type"].endswith("transcript.delta"))
    for item in done["output"]:
        for part in item.get("content", []):  # a function call has none
            kept = part.get("transcript") or part.get("text") or ""
            if done["status"] == "completed":
                assert kept == text
            else:
                assert text.startswith(kept)
