"""Who reads and writes at the language model: in turn, one of an owner, nobody for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.slots import PREPARATION, Slots

SLOTS = 3
WAITING = 4
TURNS = 3


def slots_with(*replies: str) -> Slots[str]:
    """A ticket is its owner's letter and a number."""
    slots: Slots[str] = Slots(SLOTS, max_waiting=WAITING, max_turns=TURNS)
    for ticket in replies:
        assert slots.ask(ticket, owner=ticket[0])
    return slots


def writing(*replies: str) -> Slots[str]:
    """All of these write, and nobody waits for their first words."""
    slots = slots_with(*replies)
    for ticket in replies:
        assert slots.begin() == ticket
        slots.well_begun(ticket)
    return slots


def test_prompts_are_read_one_at_a_time_and_the_next_when_words_come():
    slots = slots_with("a1", "b1")
    assert slots.begin() == "a1"
    assert slots.begin() is None
    slots.wrote("a1")
    assert slots.begin() == "b1"


def test_no_more_write_than_there_are_slots():
    slots = writing("a1", "b1", "c1")
    slots.ask("d1", owner="d")
    assert slots.begin() is None
    slots.leave("b1")
    assert slots.begin() == "d1"


def test_an_owner_has_one_slot_and_waits_for_it_alone():
    slots = writing("a1")
    for ticket in ("a2", "b1"):
        slots.ask(ticket, owner=ticket[0])
    assert slots.begin() == "b1"
    slots.well_begun("b1")
    assert slots.begin() is None
    slots.leave("a1")
    assert slots.begin() == "a2"


def test_a_long_prompt_gives_way_once_something_of_it_was_read_and_goes_on_in_its_turn():
    slots = slots_with("a1", "b1")
    slots.begin()
    assert slots.in_the_way() == []
    slots.has_read("a1")
    assert slots.in_the_way() == ["a1"]
    slots.give_way("a1")
    slots.ask("c1", owner="c")
    assert [slots.begin(), slots.begin()] == ["b1", None]
    slots.wrote("b1")
    assert slots.begin() is None, "it is long, and b's first words are waited for"
    slots.well_begun("b1")
    assert slots.begin() == "a1"


def test_nobody_passes_a_long_prompt_whose_turn_it_is():
    slots = slots_with("a1", "b1")
    slots.begin()
    slots.has_read("a1")
    slots.give_way("a1")
    slots.begin()
    slots.wrote("b1")
    slots.ask("c1", owner="c")
    assert slots.begin() is None
    slots.well_begun("b1")
    assert slots.begin() == "a1"


def test_a_long_prompt_gives_way_to_first_words_but_not_where_nobody_waits_or_could_begin():
    slots = slots_with("a1", "b1")
    slots.begin()
    slots.wrote("a1")
    slots.begin()
    slots.has_read("b1")
    assert slots.in_the_way() == ["b1"]
    slots.well_begun("a1")
    assert slots.in_the_way() == []
    slots.ask("a2", owner="a")
    assert slots.in_the_way() == [], "a writes already"


def test_a_prompt_that_began_often_enough_is_read_to_its_end():
    slots = slots_with("a1")
    for turn in range(TURNS):
        slots.ask(f"b{turn}", owner="b")
        assert slots.begin() == "a1"
        slots.has_read("a1")
        if turn < TURNS - 1:
            assert slots.in_the_way() == ["a1"]
            slots.give_way("a1")
            assert slots.begin() == f"b{turn}"
            slots.leave(f"b{turn}")
    assert slots.in_the_way() == []


def test_a_preparation_is_for_idle_time_and_any_reply_stops_it():
    slots = writing("a1")
    slots.ask("b1", owner="b", rank=PREPARATION)
    assert slots.begin() is None
    slots.leave("a1")
    assert slots.begin() == "b1"
    assert slots.in_the_way() == []
    slots.ask("c1", owner="c")
    assert slots.in_the_way() == ["b1"]
    slots.give_way("b1")
    assert [slots.begin(), slots.begin()] == ["c1", None]
    slots.leave("c1")
    assert slots.begin() == "b1"


def test_too_many_are_refused_and_room_is_made_by_leaving():
    slots = slots_with("a1", "b1", "c1", "d1")
    assert not slots.ask("e1", owner="e")
    assert slots.ask("e0", owner="e", rank=PREPARATION)
    slots.leave("b1")
    assert slots.ask("e1", owner="e")


@given(st.data())
def test_whatever_happens_the_bounds_hold_and_nobody_waits_for_ever(data):
    """Random callers, in a random order of events; then everybody is served to the end."""
    slots: Slots[str] = Slots(SLOTS, max_waiting=WAITING, max_turns=TURNS)
    reading: set[str] = set()
    waiting: set[str] = set()
    written: set[str] = set()
    ranks: dict[str, int] = {}

    def begin() -> None:
        while (ticket := slots.begin()) is not None:
            waiting.remove(ticket)
            if ranks[ticket] == PREPARATION:
                assert not reading
                assert not written
            reading.add(ticket)
        at_work = reading | written
        assert len(reading) <= 1
        assert len(at_work) <= SLOTS
        replies = [ticket[0] for ticket in at_work if ranks[ticket] != PREPARATION]
        assert len(set(replies)) == len(replies), "one slot an owner"

    def stop() -> None:
        for ticket in slots.in_the_way():
            reading.remove(ticket)
            slots.give_way(ticket)
            waiting.add(ticket)

    for n in range(data.draw(st.integers(0, 30))):
        everyone = sorted(waiting | reading | written)
        event = data.draw(st.sampled_from(("ask", "prepare", "read", "write", "begun", "leave")))
        if event in ("ask", "prepare"):
            ticket = f"{data.draw(st.sampled_from('abcde'))}{n}"
            ranks[ticket] = PREPARATION if event == "prepare" else 0
            same = [t for t in waiting if ranks[t] == ranks[ticket]]
            taken = slots.ask(ticket, owner=ticket[0], rank=ranks[ticket])
            assert taken or len(same) >= WAITING
            if taken:
                waiting.add(ticket)
        elif event == "leave" and everyone:
            ticket = data.draw(st.sampled_from(everyone))
            slots.leave(ticket)
            for group in (waiting, reading, written):
                group.discard(ticket)
        elif event == "begun" and written:
            slots.well_begun(data.draw(st.sampled_from(sorted(written))))
        elif reading:
            ticket = next(iter(reading))
            if event == "read":
                slots.has_read(ticket)
            elif event == "write":
                slots.wrote(ticket)
                reading.remove(ticket)
                written.add(ticket)
        stop()
        begin()
    for _ in range(100 * TURNS):
        for ticket in sorted(written):
            slots.leave(ticket)
        written.clear()
        for ticket in sorted(reading):
            slots.well_begun(ticket)
            reading.remove(ticket)
            written.add(ticket)
        begin()
    assert not waiting
    assert len(slots) == 0


def test_a_reply_that_is_perhaps_never_said_leaves_a_slot_and_passes_nobody():
    slots = slots_with()
    assert slots.spare
    slots.ask("p1", owner="p", rank=PREPARATION)
    assert slots.begin() == "p1"
    assert slots.spare  # a preparation gives way
    slots.leave("p1")
    slots.ask("a1", owner="a")
    assert not slots.spare  # waits
    assert slots.begin() == "a1"
    assert not slots.spare  # is read
    slots.wrote("a1")
    assert not slots.spare  # writes its first words
    slots.well_begun("a1")
    assert slots.spare
    assert not writing("a1", "b1").spare  # the last of three slots is for others
