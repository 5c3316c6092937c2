"""Messages between a front end and its link."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.batching import SPECULATION
from realtime.cluster.wire import (
    MAX_MESSAGE_BYTES,
    Cancel,
    Failed,
    Hear,
    Heard,
    Hurry,
    PoolState,
    Said,
    Say,
    Sound,
    Trouble,
    Unpacker,
    from_link,
    known,
    packed,
    plain,
    to_link,
)
from realtime.engines import Line, Transcript, Utterance
from realtime.timing import Passage, Word

ASKED = [
    Hear(1, "a", b"\x01\x00", plain(Utterance(np.zeros(1, np.int16)), without=("audio",))),
    Say(2, "b", plain(Line("Hello.", voice="ada", rank=SPECULATION))),
    Hurry("voice", "b"),
    Cancel(2),
]
ANSWERED = [
    Heard(1, {"text": "hello", "language": "en", "seconds": 1.0, "passages": []}),
    Sound(2, b"\x00\x01"),
    Said(2),
    Failed(3, "voice", "saturated", "too much"),
    PoolState("voice", 2, 1.5, True, False, {"voices": ["default"]}),
    Trouble("no head"),
]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_messages_come_whole_however_their_bytes_are_cut(cuts: list[int]) -> None:
    for messages, decode in ((ASKED, to_link), (ANSWERED, from_link)):
        data, unpacker, got = b"".join(map(packed, messages)), Unpacker(decode), []
        at = 0
        for size in [*cuts, len(data)]:
            got += unpacker.push(data[at : at + size])
            at += size
        assert list(map(packed, got)) == list(map(packed, messages))


def test_a_message_that_is_too_long_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="bytes"):
        Unpacker(to_link).push((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))


def test_a_message_of_the_other_direction_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        Unpacker(to_link).push(packed(Said(1)))


def test_an_utterance_is_the_same_on_the_other_side() -> None:
    audio = np.arange(-50, 50, dtype=np.int16)
    said = Utterance(audio, language="en", suppress=(-1, 7), rank=SPECULATION, words=True)
    [hear] = Unpacker(to_link).push(
        packed(Hear(0, "o", audio.tobytes(), plain(said, without=("audio",))))
    )
    heard = Utterance(np.frombuffer(hear.audio, np.int16), **known(Utterance, hear.how))
    assert np.array_equal(heard.audio, audio)
    assert (heard.language, tuple(heard.suppress), heard.rank) == ("en", (-1, 7), SPECULATION)
    assert heard.words


def test_a_transcript_is_the_same_on_the_other_side() -> None:
    word = Word("Hello", 0.1, 0.4, (1, 2), -0.5)
    told = Transcript("Hello", "en", 1.0, (Passage(0.0, 1.0, "Hello", (word,)),))
    [heard] = Unpacker(from_link).push(packed(Heard(0, plain(told))))
    assert msgspec.convert(known(Transcript, heard.transcript), Transcript) == told


def test_a_field_that_this_version_does_not_know_is_left_out() -> None:
    assert known(Line, {"text": "Hi.", "mood": "gay"}) == {"text": "Hi."}
