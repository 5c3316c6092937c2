"""The items that one response makes, in the order in which they begin: each opened and closed once.

An item's place in this list is its `output_index`. A response that is part of the conversation puts
its items there too; clients are told of both.
"""

from __future__ import annotations

from typing import Any

from realtime import server_events
from realtime.conversation import Conversation
from realtime.ids import new_id
from realtime.items import FunctionCall, Item
from realtime.outbox import Outbox


class Outputs:
    """Of one response. Without a `conversation` its items are in no history."""

    def __init__(self, response_id: str, outbox: Outbox, conversation: Conversation | None) -> None:
        self._response_id, self._outbox, self._conversation = response_id, outbox, conversation
        self._items: list[Item | FunctionCall] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def called(self) -> bool:
        """A call in it is whole: its function may be running."""
        return any(isinstance(i, FunctionCall) and i.status == "completed" for i in self._items)

    def open(self, item: Item | FunctionCall) -> int:
        """Begin an item; returns its `output_index`."""
        index = len(self._items)
        self._items.append(item)
        self._outbox.put(
            server_events.OutputItemAdded(
                response_id=self._response_id, output_index=index, item=item.wire()
            )
        )
        if self._conversation is not None:
            before = self._conversation.add(item)
            self._outbox.put(server_events.ItemAdded(previous_item_id=before, item=item.wire()))
        return index

    def close(self, item: Item | FunctionCall) -> None:
        """End an item with the status that it has now; what the client deleted stays deleted."""
        if self._conversation is not None and item.id in self._conversation:
            before = self._conversation.before(item.id)
            self._outbox.put(server_events.ItemDone(previous_item_id=before, item=item.wire()))
        self._outbox.put(
            server_events.OutputItemDone(
                response_id=self._response_id, output_index=self.index(item), item=item.wire()
            )
        )

    def unused(self, call_id: str) -> str:
        """This id, or another where a call of the conversation has it: some models count anew."""
        taken = self._conversation is not None and self._conversation.called(call_id)
        return new_id("call") if taken else call_id

    def index(self, item: Item | FunctionCall) -> int:
        return next(n for n, known in enumerate(self._items) if known.id == item.id)

    def wire(self) -> list[dict[str, Any]]:
        return [item.wire() for item in self._items]
