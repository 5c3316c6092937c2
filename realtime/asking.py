"""What a reply is made of: the question to the language model, and the manner of its voice.

Both come from the order alone, so that a draft and the response that may take it ask the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from realtime import client_events
from realtime.conversation import Conversation
from realtime.draft import Plan, Question
from realtime.engines import Engines, Line, Transcript
from realtime.items import Item
from realtime.metrics import Metrics
from realtime.order import Order, order_for
from realtime.prompt import Message
from realtime.session_config import SessionConfig
from realtime.tools import CALL_TOKENS
from realtime.voice_choice import OPENAI_VOICES, chosen_voice

log = logging.getLogger("banter.asking")

DEFAULT_REPLY_TOKENS = 512
LEAST_PROMPT = 4
"""Beside functions, instructions and history have at least one in so many of the model's tokens:
their size is an estimate on the safe side, and a call without its question is of no use."""


class Asking:
    """For the replies of one session, by what its engines can do."""

    def __init__(self, engines: Engines, *, owner: str, metrics: Metrics) -> None:
        self._engines, self._owner, self._metrics = engines, owner, metrics

    def plan(self, conversation: Conversation, config: SessionConfig, heard: Transcript) -> Plan:
        """What the reply would be made of, if these were the caller's last words."""
        order = self._supposed(conversation, config, heard)
        return Plan(self.question(order), self.manner(order))

    def prompt(
        self, conversation: Conversation, config: SessionConfig, heard: Transcript
    ) -> Sequence[Message]:
        """What the model would read for that."""
        return self.question(self._supposed(conversation, config, heard)).prompt

    def _supposed(
        self, conversation: Conversation, config: SessionConfig, heard: Transcript
    ) -> Order:
        item = Item("", "user", "input_audio", heard.text, language=heard.language)
        voices = self._engines.voice.names()
        talk = conversation.supposing(item)
        return order_for(client_events.ResponseBody(), config, talk, voices=voices)

    def manner(self, order: Order) -> Line | None:
        """How the reply is spoken, if it is: as the client set, in the language that the caller
        speaks."""
        if not order.config.spoken:
            return None
        output, heard = order.config.audio.output, order.config.audio.input.transcription
        language = (heard and heard.language) or order.talk.language
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

    def question(self, order: Order, *, report: bool = False) -> Question:
        """What is asked, within what the model can read and should say; `report` what is left out
        for that."""
        replier, budget = self._engines.replier, self._engines.replier.prompt_tokens
        limit, tokens, tools = order.config.max_output_tokens, DEFAULT_REPLY_TOKENS, order.tools
        if tools and not replier.calls_functions:
            self._metrics.count("replies.tools_ignored", report)
            tools = None
        if tools:
            budget -= tools.tokens + CALL_TOKENS
            tokens += CALL_TOKENS
        if budget < (least := replier.prompt_tokens // LEAST_PROMPT):
            self._metrics.count("replies.tools_too_large", report)
            if report:
                log.warning("session %s: the functions leave no room for the history", self._owner)
            budget = least
        prompt = order.talk.prompt(
            order.config.instructions, budget_tokens=budget, lasting=order.lasting
        )
        tokens = limit if isinstance(limit, int) else tokens
        return Question(tuple(prompt), tokens, tools)
