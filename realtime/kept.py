"""The rest of a reply that somebody spoke over, while nobody knows yet whether that ends it.

keep    speech stopped the reply: what is left of it is kept for a while
judge   the words of that speech are there, and tell what it was
take    nobody wanted the reply to end: the rest may be said
forget  it was an interruption, or the client moved on, or it is too late
"""

from __future__ import annotations

import asyncio

from realtime.backchannel import asks, is_backchannel
from realtime.conversation import Conversation
from realtime.remainder import KEPT_S, MOST_TRIES, Remainder
from realtime.self_hearing import is_own
from realtime.session_config import SessionConfig


class Kept:
    """At most one rest. `backchannels_interrupt`: signs of listening are words like any others."""

    def __init__(self, conversation: Conversation, *, backchannels_interrupt: bool) -> None:
        self.hears_itself = False
        """A reply has come back as an echo in this session."""
        self._conversation = conversation
        self._backchannels_interrupt = backchannels_interrupt
        self._rest: Remainder | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def keep(self, rest: Remainder) -> None:
        """What is left of it may be said later, if it was not broken off too often."""
        self.forget()
        if rest.item.text or rest.tries < MOST_TRIES:
            self._rest = rest
            self._expiry = asyncio.get_running_loop().call_later(KEPT_S, self.forget)

    def holds(self, rest: Remainder) -> bool:
        """Whether this one is kept."""
        return rest is self._rest

    def forget(self) -> None:
        """What is left will not be said."""
        if rest := self._let_go():
            rest.close()

    def unjudge(self) -> None:
        """Somebody speaks again: what came before him does not tell what he says."""
        if self._rest:
            self._rest.verdict = ""

    def judge(self, text: str, said: str) -> str:
        """What an utterance was, by its words: `noise`, `echo`, `backchannel` or `words`.

        `said` is what was played meanwhile. Of the first three, what is left of a reply may go on.
        """
        kept = self._rest
        heard, rest = (kept.item.text or "", kept.unheard) if kept else ("", "")
        verdict = "words"
        if not text:
            verdict = "noise"
        elif said and is_own(text, said, asked=asks(heard or said, rest)):
            verdict, self.hears_itself = "echo", True
        elif kept and kept.anything and is_backchannel(text) and not asks(heard, rest):
            verdict = "words" if self._backchannels_interrupt else "backchannel"
        if verdict == "words":
            self.forget()
        elif kept:
            kept.verdict = verdict
        return verdict

    def take(self, config: SessionConfig) -> Remainder | None:
        """What is to be said now of an interrupted reply, if that is known to be wanted."""
        kept = self._rest
        if kept is None or not kept.verdict:
            return None
        if not (kept.anything and kept.fits(self._conversation, config)):
            self.forget()
            return None
        return self._let_go()

    def _let_go(self) -> Remainder | None:
        rest, self._rest = self._rest, None
        if self._expiry:
            self._expiry.cancel()
        return rest
