"""What is left of a reply that was broken off: its words, and how often it may go on."""

from __future__ import annotations

from types import SimpleNamespace

from realtime.engines import Delta
from realtime.history import lines_of
from realtime.items import Item
from realtime.playout import Playout
from realtime.remainder import MOST_TRIES, Remainder
from realtime.reply import Unsaid
from realtime.sentences import SentenceCutter


def test_nothing_is_lost_between_the_model_and_the_voice():
    unsaid, cutter = Unsaid(), SentenceCutter()
    pieces = unsaid.take(cutter, Delta("One two three. Four five six. Seven eight nine. Ten ele"))
    assert next(pieces) == "One two three."
    unsaid.keep("Late.")
    assert unsaid.rest() == "Late. Four five six. Seven eight nine. Ten ele"
    assert unsaid.rest().strip() == ""


def test_an_item_that_goes_on_is_one_message_with_what_it_goes_on_from():
    items = [
        Item("a", "user", "input_audio", "Tell me."),
        Item("b", "assistant", "output_audio", "The river begins"),
        Item("c", "user", "input_audio", ""),
        Item("d", "assistant", "output_audio", " high in the mountains.", goes_on=True),
    ]
    assert [(id_, m.text) for id_, m in lines_of(items)] == [
        ("a", "Tell me."),
        ("b", "The river begins high in the mountains."),
    ]
    items[2].text = "Yeah."
    assert [id_ for id_, _ in lines_of(items)] == ["a", "b", "c", "d"]


def test_the_client_has_nothing_to_play_from_the_end_of_what_was_sent():
    playout = Playout(24_000)
    playout.add(24_000, 10.0)
    assert playout.quiet_s(10.5) == 0.0
    assert playout.quiet_s(13.0) == 2.0
    playout.stop(10.5)
    assert playout.quiet_s(12.0) == 1.5


def test_tries_are_counted_until_a_word_is_heard():
    def reply(heard: str) -> SimpleNamespace:
        return SimpleNamespace(item=Item("a", "assistant", "output_audio", heard), held=[])

    remainder = Remainder(reply("One"), None, None, None)
    for _ in range(MOST_TRIES):
        remainder = remainder.resumed(reply(""))
    assert remainder.tries == MOST_TRIES
    remainder = remainder.resumed(reply("two"))
    assert remainder.resumed(reply("")).tries == 1
