"""The assistant's side of one session: at most one response at a time, from first word to last.

respond     opens a response; it waits for the words of what was committed before
say         language model -> pieces -> voice -> outbox
fall back   a reply that could not be begun is replaced by a sentence
stop        the last events of the response go out now, and nothing of it follows
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from realtime import client_events, server_events
from realtime.asking import Asking
from realtime.conversation import Conversation
from realtime.draft import Draft, Plan
from realtime.engines import Delta, Engines, Line, Transcript
from realtime.errors import ReplyError, StageError
from realtime.kept import Kept
from realtime.log_context import RESPONSE
from realtime.loudspeaker import Loudspeaker
from realtime.metrics import Metrics
from realtime.order import Order, order_for
from realtime.outbox import Outbox, OutboxFull
from realtime.playout import Pacing
from realtime.prompt import Message
from realtime.remainder import Remainder
from realtime.reply import Speech, make_reply
from realtime.response import Response
from realtime.session_config import SessionConfig
from realtime.stopwatch import timed

log = logging.getLogger("banter.speaker")

PREPARED_SHARE = 0.9
"""Of the prompt, for the history that is read ahead. It is shortened here if the words that are
still to come would not fit: shortened at the reply it would be read anew then, which took 1.9 s.
Somebody who says one word leaves no time for that while he speaks, so it begins after the reply."""


@dataclass(frozen=True)
class Manners:
    """How every session of a server behaves beyond what its client sets."""

    pacing: Pacing | None
    """None sends reply audio as it is made, and takes all that was sent as heard."""
    greeting: str = ""
    """Said as soon as a client connects."""
    fallback: str = ""
    """Said instead of a reply that could not be begun."""
    speculates: bool = False
    """Replies are begun in a pause that may be the end of the turn, and held until it is."""
    backchannels_interrupt: bool = False
    """A sign of listening ("mm-hmm") ends the reply that it is said over, as any words do."""


class Speaker:
    """Owned by a session, whose task group runs its tasks.

    `heard_all` waits for the words of everything committed, and is told whether the response
    answers them; `opens` is called before the client is told of a response, `finished` when one
    ends.
    """

    def __init__(
        self,
        owner: str,
        engines: Engines,
        outbox: Outbox,
        conversation: Conversation,
        *,
        metrics: Metrics,
        manners: Manners,
        binary: bool,
        tasks: asyncio.TaskGroup,
        heard_all: Callable[[bool], Awaitable[None]],
        finished: Callable[[Response], None],
        opens: Callable[[Response], None] = lambda response: None,
    ) -> None:
        self.active: Response | None = None
        self.kept = Kept(conversation, backchannels_interrupt=manners.backchannels_interrupt)
        self.loudspeaker = Loudspeaker(modelled=manners.pacing is not None)
        self._asking = Asking(engines, owner=owner, metrics=metrics)
        self._owner, self._engines, self._outbox = owner, engines, outbox
        self._conversation, self._metrics, self._manners = conversation, metrics, manners
        self._binary, self._tasks = binary, tasks
        self._heard_all, self._finished, self._opens = heard_all, finished, opens
        self._playing: Response | None = None
        self._replying: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._prepared: list[Message] | None = None
        """The history that was read."""
        self._responses = 0
        self._draft: Draft | None = None
        self._telling: Remainder | None = None

    def close(self) -> None:
        """Cancel what runs; the session's task group awaits it."""
        self.hold(None)
        self.kept.forget()
        if self._telling:
            self._telling.close()
        for task in (self._replying, self._preparing):
            if task:
                task.cancel()

    def prepare(self, config: SessionConfig) -> None:
        """The language model reads the history: after a reply, when all of it may have to be read
        anew because its begin was left out, and again while the caller speaks."""
        if self.active or (self._preparing and not self._preparing.done()):
            return
        budget = int(self._engines.replier.prompt_tokens * PREPARED_SHARE)
        prompt = self._conversation.prompt(config.instructions, budget_tokens=budget)
        self._prepared = None
        self._preparing = self._tasks.create_task(self._prepare(prompt))

    async def _prepare(self, prompt: list[Message]) -> None:
        """A failure here is no loss: the reply itself will read the history."""
        try:
            await self._engines.replier.prepare(prompt, owner=self._owner)
            self._prepared = prompt
        except Exception:
            self._metrics.count("replies.prepare_failed")
            log.debug("session %s: nothing prepared", self._owner, exc_info=True)

    def prompt(self, config: SessionConfig, words: str) -> Sequence[Message] | None:
        """What would be read for a reply to these words; None as with `plan`, and where the history
        was not read."""
        if self.active or not self._engines.replier.spare:
            return None
        asked = self._asking.prompt(self._conversation, config, Transcript(words, "", 0.0))
        return asked if [*asked[:-1]] == self._prepared else None

    def plan(self, config: SessionConfig, heard: Transcript) -> Plan | None:
        """What the reply would be made of, if these were the caller's last words; None while there
        is another, or no room for one that is perhaps never said."""
        if self.active or not self._engines.replier.spare:
            return None
        if self._preparing:
            self._preparing.cancel()
        return self._asking.plan(self._conversation, config, heard)

    def hold(self, draft: Draft | None) -> None:
        """The turn that this draft answers is over: it waits for its response. Another that still
        waits is dropped."""
        held, self._draft = self._draft, draft
        if held and held is not draft:
            held.drop()

    def respond(
        self,
        config: SessionConfig,
        body: client_events.ResponseBody,
        *,
        saying: str = "",
        answers: bool = False,
    ) -> None:
        """Begin a response; `saying` speaks a sentence of ours instead of asking the replier, and
        `answers` says that a turn asked for it.

        Raises:
            ProtocolError: the response's own settings cannot be used.
        """
        voices = self._engines.voice.names()
        order = order_for(body, config, self._conversation, voices=voices, saying=saying)
        remainder = self._begin(order, config, answers=answers, metadata=body.metadata)
        self._replying = self._tasks.create_task(self._reply(remainder))

    def _begin(
        self,
        order: Order,
        settings: SessionConfig,
        *,
        answers: bool,
        metadata: dict[str, Any] | None = None,
        rest_of: Remainder | None = None,
    ) -> Remainder:
        """Open a response; `settings` are the session's. It may go on with another."""
        config = order.config
        self._responses += 1
        response = Response(
            self._responses,
            outbox=self._outbox,
            conversation=self._conversation,
            answers=answers,
            in_history=order.in_history,
            spoken=config.spoken,
            voice=config.audio.output.voice,
            max_output_tokens=config.max_output_tokens,
            metadata=metadata,
            goes_on=rest_of is not None,
            wire=config.output_format,
            binary=self._binary,
        )
        self.active = response
        if order.in_history and config.spoken:
            self._playing = response
            self.loudspeaker.plays(response)
        self._opens(response)
        response.open()
        if rest_of is None:
            self.kept.forget()
            self._telling = Remainder(response, order, settings, self._tasks.create_task)
        else:
            self._telling = rest_of.resumed(response)
        return self._telling

    @property
    def at_rest(self) -> bool:
        """No response is made, and the client has played what it was sent."""
        if self.active:
            return False
        playing = self._playing if self._manners.pacing else None
        return playing is None or playing.playout.ahead_s(asyncio.get_running_loop().time()) <= 0

    def played(self, item_id: str) -> None:
        """The client said how far it played this item: that is better than the model of it."""
        playing = self._playing
        if playing and playing.item.id == item_id and playing is not self.active:
            self._playing = None

    @property
    def audible(self) -> bool:
        """A response of the conversation is being made or, by the model of playback, played."""
        if self.active is not None:
            return self.active.in_history
        now_s, playing = asyncio.get_running_loop().time(), self._playing
        return playing is not None and playing.playout.ahead_s(now_s) > 0

    def interrupt(self) -> Response | None:
        """The caller speaks: the response is stopped, unless it is an aside; the one that was.

        A response that is whole may still be playing; then only its item is cut to what was heard.
        """
        now_s = asyncio.get_running_loop().time()
        playing, paced = self._playing, self._manners.pacing is not None
        if playing and playing is not self.active:
            self._playing = None
            if paced and playing.playout.ahead_s(now_s) > 0:
                self._hush(playing, now_s)
                self._keep(playing)
        aside = self.active and not self.active.in_history
        return None if aside else self.stop("turn_detected")

    def _keep(self, response: Response) -> None:
        """What is left of it may be said later."""
        telling = self._telling
        if telling and telling.response is response and response.speaks:
            self.kept.keep(telling)

    def resume(self, config: SessionConfig) -> bool:
        """Say what is left of an interrupted reply, if that is wanted now; whether it was begun."""
        if (kept := self.kept.take(config)) is None:
            return False
        self.hold(None)
        self._metrics.count(f"replies.resumed.{kept.verdict}")
        answers = kept.response.answers and kept.response.unheard
        remainder = self._begin(kept.order, config, answers=answers, rest_of=kept)
        self._replying = self._tasks.create_task(self._reply(remainder))
        return True

    # --- from the first word to the last --------------------------------------------------------

    def stop(self, reason: str) -> Response | None:
        """Stop the response at once; the one that was stopped."""
        active, self.active = self.active, None
        self.hold(None)
        if active is None:
            return None
        if self._playing is active:
            self._playing = None
        paced = self._manners.pacing is not None
        self._hush(active, asyncio.get_running_loop().time() if paced else None)
        active.close("cancelled", {"reason": reason})
        self._metrics.count("replies.interrupted")
        if reason == "turn_detected":
            self._keep(active)
        if self._telling and not self.kept.holds(self._telling):
            self._telling.close()
        if self._replying:
            self._replying.cancel()
        return active

    def _hush(self, response: Response, now_s: float | None) -> None:
        """Stop its sound; what waited to be sent is counted."""
        before_s = self._outbox.dropped_s
        response.hush(now_s)
        if response.in_history and response.speaks:
            self._engines.voice.hush(self._owner)
        dropped_s = self._outbox.dropped_s - before_s
        self._metrics.count("audio.unsent_ms", round(dropped_s * 1e3))

    async def _reply(self, remainder: Remainder) -> None:
        """One response to its end; always closes it."""
        response, order = remainder.response, remainder.order
        RESPONSE.set(response.id)
        try:
            await self._heard_all(order.attends)
            if self._preparing:
                self._preparing.cancel()
            cut = await self._say(remainder)
            if cut and (response.calling or order.config.max_output_tokens != "inf"):
                response.close("incomplete", {"reason": "max_output_tokens"})
            else:
                response.close("completed")
        except StageError as error:
            self._metrics.count(f"replies.failed.{error.stage}")
            self._metrics.failed(error)
            log.warning("session %s: reply failed in %s: %s", self._owner, error.stage, error)
            if not response.done:
                self._outbox.put(server_events.failure_event(error))
            body = {"type": "server_error", "code": error.code, "message": str(error)}
            response.close("failed", {"error": body})
        except OutboxFull:
            raise
        except Exception:
            self._metrics.count("replies.failed.bug")
            self._metrics.count("errors.server:internal_error")
            log.exception("session %s: reply failed", self._owner)
            body = {"type": "server_error", "code": "internal_error", "message": "internal error"}
            response.close("failed", {"error": body})
        if self.active is response:
            remainder.close()
            self.active = None
            self._finished(response)

    async def _say(self, remainder: Remainder) -> bool:
        """Make the reply; where it cannot be begun, say the sentence that is kept for that.

        Not where a program waits for the answer instead of the caller: it must know of the failure.
        """
        response, order = remainder.response, remainder.order
        pacing = self._manners.pacing if response.in_history else None
        manner = self._asking.manner(order)
        draft, self._draft = self._draft, None
        if draft:
            remainder.answers_with(draft)
        if response.item.goes_on:
            text = remainder.deltas()
        elif order.saying:
            text = remainder.text(_fixed(order.saying))
        else:
            text = remainder.text(self._written(response, order, draft, manner))
        begun = draft.sound if draft and draft.taken else None  # of another answer it is closed
        speech = Speech(manner, pacing, begun, response.making.speak) if manner else None
        make = partial(
            make_reply, response, engines=self._engines, speech=speech, owner=self._owner
        )
        try:
            return await make(text, unsaid=remainder.unsaid)
        except ReplyError as error:
            needed = order.in_history and not (order.tools and order.tools.required)
            if response.begun or not (needed and self._manners.fallback):
                raise
            self._metrics.count("replies.fallback")
            log.warning("session %s: the fallback is said: %s", self._owner, error)
            return await make(remainder.text(_fixed(self._manners.fallback)))

    def _written(
        self, response: Response, order: Order, draft: Draft | None, manner: Line | None
    ) -> AsyncGenerator[Delta, None]:
        """What the language model writes, or has written where a draft asked it the same."""
        question = self._asking.question(order, report=True)
        response.count_prompt(question.prompt)
        written = draft.text(question, manner) if draft else None
        if draft and written:
            response.making = draft.making
            return written
        if draft:
            draft.drop()  # it would keep the model from this one
        asked = self._engines.replier.reply(
            question.prompt,
            max_tokens=question.max_tokens,
            owner=self._owner,
            tools=question.tools,
        )
        return timed(asked, response.making.reply)


async def _fixed(text: str) -> AsyncGenerator[Delta, None]:
    """A sentence of ours, as a replier would write it."""
    yield Delta(text)
