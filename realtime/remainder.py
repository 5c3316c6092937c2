"""A spoken reply that may be broken off, and what is left of it then.

Somebody speaks over a reply: it stops at once, for it may be an interruption. Whether it was one is
known when its words are. Until then the rest is kept: the words that were not heard, what was on
its way to the voice, and the model's stream, which goes on writing into a buffer. It is said in a
response of its own if nobody wanted the reply to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from realtime.conversation import Conversation
from realtime.draft import Draft
from realtime.engines import Delta
from realtime.items import Item
from realtime.order import Order
from realtime.reply import Unsaid
from realtime.response import Response
from realtime.script import Own, Script
from realtime.session_config import SessionConfig

KEPT_S = 10.0
"""Then it is stale, and its stream is closed: a sign of listening takes a second, a noise few."""

MOST_TRIES = 2
"""So often a reply goes on without a word of it being heard. What keeps breaking it off at once is
going on itself, and after two tries the caller would hear the same half word a third time."""

DELTAS_AHEAD = 512
"""Of the model's stream, beyond what was read; then the model waits."""


@dataclass(eq=False)
class Remainder:
    """`config` is the session's, of which `order` was made. Closed once."""

    response: Response
    order: Order
    config: SessionConfig
    own: Own
    tries: int = 0
    """How often in a row it went on and was broken off before a word was heard."""
    unsaid: Unsaid = field(default_factory=Unsaid)
    verdict: str = ""
    """Why it may go on: `noise`, `backchannel` or `echo`; empty while nobody knows."""
    _first: deque[Delta] = field(default_factory=deque)
    _script: Script[Delta] | None = None
    _place: int = 0
    _draft: Draft | None = None
    _rest: str | None = None

    def answers_with(self, draft: Draft) -> None:
        """A draft's stream is read: it is dropped with this."""
        self._draft = draft

    def text(self, stream: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """What the model writes, to be read once; it is closed with this, not with its reader."""
        if self._script:
            self._script.close()
        self._script, self._place = Script(stream, ahead=DELTAS_AHEAD, own=self.own), 0
        return self.deltas()

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """What is to be said, from where the last reader of it stopped."""
        while self._first:
            yield self._first.popleft()
        if self._script is None:
            return
        async with aclosing(self._script.read(self._place)) as deltas:
            async for delta in deltas:
                self._place += 1
                yield delta

    def close(self) -> None:
        """End the model's stream, if it has not ended."""
        if self._script:
            self._script.close()
        if self._draft:
            self._draft.drop()

    @property
    def item(self) -> Item:
        return self.response.item

    @property
    def unheard(self) -> str:
        """The words that are there already and were not heard. Not before the reply has stopped."""
        if self._rest is None:
            self._rest = self.unsaid.rest()
        told = "".join(piece.text for piece in self.item.pieces)
        unheard = told[len(self.item.text or "") :]
        return f"{unheard.strip()} {self._rest.lstrip()}".lstrip()

    @property
    def anything(self) -> bool:
        """Something is left to be said, or may be."""
        if any(sign.isalnum() for sign in self.unheard):
            return True
        return bool(self._script and not self._script.all_read(self._place)) or bool(self._first)

    def fits(self, conversation: Conversation, config: SessionConfig) -> bool:
        """Whether it may still be said: nothing was made of the conversation since but the
        caller's utterances, and the session asks for the same kind of replies."""
        if self.item.id not in conversation or not _same_replies(config, self.config):
            return False
        order = conversation.items()
        after = order[[each.id for each in order].index(self.item.id) + 1 :]
        return all(isinstance(each, Item) and each.content == "input_audio" for each in after)

    def resumed(self, response: Response) -> Remainder:
        """The rest, as it is said by another response."""
        left = deque([Delta(self.unheard)])
        left += (Delta(call=part) for part in (*self.response.held, *self.unsaid.calls))
        return Remainder(
            response,
            self.order,
            self.config,
            self.own,
            tries=1 if self.item.text else self.tries + 1,
            _first=left + self._first,
            _script=self._script,
            _draft=self._draft,
            _place=self._place,
        )


def _same_replies(new: SessionConfig, old: SessionConfig) -> bool:
    """Whether two settings differ in what they say of the caller alone."""
    return new is old or _of_replies(new) == _of_replies(old)


def _of_replies(config: SessionConfig) -> tuple[object, ...]:
    output = config.audio.output
    return (config.type, config.instructions, config.tools, config.output_modalities, output)
