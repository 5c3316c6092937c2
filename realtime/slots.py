"""Who reads and who writes at the language model now: a few slots, shared by all callers. Pure.

A reply waits in line, has its prompt read, then writes. Prompts are read one at a time: llama.cpp
fills each of its batches slot by slot, so of two prompts in it one waits for all of the other. A
long one gives way between two batches, to those who wait and to those who write their first words,
and goes on later where it stopped. A preparation, which reads a history ahead of the reply, is for
idle time: any reply stops it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from realtime.fair_queue import FairQueue, Waiting

Ticket = TypeVar("Ticket")

REPLY = 0
PREPARATION = 1


@dataclass(eq=False)
class _Place(Generic[Ticket]):
    ticket: Ticket
    owner: Hashable
    rank: int
    turns: int = 0
    """How often it began to read."""
    has_read: bool = False
    """In this turn, so that every turn brings it on."""


class Slots(Generic[Ticket]):
    """At most `slots` are at work, `readers` of them reading, and one of an owner.

    At most `max_waiting` replies and as many preparations wait; `ask` refuses the next. A reply
    that began to read `max_turns` times is not asked to give way any more. After each call that
    changes something, look who is `in_the_way` and who may `begin`.
    """

    def __init__(
        self, slots: int, *, max_waiting: int, max_turns: int = 8, readers: int = 1
    ) -> None:
        self._slots, self._readers = slots, readers
        self._max_waiting, self._max_turns = max_waiting, max_turns
        self._lines: tuple[FairQueue[_Place[Ticket]], ...] = (
            FairQueue(math.inf),
            FairQueue(math.inf),
        )
        self._waiting: dict[Ticket, _Place[Ticket]] = {}
        self._reading: dict[Ticket, _Place[Ticket]] = {}
        self._writing: dict[Ticket, _Place[Ticket]] = {}
        self._first_words: set[Ticket] = set()
        """Of those who write: whose first words are being waited for."""

    def __len__(self) -> int:
        """How many wait, read or write."""
        return len(self._waiting) + len(self._reading) + len(self._writing)

    @property
    def waiting(self) -> int:
        """How many wait for their turn to read."""
        return len(self._waiting)

    @property
    def spare(self) -> bool:
        """Whether a reply that is perhaps never said takes nothing from others: no reply waits, is
        read or writes its first words, and where there are several slots, one more stays free."""
        replies = [p for p in (*self._waiting.values(), *self._reading.values()) if p.rank == REPLY]
        left = self._slots - len(self._writing)
        return not replies and not self._first_words and left >= min(2, self._slots)

    def ask(self, ticket: Ticket, *, owner: Hashable, rank: int = REPLY) -> bool:
        """Stand in line; False where too many do."""
        if len(self._lines[rank]) >= self._max_waiting:
            return False
        self._line_up(_Place(ticket, owner, rank))
        return True

    def begin(self) -> Ticket | None:
        """The next to read; None while nobody waits who may."""
        if len(self._reading) >= self._readers:
            return None
        place = self._next_reply() or self._next_preparation()
        if place is None:
            return None
        del self._waiting[place.ticket]
        place.turns, place.has_read = place.turns + 1, False
        self._reading[place.ticket] = place
        return place.ticket

    def has_read(self, ticket: Ticket) -> None:
        """Some of its prompt was read in this turn, and more is left than one batch."""
        if ticket in self._reading:
            self._reading[ticket].has_read = True

    def in_the_way(self) -> list[Ticket]:
        """Those who must stop reading now, and then `give_way`, since others wait for them."""
        waited_for = self._first_words or self._someone_could_take_over()
        stoppable = (place for place in self._reading.values() if self._can_stop(place))
        return [place.ticket for place in stoppable] if waited_for else []

    def give_way(self, ticket: Ticket) -> None:
        """Stop reading and go to the end of the line."""
        place = self._reading.pop(ticket, None) or self._writing.pop(ticket)
        self._first_words.discard(ticket)
        self._line_up(place)

    def wrote(self, ticket: Ticket) -> None:
        """Its prompt is read and its first words come: the next may read, but nothing long."""
        if ticket in self._reading:
            self._writing[ticket] = self._reading.pop(ticket)
            self._first_words.add(ticket)

    def well_begun(self, ticket: Ticket) -> None:
        """Nobody waits for its first words any more, or it hangs. It keeps its slot."""
        self.wrote(ticket)
        self._first_words.discard(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It is done, or nobody waits for it any more, wherever it stands."""
        if place := self._waiting.pop(ticket, None):
            self._lines[place.rank].remove(place, owner=place.owner)
        self._reading.pop(ticket, None)
        self._writing.pop(ticket, None)
        self._first_words.discard(ticket)

    def _line_up(self, place: _Place[Ticket]) -> None:
        self._lines[place.rank].push(place, owner=place.owner)
        self._waiting[place.ticket] = place

    def _next_reply(self) -> _Place[Ticket] | None:
        if len(self._reading) + len(self._writing) >= self._slots:
            return None
        busy = self._busy_owners()
        held = False

        def may_begin(entry: Waiting[_Place[Ticket]]) -> bool:
            """A prompt that is known to be long waits for first words, and nobody passes it."""
            nonlocal held
            if held or entry.owner in busy:
                return False
            held = entry.job.turns > 0 and bool(self._first_words)
            return not held

        return _job(self._lines[REPLY].pop(may_begin))

    def _next_preparation(self) -> _Place[Ticket] | None:
        idle = not (self._reading or self._writing)
        return _job(self._lines[PREPARATION].pop()) if idle else None

    def _someone_could_take_over(self) -> bool:
        """A reply waits that could read in the place of one that reads now."""
        if len(self._reading) < self._readers or len(self._writing) >= self._slots:
            return False
        busy = self._busy_owners()
        waiting = (place for place in self._waiting.values() if place.rank == REPLY)
        return any(place.owner not in busy for place in waiting)

    def _can_stop(self, place: _Place[Ticket]) -> bool:
        if place.rank == PREPARATION:
            return True
        return place.has_read and place.turns < self._max_turns

    def _busy_owners(self) -> set[Hashable]:
        at_work = (*self._reading.values(), *self._writing.values())
        return {place.owner for place in at_work if place.rank == REPLY}


def _job(entry: Waiting[_Place[Ticket]] | None) -> _Place[Ticket] | None:
    return entry.job if entry else None
