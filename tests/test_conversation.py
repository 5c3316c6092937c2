"""Items, their chain, what was heard, and the prompt."""

from __future__ import annotations

import pytest

from realtime.conversation import Conversation, Item, Message, tokens_of, words_within
from realtime.errors import ProtocolError


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


def test_an_interrupted_reply_keeps_the_words_that_were_heard():
    talk = Conversation("conv")
    reply = said(1, "one two three four five", "assistant")
    reply.audio_samples = 24_000
    talk.add(reply)
    talk.cut("item_1", 12_000)
    assert reply.text == "one two"
    talk.cut("item_1", 99_000)
    assert reply.text == "one two"
    talk.cut("item_1", 0)
    assert reply.text == ""
    talk.cut("nobody", 5)


@pytest.mark.parametrize(
    ("text", "chars", "kept"),
    [("one two", 3, "one"), ("one two", 4, "one"), ("one two", 5, "one"), ("one two", 7, "one two")],
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
    changes = sum(a != b for a, b in zip(beginnings, beginnings[1:], strict=False))
    assert 5 <= changes <= 15


def test_one_message_over_the_budget_is_still_sent():
    talk = Conversation("conv")
    talk.add(said(1, "word " * 500))
    assert len(talk.prompt("be kind", budget_tokens=100)) == 2
