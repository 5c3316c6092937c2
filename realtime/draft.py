"""A reply that is begun before it is sure that the caller is done.

In a pause that may be the end of the turn the words so far are recognised, the language model is
asked, and the first piece of what it writes is spoken: into buffers, so that nothing of it can
reach the client, and the conversation knows nothing of it. When the turn is over, `finish` makes
the words the turn's own, and the response that follows reads the buffers from their beginning, if
it asks the same question and speaks in the same manner. When speech goes on, `drop` ends it all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from realtime.audio import Int16
from realtime.batching import FINAL, SPECULATION
from realtime.engines import Delta, EndReader, Engines, Line, Transcript, Utterance
from realtime.errors import StageError
from realtime.first_piece import FirstPiece
from realtime.metrics import Metrics
from realtime.prompt import Message
from realtime.script import Own, Script
from realtime.stopwatch import timed
from realtime.stretch import Making
from realtime.tools import Toolbox

log = logging.getLogger("banter.draft")

DELTAS_AHEAD = 256
"""Of a reply that is perhaps never said, beyond its first piece; then the model waits."""


@dataclass(frozen=True)
class Question:
    """What the language model is asked. Two that are equal have the same answer."""

    prompt: tuple[Message, ...]
    max_tokens: int
    tools: Toolbox | None


@dataclass(frozen=True)
class Plan:
    """What the reply to some words would be made of; without a `manner` it is not spoken."""

    question: Question
    manner: Line | None


class Draft:
    """Made in a pause; it works by itself until `finish` or `drop`.

    `plan` says what would be replied to a transcript, or None where nothing may be; `told` gets the
    words while the turn is not over, and `judged` the probability that they end there, or None if
    it will not be known. Without `replies` it stops there. `own` makes its tasks, and whoever owns
    them awaits them.
    """

    def __init__(
        self,
        engines: Engines,
        asked: Utterance,
        *,
        last_speech: int,
        owner: Hashable,
        own: Own,
        metrics: Metrics,
        plan: Callable[[Transcript], Plan | None],
        replies: bool = True,
        told: Callable[[str], None],
        judged: Callable[[float | None], None],
    ) -> None:
        self.last_speech = last_speech
        """The ear position after which nothing was said."""
        self.asked = asked
        self._engines, self._owner, self._own, self._metrics = engines, owner, own, metrics
        self._plan, self._told, self._judged = plan, told, judged
        self._replies = replies
        self._heard: Transcript | None = None
        self._planned: Plan | None = None
        self._script: Script[Delta] | None = None
        self._first: FirstPiece | None = None
        self.taken = False
        """A response says what it wrote."""
        self._finished = self._dropped = False
        self.making = Making()
        self.begun_s = asyncio.get_running_loop().time()
        """By the loop's clock."""
        self._begun = time.perf_counter()
        self._hearing_s: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._hearing = own(self._hear())

    @property
    def asked_for_reply(self) -> bool:
        """Whether a reply is being written; to read the words is not counted."""
        return self._script is not None

    @property
    def reached(self) -> str:
        """How far it has come: `nothing`, `transcript`, `text` or `sound`."""
        if self._first and self._first.begun:
            return "sound"
        if self._script and self._script.begun:
            return "text"
        return "transcript" if self._heard else "nothing"

    def finish(self) -> None:
        """The turn is over as it was guessed: its words, if they are still being looked for, are
        looked for as any turn's. What was not begun by now is left to the response."""
        self._finished = True
        if self._asking and self._script is None:
            self._asking.cancel()
        self._engines.transcriber.hurry(self._owner)
        self._engines.voice.hurry(self._owner)

    async def words(self) -> Transcript | None:
        """What was said, once it is known; None where the recogniser failed."""
        try:
            await asyncio.wait({self._hearing})
        except asyncio.CancelledError:
            self._hearing.cancel()  # nobody waits for them any more
            raise
        return self._heard

    def text(self, question: Question, manner: Line | None) -> AsyncGenerator[Delta, None] | None:
        """The reply's text from its beginning, if it is the answer to this question. Its sound goes
        on only if it is to be spoken in this manner."""
        plan, script = self._planned, self._script
        if script is None or plan is None or plan.question != question or script.failed:
            return None
        self.taken = True
        if self._first and manner != plan.manner:
            self._first.close()
        return script.read()

    def sound(self, line: Line) -> Script[Int16] | None:
        """The sound of the first line of the response that reads its text, if that was begun."""
        return self._first.take(line) if self._first else None

    def drop(self) -> None:
        """End what is not needed any more: all of it, or what of it no response took; once."""
        if self._dropped:
            return
        self._dropped = True
        if not self._finished:
            self._hearing.cancel()
        if self._asking:
            self._asking.cancel()
        for made in (self._script, self._first):
            if made:
                made.close()
        if not self.taken:
            self._metrics.count("speculation.unused", bool(self._finished and self._script))
        self._count_waste()

    def _count_waste(self) -> None:
        """How long the models worked for nothing, in milliseconds by stage."""
        spent_s = {"sound": self._first.wasted_s if self._first else 0.0}
        if not self.taken:
            spent_s["text"] = self._script.seconds if self._script else 0.0
        if not self._finished:
            heard_s = self._hearing_s
            spent_s["transcript"] = heard_s or self._age_ms / 1e3
        for stage, seconds in spent_s.items():
            self._metrics.count(f"speculation.wasted_ms.{stage}", round(seconds * 1e3))

    async def _hear(self) -> None:
        """The words; what follows from them begins in the same step, unless the turn is over: then
        it is the response's to begin."""
        rank = FINAL if self._finished else SPECULATION
        try:
            asked = replace(self.asked, rank=rank)
            heard = await self._engines.transcriber.transcribe(asked, owner=self._owner)
        except StageError as error:
            self._metrics.count("speculation.failed")
            log.info("%s: nothing was heard ahead: %s", self._owner, error)
            self._judged(None)
            return
        finally:
            self._hearing_s = self._age_ms / 1e3
        self._metrics.observe("speculation.transcript_ms", self._hearing_s * 1e3)
        self._heard = heard
        if heard.text and not self._finished and not self._dropped:
            self._told(heard.text)
            self._planned = plan = self._plan(heard)
            if plan:
                self._asking = self._own(self._ask(plan))
                return
        self._judged(None)

    async def _ask(self, plan: Plan) -> None:
        """Have the words read, by whether they may end here, and then the reply written."""
        asked = plan.question
        if reader := self._engines.reader:
            await self._read(reader, asked.prompt)
        if not self._replies:
            return
        stream = self._engines.replier.reply(
            asked.prompt, max_tokens=asked.max_tokens, owner=self._owner, tools=asked.tools
        )
        stream = timed(stream, self.making.reply)
        self._script = Script(stream, ahead=DELTAS_AHEAD, own=self._own)
        if plan.manner:
            self._first = FirstPiece(
                self._script,
                plan.manner,
                voice=self._engines.voice,
                owner=self._owner,
                own=self._own,
                rank=lambda: FINAL if self._finished else SPECULATION,
                stretch=self.making.speak,
                sounds=self._sounds,
                misguessed=lambda: self._metrics.count("speculation.misguessed"),
            )

    async def _read(self, reader: EndReader, prompt: Sequence[Message]) -> None:
        begun, ends = time.perf_counter(), None
        try:
            ends = await reader.ends(prompt, owner=self._owner)
        except StageError as error:
            log.info("%s: the words were not judged: %s", self._owner, error)
        except Exception:  # a reply can be made without it
            log.exception("%s: the words were not judged", self._owner)
        else:
            self._metrics.observe("speculation.read_ms", (time.perf_counter() - begun) * 1e3)
        finally:
            self._judged(ends)

    def _sounds(self, now_s: float) -> None:
        self._metrics.observe("speculation.sound_ms", (now_s - self.begun_s) * 1e3)

    @property
    def _age_ms(self) -> float:
        return (time.perf_counter() - self._begun) * 1e3
