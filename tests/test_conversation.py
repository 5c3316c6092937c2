"""Items, their chain, what was heard, and the prompt."""

from __future__ import annotations

from itertools import pairwise

import pytest

from realtime.conversation import MAX_CHARS, Conversation
from realtime.errors import ProtocolError
from realtime.items import FunctionCall, FunctionResult, Item, words_within
from realtime.prompt import Message, tokens_of


def said(n: int, text: str, role: str = "user") -> Item:
    kind = "output_audio" if role == "assistant" else "input_audio"
    return Item(f"item_{n}", role, kind, text)  # type: ignore[arg-type]


def test_each_item_knows_the_one_before():
    talk = Conversation("conv")
    assert talk.add(said(1, "a")) is None
    assert talk.add(said(2, "b")) == "item_1"
    assert talk.add(said(3, "c"), after="root") is None
    assert talk.add(said(4, "d"), after="item_3") == "item_3"
    assert [i.id for i in talk.items()] == ["item_3", "item_4", "item_1", "item_2"]
    assert [talk.before(i.id) for i in talk.items()] == [None, "item_3", "item_4", "item_1"]
    talk.remove("item_2")
    talk.remove("item_2")
    assert talk.add(said(5, "e")) == "item_1"


def test_an_id_is_taken_once_and_a_predecessor_must_exist():
    talk = Conversation("conv")
    talk.add(said(1, "a"))
    with pytest.raises(ProtocolError, match="item_1") as taken:
        talk.add(said(1, "b"))
    assert taken.value.param == "item.id"
    with pytest.raises(ProtocolError) as unknown:
        talk.add(said(2, "b"), after="nobody")
    assert unknown.value.param == "previous_item_id"
    with pytest.raises(ProtocolError) as missing:
        talk.get("nobody")
    assert missing.value.code == "item_retrieve_invalid_item_id"


def test_on_the_wire_a_users_transcript_is_null_until_it_is_known():
    item = Item("item_1", "user", "input_audio")
    assert item.wire()["content"] == [{"type": "input_audio", "transcript": None}]
    item.text = "hello"
    assert item.wire()["content"] == [{"type": "input_audio", "transcript": "hello"}]
    assert Item("item_2", "assistant", "output_audio", None, "in_progress").wire()["content"] == []


def spoken(*pieces: tuple[str, float, float]) -> Item:
    """A reply of pieces: words, and the seconds from which to which they sound."""
    item = Item("item_1", "assistant", "output_audio")
    for text, start, end in pieces:
        piece = item.say(text)
        piece.start, piece.samples = int(start * 24_000), int((end - start) * 24_000)
        item.audio_samples = int(end * 24_000)
    return item


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [
        (0, ""),
        (1_000, "one two"),
        (2_000, "one two three four."),
        (2_400, "one two three four."),
        (3_500, "one two three four. Five six"),
        (9_000, "one two three four. Five six seven eight."),
    ],
)
def test_an_interrupted_reply_keeps_the_words_that_were_heard(heard_ms, text):
    talk = Conversation("conv")
    reply = spoken(("one two three four.", 0, 2.0), (" Five six seven eight.", 2.5, 4.5))
    talk.add(reply)
    talk.cut("item_1", heard_ms)
    assert reply.text == text


def test_a_better_report_may_say_more():
    talk = Conversation("conv")
    reply = spoken(("one two three four.", 0, 2.0), (" Five six seven eight.", 2.5, 4.5))
    talk.add(reply)
    talk.cut("item_1", 1_000)
    talk.cut("item_1", 2_300)
    assert reply.text == "one two three four."
    talk.cut("nobody", 5)


def test_words_whose_sound_was_never_made_were_not_heard():
    reply = spoken(("one two.", 0, 1.0))
    reply.say(" three four.")
    reply.cut(99_000)
    assert reply.text == "one two."


def test_function_calls_and_results_are_items_too():
    talk = Conversation("conv")
    talk.add(FunctionCall("item_1", "call_1", "weather", "{}"))
    talk.add(FunctionResult("item_2", "call_1", "sunny"))
    assert [i.wire()["type"] for i in talk.items()] == ["function_call", "function_call_output"]
    assert "sunny" in talk.prompt("", budget_tokens=500)[1].text


@pytest.mark.parametrize(
    ("text", "chars", "kept"),
    [
        ("one two", 3, "one"),
        ("one two", 4, "one"),
        ("one two", 5, "one"),
        ("one two", 7, "one two"),
    ],
)
def test_words_are_whole(text, chars, kept):
    assert words_within(text, chars) == kept


def test_the_prompt_has_instructions_and_everything_that_has_words():
    talk = Conversation("conv")
    talk.add(said(1, "hello"))
    talk.add(said(2, ""))
    talk.add(Item("item_3", "user", "input_audio"))
    assert talk.prompt("be kind", budget_tokens=500) == [
        Message("system", "be kind"),
        Message("user", "hello"),
    ]
    assert talk.prompt("", budget_tokens=500) == [Message("user", "hello")]


def test_a_long_history_is_shortened_rarely_and_its_beginning_stays_put_between():
    talk = Conversation("conv")
    beginnings = []
    for n in range(60):
        talk.add(said(n, f"{n:02} " + "word " * 20, "assistant" if n % 2 else "user"))
        prompt = talk.prompt("be kind", budget_tokens=400)
        assert tokens_of(prompt) <= 400
        assert prompt[0] == Message("system", "be kind")
        assert prompt[-1].text.startswith(f"{n:02}")
        beginnings.append(prompt[1].text)
    changes = sum(a != b for a, b in pairwise(beginnings))
    assert 5 <= changes <= 15


def test_one_message_over_the_budget_is_still_sent():
    talk = Conversation("conv")
    talk.add(said(1, "word " * 500))
    assert len(talk.prompt("be kind", budget_tokens=100)) == 2


def test_text_is_bounded_and_the_oldest_items_are_forgotten():
    talk = Conversation("conv")
    for n in range(12):
        talk.add(said(n, "x" * (MAX_CHARS // 10)))
    assert [i.id for i in talk.items()] == [f"item_{n}" for n in range(3, 12)]
    talk.add(FunctionResult("big", "call", "x" * MAX_CHARS))
    assert [i.id for i in talk.items()] == ["big"]


def test_ids_and_names_that_clients_choose_count_towards_the_bound():
    talk = Conversation("conv")
    part = "x" * (MAX_CHARS // 10)
    for n in range(5):
        talk.add(FunctionCall(f"{n}{part}", f"c{n}{part}", part, part))
    assert len(talk) == 2


def in_progress() -> tuple[Conversation, Item]:
    talk, reply = Conversation("conv"), spoken(("one two.", 0, 1.0))
    reply.status = "in_progress"
    talk.add(reply)
    return talk, reply


def test_what_was_cut_of_a_reply_in_progress_stays_cut():
    talk, reply = in_progress()
    talk.cut("item_1", 0)
    piece = reply.say(" three four.")
    piece.start, piece.samples, reply.audio_samples = 24_000, 24_000, 48_000
    assert reply.text == ""
    reply.cut(48_000)  # what the model of the playback says
    assert reply.text == ""
    talk.cut("item_1", 1_200)  # the client knows better
    assert reply.text == "one two."


def test_a_reply_in_progress_of_which_all_was_played_goes_on():
    talk, reply = in_progress()
    reply.say(" three four.")
    talk.cut("item_1", 90_000)
    reply.say(" Five.")
    assert reply.text == "one two. three four. Five."


def test_a_supposed_item_makes_the_prompt_that_the_real_one_would_and_is_not_kept():
    talk = Conversation("conv")
    for n in range(20):
        talk.add(said(n, "word " * 20, "assistant" if n % 2 else "user"))
    talk.prompt("be kind", budget_tokens=300)  # the beginning of the history is left out
    last = said(99, "and now?")
    supposed = talk.supposing(last).prompt("be kind", budget_tokens=300)
    assert "item_99" not in talk
    talk.add(last)
    assert talk.prompt("be kind", budget_tokens=300) == supposed
