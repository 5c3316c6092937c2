"""A conversation, a turn detector and a cutter of sentences against plain models of them, in any
order of what can be done to them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.conversation import Conversation
from realtime.endpointing import by_eagerness, by_model, exactly
from realtime.errors import ProtocolError
from realtime.history import LEAST_ROOM, lines_of
from realtime.items import FunctionCall, FunctionResult, Item, Piece
from realtime.prompt import tokens_of
from realtime.sentences import LONGEST_CHARS, SentenceCutter
from realtime.turns import SpeechStarted, SpeechStopped, TurnDetector, TurnSettings

NAMES = st.sampled_from("abcdefgh")
SAID = st.text("ab ", max_size=60)
FRAME = 320


class AnyConversation(RuleBasedStateMachine):
    """Beside it a list of ids, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Conversation("conv")
        self.ids: list[str] = []

    @rule(
        id_=NAMES,
        after=st.none() | st.just("root") | NAMES,
        kind=st.sampled_from(["user", "assistant", "call", "result"]),
        text=SAID,
    )
    def add(self, id_: str, after: str | None, kind: str, text: str) -> None:
        item: Item | FunctionCall | FunctionResult = Item(id_, "user", "input_text", text)
        if kind == "assistant":
            item = Item(id_, "assistant", "output_text", text)
        elif kind == "call":
            item = FunctionCall(id_, f"call_{id_}", "look", "{}")
        elif kind == "result":
            item = FunctionResult(id_, f"call_{id_}", text * 20)
        last = self.ids[-1] if self.ids else None
        try:
            before = self.talk.add(item, after=after)
        except ProtocolError:
            assert id_ in self.ids or after not in (None, "root", *self.ids)
            return
        assert before == (last if after is None else None if after == "root" else after)
        self.ids.insert(self.ids.index(before) + 1 if before else 0, id_)

    @rule(id_=NAMES)
    def remove(self, id_: str) -> None:
        self.talk.remove(id_)
        self.ids = [each for each in self.ids if each != id_]

    @rule(id_=NAMES, ms=st.integers(0, 10**12))
    def cut(self, id_: str, ms: int) -> None:
        """Nothing here was spoken, so nothing is cut."""
        texts = [getattr(item, "text", None) for item in self.talk.items()]
        self.talk.cut(id_, ms)
        assert [getattr(item, "text", None) for item in self.talk.items()] == texts

    @rule(instructions=SAID, budget=st.integers(20, 400), lasting=st.booleans())
    def prompt(self, instructions: str, budget: int, lasting: bool) -> None:
        read = self.talk.prompt(instructions, budget_tokens=budget, lasting=lasting)
        head, rest = read[: bool(instructions)], read[bool(instructions) :]
        assert [m.text for m in head] == ([instructions] if instructions else [])
        room = max(budget - tokens_of(head), int(budget * LEAST_ROOM))
        assert tokens_of(rest) <= room or len(rest) == 1, "it does not fit"
        newest = lines_of(self.talk.items())[-1:]
        assert [m.role for m in rest[-1:]] == [m.role for _, m in newest], "not the newest"
        if lasting:
            assert self.talk.prompt(instructions, budget_tokens=budget) == read

    @invariant()
    def is_what_the_list_is(self) -> None:
        assert [item.id for item in self.talk.items()] == self.ids
        for n, id_ in enumerate(self.ids):
            assert self.talk.before(id_) == (self.ids[n - 1] if n else None)
            assert id_ in self.talk


class AnyTurns(RuleBasedStateMachine):
    """Beside it what is still kept of the audio, as an ear keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = TurnDetector()
        self.pushed = self.kept = self.last = 0
        self.open = False

    @rule(speech=st.booleans(), frames=st.integers(1, 60))
    def hear(self, speech: bool, frames: int) -> None:
        for _ in range(frames):
            self.pushed += FRAME
            for event in self.turns.push(FRAME, speech):
                self.check(event)
            self.kept = max(self.kept, self.turns.keep_from)

    def check(self, event: object) -> None:
        if isinstance(event, SpeechStarted):
            assert not self.open
            assert self.kept <= event.start <= self.pushed, "its beginning is not kept"
            self.open, self.last = True, event.start
        elif isinstance(event, SpeechStopped):
            assert self.open
            assert self.last <= event.last_speech <= event.end == self.pushed
            self.open = False

    @rule(sound=st.floats(0, 1), words=st.none() | st.floats(0, 1), reading=st.booleans())
    def judge(self, sound: float, words: float | None, reading: bool) -> None:
        for last_speech in (self.turns._last_speech, 0):
            self.turns.decide(last_speech, sound=sound, words=words, reading=reading)

    @rule()
    def reset(self) -> None:
        self.turns.reset()
        self.open = False
        self.kept = max(self.kept, self.turns.keep_from)

    @rule(
        prefix_ms=st.sampled_from([0, 300, 5_000]),
        waits=st.sampled_from([exactly(20), exactly(10_000), by_model(), by_eagerness("high")]),
    )
    def configure(self, prefix_ms: int, waits: object) -> None:
        self.turns.begin_from(self.kept)
        self.turns.configure(TurnSettings(prefix_ms, waits=waits))  # type: ignore[arg-type]

    @invariant()
    def counts_samples_and_stays_bounded(self) -> None:
        assert self.turns.position == self.pushed
        assert self.turns.in_turn == self.open
        assert self.kept <= self.turns.uncommitted_from <= self.pushed
        if self.open:
            assert self.pushed - self.turns.keep_from <= 28 * 16_000 + FRAME


QUIET = settings(derandomize=True, deadline=None, max_examples=60, stateful_step_count=30)
TestAnyConversation = AnyConversation.TestCase
TestAnyConversation.settings = QUIET
TestAnyTurns = AnyTurns.TestCase
TestAnyTurns.settings = QUIET


@given(
    st.text(max_size=200) | st.text("ab .,!?\n1\"'，。I…", max_size=400),
    st.integers(1, 30),
    st.sampled_from([0, 12, 40]),
)
@settings(derandomize=True, deadline=None)
def test_any_text_is_cut_into_pieces_and_none_of_it_is_lost(text, step, shortest):
    cutter, pieces = SentenceCutter(shortest_chars=shortest), []
    for start in range(0, len(text), step):
        pieces += cutter.push(text[start : start + step])
        assert len(cutter._text) <= LONGEST_CHARS + step
    pieces += cutter.flush()
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece and piece == piece.strip() for piece in pieces)


@given(
    st.lists(st.tuples(st.text("ab ", min_size=1, max_size=9), st.integers(0, 9_000)), max_size=5),
    st.lists(st.integers(0, 60_000), min_size=1, max_size=6),
)
@settings(derandomize=True, deadline=None)
def test_more_that_was_heard_keeps_more_of_a_reply_and_never_what_was_not_said(said, heard):
    item, start = Item("a", "assistant", "output_audio"), 0
    for text, samples in said:
        piece: Piece = item.say(text)
        piece.start, piece.samples = start, samples
        start += samples
    whole, kept = "".join(text for text, _ in said), []
    for samples in sorted(heard):
        item.cut(samples)
        kept.append(item.text or "")
    assert all(whole.startswith(each) for each in kept)
    assert kept == sorted(kept, key=len)
    item.cut(start + 1)
    assert item.text == whole
    least = min(heard)
    item.played(least)
    item.cut(max(heard))
    assert len(item.text or "") <= len(kept[0])
