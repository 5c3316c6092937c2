"""The assistant's side of one session: at most one response at a time, from first word to last.

respond     opens a response; it waits for the words of what was committed before
say         language model -> pieces -> voice -> outbox
fall back   a reply that could not be begun is replaced by a sentence
stop        the last events of the response go out now, and nothing of it follows
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from realtime import client_events
from realtime.conversation import Conversation
from realtime.engines import Delta, Engines, Line
from realtime.errors import ReplyError, StageError
from realtime.metrics import Metrics
from realtime.order import Order, order_for
from realtime.outbox import Outbox, OutboxFull
from realtime.playout import Pacing
from realtime.prompt import Message
from realtime.reply import Speech, make_reply
from realtime.response import Response
from realtime.session_config import SessionConfig
from realtime.tools import CALL_TOKENS
from realtime.voice_choice import OPENAI_VOICES, chosen_voice

log = logging.getLogger("banter.speaker")

DEFAULT_REPLY_TOKENS = 512
LEAST_PROMPT = 4
"""Beside functions, instructions and history have at least one in so many of the model's tokens:
their size is an estimate on the safe side, and a call without its question is of no use."""


@dataclass(frozen=True)
class Manners:
    """How every session of a server behaves beyond what its client sets."""

    pacing: Pacing | None
    """None sends reply audio as it is made, and takes all that was sent as heard."""
    greeting: str = ""
    """Said as soon as a client connects."""
    fallback: str = ""
    """Said instead of a reply that could not be begun."""


class Speaker:
    """Owned by a session, whose task group runs its tasks.

    `heard_all` waits for the words of everything committed, and is told whether the response
    answers them; `finished` is called when a response ends.
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
    ) -> None:
        self.active: Response | None = None
        self._owner, self._engines, self._outbox = owner, engines, outbox
        self._conversation, self._metrics, self._manners = conversation, metrics, manners
        self._binary, self._tasks = binary, tasks
        self._heard_all, self._finished = heard_all, finished
        self._playing: Response | None = None
        self._replying: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._responses = 0

    def close(self) -> None:
        """Cancel what runs; the session's task group awaits it."""
        for task in (self._replying, self._preparing):
            if task:
                task.cancel()

    def prepare(self, config: SessionConfig) -> None:
        """While the caller speaks, the language model reads the history."""
        if self.active or (self._preparing and not self._preparing.done()):
            return
        budget = self._engines.replier.prompt_tokens
        prompt = self._conversation.prompt(config.instructions, budget_tokens=budget)
        self._preparing = self._tasks.create_task(self._prepare(prompt))

    async def _prepare(self, prompt: list[Message]) -> None:
        """A failure here is no loss: the reply itself will read the history."""
        try:
            await self._engines.replier.prepare(prompt, owner=self._owner)
        except Exception:
            self._metrics.count("replies.prepare_failed")
            log.debug("session %s: nothing prepared", self._owner, exc_info=True)

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
            metadata=body.metadata,
            wire=config.output_format,
            binary=self._binary,
        )
        self.active = response
        if order.in_history and config.spoken:
            self._playing = response
        response.open()
        self._replying = self._tasks.create_task(self._reply(response, order))

    def played(self, item_id: str) -> None:
        """The client said how far it played this item: that is better than the model of it."""
        playing = self._playing
        if playing and playing.item.id == item_id and playing is not self.active:
            self._playing = None

    def interrupt(self) -> Response | None:
        """The caller speaks: the response is stopped, unless it is an aside; the one that was.

        A response that is whole may still be playing; then only its item is cut to what was heard.
        """
        now_s = asyncio.get_running_loop().time()
        playing, paced = self._playing, self._manners.pacing is not None
        if playing and playing is not self.active:
            self._playing = None
            if paced and playing.playout.ahead_s(now_s) > 0:
                playing.hush(now_s)
        aside = self.active and not self.active.in_history
        return None if aside else self.stop("turn_detected")

    def stop(self, reason: str) -> Response | None:
        """Stop the response at once; the one that was stopped."""
        active, self.active = self.active, None
        if active is None:
            return None
        if self._playing is active:
            self._playing = None
        paced = self._manners.pacing is not None
        active.hush(asyncio.get_running_loop().time() if paced else None)
        active.close("cancelled", {"reason": reason})
        self._metrics.count("replies.interrupted")
        if self._replying:
            self._replying.cancel()
        return active

    async def _reply(self, response: Response, order: Order) -> None:
        """One response to its end; always closes it."""
        try:
            await self._heard_all(order.attends)
            if self._preparing:
                self._preparing.cancel()
            cut = await self._say(response, order)
            if cut and (response.calling or order.config.max_output_tokens != "inf"):
                response.close("incomplete", {"reason": "max_output_tokens"})
            else:
                response.close("completed")
        except StageError as error:
            self._metrics.count(f"replies.failed.{error.stage}")
            log.warning("session %s: reply failed in %s: %s", self._owner, error.stage, error)
            body = {"type": "server_error", "code": error.code, "message": str(error)}
            response.close("failed", {"error": body})
        except OutboxFull:
            raise
        except Exception:
            self._metrics.count("replies.failed.bug")
            log.exception("session %s: reply failed", self._owner)
            body = {"type": "server_error", "code": "internal_error", "message": "internal error"}
            response.close("failed", {"error": body})
        if self.active is response:
            self.active = None
            self._finished(response)

    async def _say(self, response: Response, order: Order) -> bool:
        """Make the reply; where it cannot be begun, say the sentence that is kept for that.

        Not where a program waits for the answer instead of the caller: it must know of the failure.
        """
        pacing = self._manners.pacing if response.in_history else None
        manner = self._manner(order.config, order.talk)
        speech = Speech(manner, pacing) if order.config.spoken else None
        text = _fixed(order.saying) if order.saying else self._written(response, order)
        try:
            return await make_reply(response, text, self._engines, speech=speech, owner=self._owner)
        except ReplyError as error:
            needed = order.in_history and not (order.tools and order.tools.required)
            if response.begun or not (needed and self._manners.fallback):
                raise
            self._metrics.count("replies.fallback")
            log.warning("session %s: the fallback is said: %s", self._owner, error)
            text = _fixed(self._manners.fallback)
            return await make_reply(response, text, self._engines, speech=speech, owner=self._owner)

    def _manner(self, config: SessionConfig, talk: Conversation) -> Line:
        """How the reply is spoken: as the client set, in the language that the caller speaks."""
        output, heard = config.audio.output, config.audio.input.transcription
        language = (heard and heard.language) or talk.language
        names = self._engines.voice.names()
        if output.voice not in names and output.voice not in OPENAI_VOICES:
            self._metrics.count("replies.voice_gone")
            log.warning("session %s: the voice %r is gone", self._owner, output.voice)
        return Line(
            "",
            voice=chosen_voice(output.voice, names),
            speed=output.speed,
            language=language.lower().partition("-")[0] if language else None,
            exaggeration=output.exaggeration,
            temperature=output.temperature,
        )

    def _written(self, response: Response, order: Order) -> AsyncGenerator[Delta, None]:
        """What the language model writes, within what it can read and should say."""
        replier, budget = self._engines.replier, self._engines.replier.prompt_tokens
        limit, tokens, tools = order.config.max_output_tokens, DEFAULT_REPLY_TOKENS, order.tools
        if tools and not replier.calls_functions:
            self._metrics.count("replies.tools_ignored")
            tools = None
        if tools:
            budget -= tools.tokens + CALL_TOKENS
            tokens += CALL_TOKENS
        if budget < (least := replier.prompt_tokens // LEAST_PROMPT):
            self._metrics.count("replies.tools_too_large")
            log.warning("session %s: the functions leave no room for the history", self._owner)
            budget = least
        prompt = order.talk.prompt(
            order.config.instructions, budget_tokens=budget, lasting=order.lasting
        )
        response.count_prompt(prompt)
        tokens = limit if isinstance(limit, int) else tokens
        return replier.reply(prompt, max_tokens=tokens, owner=self._owner, tools=tools)


async def _fixed(text: str) -> AsyncGenerator[Delta, None]:
    """A sentence of ours, as a replier would write it."""
    yield Delta(text)
