"""A client's bytes through the cutter, in any portions: nothing is lost, nothing stays large."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.frames import BINARY, CONTINUATION, PIECE_BYTES, TEXT, FrameCutter, frame_at, unmasked

MAX_AUDIO = 1_000_000
PING = 9
KEY = b"\x11\xa2\x03\xf4"
AUDIO = np.random.default_rng(1).integers(0, 256, 300_001).astype(np.uint8).tobytes()


def sent(opcode: int, payload: bytes, *, final: bool = True, key: bytes = KEY) -> bytes:
    """A frame as a client sends it."""
    length = len(payload)
    if length < 126:
        wide = bytes((0x80 | length,))
    elif length < 2**16:
        wide = bytes((0x80 | 126,)) + length.to_bytes(2, "big")
    else:
        wide = bytes((0x80 | 127,)) + length.to_bytes(8, "big")
    return bytes((final << 7 | opcode,)) + wide + key + unmasked(payload, key, 0)


def append(audio: bytes, **more: Any) -> bytes:
    encoded = base64.b64encode(audio).decode()
    return json.dumps({"type": "input_audio_buffer.append", **more, "audio": encoded}).encode()


def passed(data: bytes, step: int = 100_000, max_audio: int = MAX_AUDIO) -> list[tuple[int, bytes]]:
    """What comes out when `data` comes in portions of `step`: opcodes and payloads of frames."""
    cutter = FrameCutter(max_audio)
    out = b"".join(cutter.push(data[n : n + step]) for n in range(0, len(data), step))
    frames = []
    at = 0
    while at < len(out):
        frame = frame_at(out, at)
        assert frame is not None
        at += frame.size
        frames.append((frame.opcode, unmasked(out[at : at + frame.length], frame.key, 0)))
        at += frame.length
    assert at == len(out)
    return frames


def audio_in(frames: list[tuple[int, bytes]]) -> bytes:
    """The audio of appends and binary messages, one after the other."""
    return b"".join(
        payload if opcode == BINARY else base64.b64decode(json.loads(payload)["audio"])
        for opcode, payload in frames
    )


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 700))
def test_small_messages_pass_to_the_last_byte(payloads: list[bytes], step: int) -> None:
    data = b"".join(sent(TEXT, p) + sent(BINARY, p) + sent(PING, p[:100]) for p in payloads)
    cutter = FrameCutter(MAX_AUDIO)
    assert b"".join(cutter.push(data[n : n + step]) for n in range(0, len(data), step)) == data


@given(
    st.integers(1, 70_000),
    st.binary(min_size=4, max_size=4),
    st.sampled_from([{}, {"event_id": "event_1"}]),
)
def test_a_large_append_becomes_small_ones_however_it_comes(
    step: int, key: bytes, more: dict[str, str]
) -> None:
    step = max(step, 500)  # one byte at a time takes long and shows no more
    before, after = sent(TEXT, b'{"type":"a"}', key=key), sent(BINARY, b"\x01\x02", key=key)
    frames = passed(before + sent(TEXT, append(AUDIO, **more), key=key) + after, step)
    assert frames[0] == (TEXT, b'{"type":"a"}')
    assert frames[-1] == (BINARY, b"\x01\x02")
    assert audio_in(frames[1:-1]) == AUDIO
    assert max(len(payload) for _, payload in frames) <= PIECE_BYTES + 200
    heads = [json.loads(payload) for _, payload in frames[1:-1]]
    assert {h["type"] for h in heads} == {"input_audio_buffer.append"}
    assert {h.get("event_id") for h in heads} == {more.get("event_id")}


def test_a_large_binary_message_becomes_small_ones() -> None:
    frames = passed(sent(BINARY, AUDIO), step=50_000)
    assert {opcode for opcode, _ in frames} == {BINARY}
    assert audio_in(frames) == AUDIO
    assert max(len(payload) for _, payload in frames) <= 50_000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_in_many_frames_is_cut_as_well(opcode: int) -> None:
    """Browsers send long messages so, and a ping may stand between two frames."""
    payload = append(AUDIO) if opcode == TEXT else AUDIO
    parts = [payload[n : n + 60_000] for n in range(0, len(payload), 60_000)]
    data = b"".join(
        sent(CONTINUATION if n else opcode, part, final=n == len(parts) - 1) + sent(PING, b"?")
        for n, part in enumerate(parts)
    )
    frames = passed(data, step=4_096)
    assert [payload for op, payload in frames if op == PING] == [b"?"] * len(parts)
    assert audio_in([(op, p) for op, p in frames if op != PING]) == AUDIO
    assert all(op in (opcode, PING) for op, _ in frames)


def test_escaped_slashes_and_keys_after_the_audio_do_no_harm() -> None:
    """Some encoders write `\\/`; an escape may lie across two portions."""
    text = append(AUDIO).replace(b"/", b"\\/")[:-1] + b', "event_id": "event_1"}'
    for step in (4_095, 4_096, 4_097):
        assert audio_in(passed(sent(TEXT, text), step)) == AUDIO


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps({"type": "session.update", "session": {"instructions": "x" * 90_000}}).encode(),
        json.dumps({"type": "other", "audio": "x" * 90_000}).encode(),
        b"x" * 90_000,
        append(bytes(MAX_AUDIO + 1_000)),
    ],
)
def test_other_large_messages_pass_whole(payload: bytes) -> None:
    """To be followed, or refused with the error that says why."""
    assert passed(sent(TEXT, payload)) == [(TEXT, payload)]
    assert passed(sent(BINARY, bytes(MAX_AUDIO + 1))) == [(BINARY, bytes(MAX_AUDIO + 1))]


@pytest.mark.parametrize("broken", [append(AUDIO)[:-2], append(AUDIO[:-1])[:-3] + b'"}'])
def test_an_append_that_is_broken_is_broken_when_cut(broken: bytes) -> None:
    """The end of the text is missing, or a character of the base64: the last message says so."""
    frames = passed(sent(TEXT, broken))
    assert audio_in(frames[:-1]) == AUDIO[: len(audio_in(frames[:-1]))]
    with pytest.raises(ValueError, match=r"Unterminated|padding|base64"):
        audio_in(frames[-1:])
