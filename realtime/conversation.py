"""The items of one conversation, in order, and the prompt that they make. Pure values.

A user's item appears when the turn is committed and gets its transcript when the recogniser has it;
an assistant's item grows as pieces are spoken and is cut to what was heard when it is interrupted.
The prompt is made of items that have text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from realtime.audio import ms_to_samples
from realtime.errors import ProtocolError
from realtime.history import lines_of, prompt_of
from realtime.items import AnyItem, FunctionCall, Item
from realtime.prompt import Message

MAX_ITEMS = 2_000
"""The oldest items beyond this are forgotten: a bound on memory, far over any prompt's reach."""

MAX_CHARS = 2 * 1024 * 1024
"""The same for the characters of all items: 8 MiB, as one has four bytes at most."""


@dataclass
class Conversation:
    """Items by id, in the order in which they are said."""

    id: str
    _items: dict[str, AnyItem] = field(default_factory=dict)
    _prompt_from: str | None = None

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> list[AnyItem]:
        return list(self._items.values())

    def add(self, item: AnyItem, *, after: str | None = None) -> str | None:
        """Put an item at the end, after another, or first (`after="root"`); returns its
        predecessor.

        Raises:
            ProtocolError: the id is taken, or `after` names no item.
        """
        if item.id in self._items:
            raise ProtocolError(
                f"an item with id '{item.id}' exists already",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        if after is None:
            before = next(reversed(self._items), None)
            self._items[item.id] = item
            self._forget_oldest()
            return before
        if after != "root" and after not in self._items:
            raise ProtocolError(
                f"'previous_item_id' names no item: '{after}'",
                code="item_not_found",
                param="previous_item_id",
            )
        order = list(self._items.values())
        at = 0 if after == "root" else [i.id for i in order].index(after) + 1
        order.insert(at, item)
        self._items = {i.id: i for i in order}
        self._forget_oldest()
        return None if after == "root" else after

    def copy(self) -> Conversation:
        """The same items now; what is added to the copy is not added here."""
        return Conversation(self.id, dict(self._items))

    def supposing(self, item: AnyItem) -> Conversation:
        """This conversation with one item more, of which it knows nothing itself."""
        return Conversation(self.id, {**self._items, item.id: item}, self._prompt_from)

    def of(self, items: Iterable[AnyItem]) -> Conversation:
        """A conversation of these items alone."""
        return Conversation(self.id, {i.id: i for i in items})

    def get(self, item_id: str) -> AnyItem:
        """The item with this id.

        Raises:
            ProtocolError: there is none; the code is the one that clients look for.
        """
        if item_id not in self._items:
            raise ProtocolError(
                f"item with item_id '{item_id}' not found",
                code="item_retrieve_invalid_item_id",
                param="item_id",
            )
        return self._items[item_id]

    def before(self, item_id: str) -> str | None:
        """The id of the item before this one; None for the first, and for one that is gone."""
        previous = None
        for known in self._items:
            if known == item_id:
                return previous
            previous = known
        return None

    def remove(self, item_id: str) -> None:
        """Forget an item; one that is not there is no error."""
        self._items.pop(item_id, None)

    def cut(self, item_id: str, heard_ms: int) -> None:
        """Shorten an assistant's item to what was heard of it.

        More than was made is clamped, and an item that was not spoken here is left alone: clients
        report what they played, and a report that is off must not end a session. Of an item that is
        still being spoken nothing is added after a cut; where all of it so far was heard, there was
        none.
        """
        item = self._items.get(item_id)
        if not (isinstance(item, Item) and item.pieces and item.content == "output_audio"):
            return
        samples = min(ms_to_samples(heard_ms, item.rate_hz), item.audio_samples)
        if item.status != "in_progress" or samples < item.audio_samples:
            item.played(samples)

    def called(self, call_id: str) -> bool:
        """Whether a function call has this id already."""
        calls = (i for i in self._items.values() if isinstance(i, FunctionCall))
        return any(call.call_id == call_id for call in calls)

    @property
    def language(self) -> str | None:
        """What was spoken last, if it is known; of what was typed nobody knows it."""
        said = (i.language for i in reversed(self._items.values()) if isinstance(i, Item))
        return next((language for language in said if language), None)

    def prompt(
        self, instructions: str, *, budget_tokens: int, lasting: bool = True
    ) -> list[Message]:
        """Instructions, then the newest items that have text and fit in `budget_tokens`.

        What is left out stays out of later prompts too, unless this one is not `lasting`.
        """
        messages, start = prompt_of(
            lines_of(self._items.values()),
            instructions,
            budget_tokens=budget_tokens,
            start=self._prompt_from,
        )
        if lasting:
            self._prompt_from = start
        return messages

    def _forget_oldest(self) -> None:
        chars = sum(item.chars for item in self._items.values())
        while len(self._items) > MAX_ITEMS or (chars > MAX_CHARS and len(self._items) > 1):
            oldest = next(iter(self._items))
            chars -= self._items.pop(oldest).chars
