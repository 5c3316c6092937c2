"""Stories for the messages' corpus: every client event, as OpenAI's clients write them, in talks
that meet every state of a session."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

SOUND = base64.b64encode(bytes(range(0, 240, 2)) * 4).decode()

TOOL = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
GA_SESSION = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "Be kind.",
    "output_modalities": ["audio"],
    "tools": [TOOL],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_output_tokens": 50,
    "tracing": "auto",
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.5},
    "prompt": {"id": "p", "variables": {"a": "b"}},
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 16000},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "Oslo"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": 5000,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {
            "format": {"type": "audio/pcmu"},
            "voice": "other",
            "speed": 1.2,
            "exaggeration": 0.5,
            "temperature": 0.8,
        },
    },
}
BETA_SESSION = {
    "modalities": ["text", "audio"],
    "voice": "alloy",
    "instructions": "Be kind.",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": None,
    "turn_detection": {"type": "semantic_vad", "eagerness": "high"},
    "tools": [],
    "tool_choice": {"type": "function", "name": "look"},
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
}
HEARS = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
BY_HAND = {"audio": {"input": {"turn_detection": None}}}


def event(type: str, **fields: Any) -> bytes:
    return json.dumps({"type": type, **fields}, separators=(",", ":")).encode()


def update(session: dict[str, Any], type: str = "session.update") -> bytes:
    return event(type, session=session)


def text_item(id_: str, role: str = "user", text: str = "hi", **fields: Any) -> bytes:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    item = {"id": id_, "type": "message", "role": role, "content": content}
    return event("conversation.item.create", item=item, **fields)


def item(**body: Any) -> bytes:
    return event("conversation.item.create", item=body)


def respond(**response: Any) -> bytes:
    return event("response.create", response=response)


COMMIT, CLEAR = event("input_audio_buffer.commit"), event("input_audio_buffer.clear")
CREATE, CANCEL = event("response.create"), event("response.cancel")

STORIES: dict[str, list[bytes]] = {
    "turns": [update(HEARS), b"~12", b"_10", b"%60", b"~8", b"_12", b"%100", b"~9", b"_9"],
    "interruption": [update(HEARS), b"~10", b"_8", b"%8", b"~10", b"_10", b"%100", b"~9", b"_9"],
    "ga_session": [update(GA_SESSION), b"~10", b"_9", b"%50", CREATE, b"%99"],
    "beta_session": [update(BETA_SESSION), b"~10", b"_9", b"%50", CREATE, b"%99"],
    "transcription": [
        update({"input_audio_format": "pcm16"}, "transcription_session.update"),
        b"~10",
        b"_9",
        update({"type": "transcription"}),
        CREATE,
    ],
    "by_hand": [
        update(BY_HAND),
        b"~10",
        COMMIT,
        CREATE,
        b"%30",
        CLEAR,
        COMMIT,
        event("input_audio_buffer.append", audio=SOUND, event_id="mine"),
        COMMIT,
    ],
    "formats": [
        update({"input_audio_format": name}) + b"\n~6\n!abc"
        for name in ("g711_alaw", "g711_ulaw", "pcm16")
    ],
    "items": [
        text_item("a"),
        text_item("b", "assistant", previous_item_id="root"),
        text_item("c", "system", previous_item_id="a"),
        text_item("c"),
        item(id="d", type="function_call", call_id="x", name="look", arguments="{}"),
        item(type="function_call_output", call_id="x", output={"seen": 1}),
        item(type="message", role="user", content=[{"type": "input_image", "image_url": "data:"}]),
        item(type="message", role="user", content=[{"type": "input_audio", "transcript": "ah"}]),
        item(type="message", role="user", content=[{"type": "input_audio", "audio": SOUND}]),
        event("conversation.item.retrieve", item_id="a"),
        event("conversation.item.delete", item_id="b"),
        event("conversation.item.truncate", item_id="c", content_index=0, audio_end_ms=20),
        event("conversation.item.retrieve", item_id="nobody"),
        CREATE,
    ],
    "responses": [
        respond(
            instructions="Say yes.",
            output_modalities=["text"],
            max_output_tokens=3,
            metadata={"a": "b"},
        ),
        b"%30",
        respond(conversation="none", input=[{"type": "item_reference", "id": "a"}]),
        text_item("a"),
        respond(conversation="none", input=[{"type": "item_reference", "id": "a"}]),
        b"%50",
        respond(input=[], audio={"output": {"voice": "other", "format": {"type": "audio/pcma"}}}),
        CREATE,
        CANCEL,
        CANCEL,
        respond(tools=[TOOL], tool_choice="required"),
        b"%9",
        event("response.cancel", response_id="resp_1"),
        b"~5",
        CREATE,
    ],
    "beta_responses": [
        respond(modalities=["text"], voice="alloy", output_audio_format="pcm16"),
        b"%50",
        respond(max_response_output_tokens=1, tools=[TOOL], tool_choice="look"),
    ],
    "functions": [update({"tools": [TOOL]}), b"~8", b"_8", b"%90", CREATE, b"%4", b"~9", b"_8"],
    "wrong": [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"type":7}',
        b'{"type":"session.destroy","event_id":"e"}',
        update({"audio": {"input": {"turn_detection": {"threshold": 2}}}}),
        update({"tools": [1]}),
        update({"voice": 5}),
        event("input_audio_buffer.append", audio="*"),
        event("conversation.item.truncate", item_id="x", audio_end_ms=-5),
        event("output_audio_buffer.clear"),
        b"[" * 300,
    ],
    "idle": [
        update({"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}),
        b"~8",
        b"_8",
        b"%300",
        b"~8",
        b"%300",
        COMMIT,
    ],
    "storm": [
        b"~4",
        update(HEARS),
        b"~3",
        update(BY_HAND),
        b"~3",
        update({"turn_detection": {"type": "semantic_vad"}}),
        b"~9",
        CLEAR,
        b"~9",
        COMMIT,
        b"_9",
        CREATE,
        b"~9",
    ],
}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Each story under several circumstances."""
    for name, lines in STORIES.items():
        for bits in (0b0001000, 0b1111001, 0b0111010, 0b1_0011000):
            yield f"{name}_{bits}", bytes([bits]) + b"\n".join(lines)
