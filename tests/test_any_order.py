"""Any order of client events keeps a session's word.

Each step is something that a client may do; after each, and at the end when nothing is under way
any more, all that was told is checked (`told.py`), what was asked has one answer or one error, and
the conversation is what the client was told that it is. The session is real, with its socket code;
engines are thin and time jumps (`rehearsal.py`), so a step may be a minute of silence.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.items import Item
from tests.rehearsal import SETTLES_S, Circumstances, Rehearsal, sound
from tests.timeless import TimelessLoop
from tests.told import Told

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}

UPDATES: list[dict[str, Any]] = [
    {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    {"audio": {"input": {"transcription": None}}},
    {"audio": {"input": {"turn_detection": None}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5_000}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 20}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "prefix_padding_ms": 5_000}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
    {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
    {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}},
    {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
    {"audio": {"output": {"voice": "other", "speed": 1.2}}},
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"]},
    {"tools": [TOOL]},
    {"tools": []},
    {"type": "transcription"},
    {"type": "realtime"},
    {"input_audio_format": "pcm16", "modalities": ["text", "audio"]},
    {"max_output_tokens": 2},
    {"max_output_tokens": "inf"},
    {"audio": {"input": {"turn_detection": {"threshold": 7}}}},
]

RESPONSES: list[dict[str, Any]] = [
    {},
    {"instructions": "Say yes.", "metadata": {"a": "b"}},
    {"output_modalities": ["text"], "max_output_tokens": 3},
    {"conversation": "none"},
    {"conversation": "none", "input": []},
    {"input": [{"type": "message", "role": "user", "content": "hi"}]},
    {"tools": [TOOL], "tool_choice": "required"},
    {"input": [{"type": "item_reference", "id": "nobody"}]},
]

WRONG = ["nonsense", "[]", '{"type":7}', '{"type":"session.destroy"}', "{" * 2_000]

ROLES = ("user", "assistant", "system")


class AnyOrder(RuleBasedStateMachine):
    """A client without any plan."""

    @initialize(
        met=st.builds(
            Circumstances,
            beta=st.booleans(),
            binary=st.booleans(),
            transcription=st.sampled_from([False, False, False, True]),
            paced=st.booleans(),
            speculates=st.booleans(),
            judged=st.booleans(),
            fails=st.booleans(),
        ),
        stays=st.sampled_from([True, True, True, False]),
    )
    def call(self, met: Circumstances, stays: bool) -> None:
        self.stays = stays
        self.talk = Rehearsal(met)
        self.runner.run(self.talk.__aenter__())
        self.ask("session.update", "session.updated", session=UPDATES[0])

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=TimelessLoop)
        self.talk: Rehearsal | None = None
        self.told = Told()
        self.read = self.asked = 0

    # --- what a client may do -------------------------------------------------------------------

    @rule(tenths=st.integers(1, 25))
    def speak(self, tenths: int) -> None:
        self.runner.run(self.talk.say(tenths / 10))

    @rule(tenths=st.integers(1, 15))
    def be_silent(self, tenths: int) -> None:
        self.runner.run(self.talk.say(tenths / 10, loud=False))

    @rule(tenths=st.integers(3, 12))
    def take_a_turn(self, tenths: int) -> None:
        self.runner.run(self.talk.say(tenths / 10))
        self.runner.run(self.talk.say(1.3, loud=False))

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 4.0, 15.0]))
    def send_nothing(self, seconds: float) -> None:
        self.rest(seconds)

    @rule(seconds=st.sampled_from([1.0, 31.0]))
    def say_all_at_once(self, seconds: float) -> None:
        wire = self.talk.session.config.input_format
        self.talk.send_bytes(sound(seconds, True, wire))
        self.rest(0.0)

    @rule(data=st.binary(max_size=7))
    def send_a_few_bytes(self, data: bytes) -> None:
        self.talk.send_bytes(data)
        self.rest(0.0)

    @rule()
    def commit(self) -> None:
        self.ask("input_audio_buffer.commit", "input_audio_buffer.committed")

    @rule()
    def clear(self) -> None:
        assert self.ask("input_audio_buffer.clear", "input_audio_buffer.cleared")

    @rule(session=st.sampled_from(UPDATES))
    def update(self, session: dict[str, Any]) -> None:
        answered = self.ask("session.update", "session.updated", session=session)
        assert answered == (session is not UPDATES[-1])

    @rule(
        role=st.sampled_from(ROLES),
        name=st.sampled_from([None, "a", "b", "c", "d"]),
        place=st.none() | st.integers(0, 9),
    )
    def create_item(self, role: str, name: str | None, place: int | None) -> None:
        item: dict[str, Any] = {"type": "message", "role": role, "content": f"said by {role}"}
        fields: dict[str, Any] = {"item": item}
        if name:
            item["id"] = name
        if place is not None:
            fields["previous_item_id"] = "root" if not place else self.an_item(place)
        taken = name in self.told.items
        unknown = fields.get("previous_item_id", "root") not in ("root", *self.told.items)
        added = self.ask("conversation.item.create", "conversation.item.added", **fields)
        assert added != (taken or unknown)

    @rule()
    def return_a_result(self) -> None:
        item = {"type": "function_call_output", "call_id": "call_1", "output": "seen"}
        assert self.ask("conversation.item.create", "conversation.item.added", item=item)

    @rule(place=st.integers(0, 9))
    def delete_item(self, place: int) -> None:
        id_ = self.an_item(place)
        assert self.ask("conversation.item.delete", "conversation.item.deleted", item_id=id_)
        assert id_ not in self.told.items

    @rule(place=st.integers(0, 9), ms=st.sampled_from([-1, 0, 150, 700.5, 10_000, 1e18]))
    def truncate_item(self, place: int, ms: float) -> None:
        asked = {"item_id": self.an_item(place), "content_index": 0, "audio_end_ms": ms}
        assert self.ask("conversation.item.truncate", "conversation.item.truncated", **asked)

    @rule(place=st.integers(0, 9))
    def retrieve_item(self, place: int) -> None:
        id_ = self.an_item(place)
        known = id_ in self.told.items
        found = self.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id=id_)
        assert found == known

    @rule(response=st.sampled_from(RESPONSES))
    def ask_for_a_response(self, response: dict[str, Any]) -> None:
        idle = self.talk.session.active is None
        listens = self.talk.session.config.type == "transcription"
        begun = self.ask("response.create", "response.created", response=response)
        assert begun == (idle and not listens and response is not RESPONSES[-1])

    @precondition(lambda self: self.told.open)
    @rule()
    def cancel_the_response(self) -> None:
        assert self.ask("response.cancel", "response.done", response_id=self.told.open)

    @rule()
    def cancel_whatever_there_is(self) -> None:
        running = self.told.open is not None
        assert self.ask("response.cancel", "response.done") == running

    @rule(text=st.sampled_from(WRONG))
    def send_what_cannot_be_read(self, text: str) -> None:
        self.talk.send_text(text)
        self.rest(0.0)
        assert any(event["type"] == "error" for event in self.last)

    # --- and what must hold ---------------------------------------------------------------------

    def rest(self, seconds: float) -> None:
        self.runner.run(self.talk.rest(seconds))
        self.look()

    def ask(self, type: str, answer: str, **fields: Any) -> bool:
        """Whether there was an answer; otherwise there was an error that names the question."""
        self.asked += 1
        self.look()
        self.talk.send(type, event_id=f"asked_{self.asked}", **fields)
        self.rest(0.0)
        refused = [
            event
            for event in self.last
            if event["type"] == "error" and event["error"].get("event_id") == f"asked_{self.asked}"
        ]
        answered = any(event["type"] == answer for event in self.last)
        assert len(refused) <= 1
        assert answered or refused, f"{type} has no answer"
        return not refused

    def an_item(self, place: int) -> str:
        """One of the conversation's, or of nobody."""
        known = [*self.told.items, "nobody"]
        return known[place % len(known)]

    def look(self, *, settled: bool = False) -> None:
        """Check what was told since the last time."""
        told = self.talk.told_since(self.read)
        self.read += len(told)
        self.last = told
        self.told.check(told, settled=settled)

    @invariant()
    def lives_and_says_what_is(self) -> None:
        if self.talk is None:
            return
        self.talk.check_alive()
        self.look()
        items = self.talk.session.conversation.items()
        assert [item.id for item in items] == self.told.items
        for item in items:
            if isinstance(item, Item) and item.pieces and self.told.open is None:
                self.check_cut(item)

    def check_cut(self, item: Item) -> None:
        """Of a spoken item nothing is remembered whose sound was not sent."""
        if item.content == "output_audio":
            sent = self.told.audio.get(item.id, 0)
            begun = "".join(p.text for p in item.pieces if p.samples is None or p.start < sent)
            assert begun.startswith(item.text or ""), f"{item.text!r} of {begun!r}"

    def teardown(self) -> None:
        """The client waits until nothing is under way, or hangs up in the middle of it."""
        if self.talk is None:
            return self.runner.close()
        if self.stays:
            self.ask("session.update", "session.updated", session=UPDATES[2])
            self.rest(SETTLES_S)
            self.look(settled=True)
            self.lives_and_says_what_is()
        self.runner.run(self.talk.__aexit__(None, None, None))
        self.runner.close()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAnyOrder = pytest.mark.filterwarnings("default::DeprecationWarning")(TestAnyOrder)
