"""From items to messages, and to lines for a model that knows nothing of functions."""

from __future__ import annotations

import pytest

from realtime.conversation import Conversation
from realtime.history import message_of
from realtime.items import AnyItem, FunctionCall, FunctionResult, Item
from realtime.prompt import CHARS_PER_TOKEN, Message, ToolCall, newer_half, plain, tokens_of


def said(id_: str, role: str, text: str | None) -> Item:
    return Item(id_, role, "input_text", text)  # type: ignore[arg-type]


def talk_of(*items: AnyItem) -> list[Message]:
    return Conversation("conv").of(items).prompt("", budget_tokens=10_000)


WEATHER = ToolCall("call_1", "weather", '{"city":"Oslo"}')
TIME = ToolCall("call_2", "time", "{}")


def test_calls_and_what_was_said_before_them_are_one_message():
    prompt = talk_of(
        said("a", "user", "How is it in Oslo?"),
        said("b", "assistant", "Let me see."),
        FunctionCall("c", *vars(WEATHER).values()),
        FunctionCall("d", *vars(TIME).values()),
        FunctionResult("e", "call_1", "rain"),
        FunctionResult("f", "call_2", "noon"),
        said("g", "assistant", "It rains."),
    )
    assert prompt == [
        Message("user", "How is it in Oslo?"),
        Message("assistant", "Let me see.", calls=(WEATHER, TIME)),
        Message("tool", "rain", call_id="call_1"),
        Message("tool", "noon", call_id="call_2"),
        Message("assistant", "It rains."),
    ]


def test_what_has_nothing_to_tell_is_left_out():
    assert message_of(said("a", "user", None)) is None
    assert message_of(said("a", "assistant", "")) is None
    for status in ("in_progress", "incomplete"):
        assert message_of(FunctionCall("b", "call_1", "weather", '{"ci', status)) is None  # type: ignore[arg-type]


def test_a_result_may_be_empty():
    assert message_of(FunctionResult("a", "call_1", "")) == Message("tool", "", call_id="call_1")


def test_in_words_nothing_is_lost():
    lines = plain(
        [
            Message("system", "Be kind."),
            Message("assistant", "Let me see.", calls=(WEATHER,)),
            Message("tool", "rain", call_id="call_1"),
        ]
    )
    assert lines == [
        Message("system", "Be kind."),
        Message("assistant", "Let me see."),
        Message("assistant", 'I call weather({"city":"Oslo"}).'),
        Message("system", "The function's result: rain"),
    ]


def test_calls_have_a_size():
    assert tokens_of([Message("assistant", "", calls=(ToolCall("c", "f", "x" * 350),))]) > 100


def test_a_result_that_would_fill_the_prompt_is_cut_and_says_so():
    talk = Conversation("conv").of(
        [
            said("a", "user", "How is it in Oslo?"),
            FunctionCall("b", *vars(WEATHER).values()),
            FunctionResult("c", "call_1", "rain " * 10_000),
        ]
    )
    prompt = talk.prompt("Be kind.", budget_tokens=1_000)
    assert [m.role for m in prompt] == ["system", "user", "assistant", "tool"]
    assert tokens_of(prompt) < 400
    assert prompt[-1].text.endswith("(the rest is left out)")


def test_a_conversation_of_some_items_is_not_the_conversation():
    talk = Conversation("conv_1")
    talk.add(said("a", "user", "one"))
    talk.add(said("b", "user", "two"))
    other = talk.of([talk.get("b")])
    other.add(said("c", "user", "three"))
    assert other.id == talk.id
    assert [m.text for m in other.prompt("", budget_tokens=100)] == ["two", "three"]
    assert [i.id for i in talk.items()] == ["a", "b"]


def test_half_of_a_prompt_keeps_the_instructions_and_the_last_message():
    prompt = [Message("system", "s"), *(Message("user", str(n)) for n in range(4))]
    assert [m.text for m in newer_half(prompt)] == ["s", "2", "3"]
    assert [m.text for m in newer_half(prompt[:2])] == ["s", "0"]


def weather_talk(results: int, *, before: int = 0, words: str = "doc ") -> Conversation:
    """Old facts, then one question whose answers are documents."""
    talk = Conversation("conv")
    for n in range(before):
        talk.add(said(f"old_{n}", "user", f"fact {n} " * 60))
    talk.add(said("q", "user", "Compare these."))
    for n in range(results):
        talk.add(FunctionCall(f"c{n}", f"call_{n}", "read", "{}"))
    for n in range(results):
        talk.add(FunctionResult(f"r{n}", f"call_{n}", words * 6_000))
    return talk


@pytest.mark.parametrize("results", [1, 3, 4, 12])
def test_results_of_one_question_share_the_prompt_and_the_question_stays(results):
    prompt = weather_talk(results, before=12).prompt("Be kind.", budget_tokens=7_000)
    kept = prompt[-results - 2 :]
    assert [m.role for m in kept] == ["user", "assistant", *["tool"] * results]
    assert kept[0].text == "Compare these."
    assert len(kept[1].calls) == results
    assert min(len(m.text) for m in kept[2:]) > 7_000 / (results + 1)
    assert tokens_of(prompt) <= 7_000


def test_results_of_earlier_questions_are_cut_as_they_were_then():
    talk = weather_talk(2)
    before = talk.prompt("Be kind.", budget_tokens=7_000)
    talk.add(said("a", "assistant", "They differ."))
    talk.add(said("q2", "user", "And how?"))
    assert talk.prompt("Be kind.", budget_tokens=7_000)[: len(before)] == before


def test_long_instructions_do_not_part_an_answer_from_its_question():
    talk = weather_talk(1, before=20, words="rain ")
    prompt = talk.prompt("i" * int(600 * CHARS_PER_TOKEN), budget_tokens=1_000)
    assert [m.role for m in prompt] == ["system", "user", "assistant", "tool"]
    assert tokens_of(prompt) <= 1_000


def test_instructions_over_the_budget_leave_room_for_the_last_question():
    talk = weather_talk(1, before=20, words="rain ")
    prompt = talk.prompt("i" * 9_000, budget_tokens=1_000)
    assert [m.role for m in prompt] == ["system", "user", "assistant", "tool"]
    assert prompt[1].text == "Compare these."


def test_a_question_stays_with_its_calls_as_long_as_they_fit():
    talk = weather_talk(0, before=20)
    talk.add(FunctionCall("c", "call_1", "write", '{"text":"%s"}' % ("x" * 1_500)))
    talk.add(FunctionResult("r", "call_1", "done " * 500))
    roles = [m.role for m in talk.prompt("Be kind.", budget_tokens=1_000)]
    assert roles == ["system", "user", "assistant", "tool"]
    roles = [m.role for m in talk.prompt("Be kind.", budget_tokens=500)]
    assert roles == ["system", "tool"]


def test_what_was_noted_after_a_question_does_not_part_it_from_its_answers():
    talk = weather_talk(2, before=20)
    talk.add(said("note", "system", "It is late. " * 10))
    roles = [m.role for m in talk.prompt("Be kind.", budget_tokens=1_000)]
    assert roles[-5:] == ["user", "assistant", "tool", "tool", "system"]


def test_nothing_makes_a_prompt_of_instructions_alone():
    assert Conversation("conv").prompt("Be kind.", budget_tokens=0) == [
        Message("system", "Be kind.")
    ]


def test_one_prompt_with_instructions_of_its_own_does_not_shorten_the_next():
    talk = Conversation("conv")
    for n in range(20):
        talk.add(said(f"u{n}", "user", f"fact {n} " * 10))
    before = talk.prompt("Be kind.", budget_tokens=2_000)
    short = talk.prompt("i" * 6_000, budget_tokens=2_000, lasting=False)
    assert len(short) < len(before)
    assert talk.prompt("Be kind.", budget_tokens=2_000) == before
