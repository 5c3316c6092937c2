"""One caller's words while he still speaks: when to ask for them, and which of them are told.

Every `STEP_SAMPLES` of speech the turn so far goes to the recogniser once more, at a rank behind
all finals, if the recogniser has time to spare; what two hypotheses agree on is told. One question
at a time. A question that comes to nothing (a busy or failing recogniser, words that are doubtful)
costs nobody anything: the next one hears all of the turn again.

A turn that is longer than one window is cut where the final will be: the words before the cut are
asked for once, and from then on only what follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from realtime.agreement import Agreement
from realtime.audio import EAR_RATE_HZ, Int16
from realtime.batching import PARTIAL
from realtime.engines import Transcriber, Utterance
from realtime.errors import BanterError
from realtime.metrics import Metrics
from realtime.recognition import quiet_cut

STEP_SAMPLES = EAR_RATE_HZ // 4
"""New audio that makes another question worth it; `benchmarks/partials.py` compares steps."""

HOLDS = 1
"""The last word of a hypothesis is not believed; that costs 30 ms a word, and of a hundred words
that were shown six turned out to be others instead of seven."""

GIVEN_UP_S = 1.0
"""A question that is not answered by then is taken back: there are others to hear."""

Own = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass
class _Turn:
    """What is known of the turn in progress."""

    start: int
    asked: Utterance
    tell: Callable[[str], None]
    heard: Callable[[str], None]
    step: int
    agreement: Agreement = field(default_factory=lambda: Agreement(HOLDS))
    asked_to: int = 0
    cut: int = 0
    """Samples of the turn whose words are certain enough not to be asked for again."""
    head: str = ""
    """These words."""


class Partials:
    """`begin` with a turn, `hear` as it grows, `finish` when it ends. All on the event loop."""

    def __init__(
        self, transcriber: Transcriber, *, owner: Hashable, own: Own, metrics: Metrics
    ) -> None:
        self._transcriber, self._owner, self._own = transcriber, owner, own
        self._metrics = metrics
        self._turn: _Turn | None = None
        self._question: asyncio.Task[None] | None = None

    def begin(
        self,
        start: int,
        asked: Utterance,
        tell: Callable[[str], None],
        heard: Callable[[str], None] = lambda _: None,
        *,
        step: int = STEP_SAMPLES,
    ) -> None:
        """A turn starts at an ear position. `asked` holds language and prompt, without audio;
        `tell` is called with what is to be appended to the shown text, `heard` before that with
        each hypothesis of the whole turn; `step` samples of speech make another worth it."""
        self.finish()
        self._turn = _Turn(start, asked, tell, heard, step, asked_to=start)

    def hear(self, position: int, read: Callable[[int, int], Int16]) -> None:
        """The turn goes on and was heard up to `position`; `read` gives its audio."""
        turn = self._turn
        if turn is None or position - turn.asked_to < turn.step:
            return
        if self._question is not None or not self._transcriber.spare:
            return
        turn.asked_to = position
        audio = read(turn.start + turn.cut, position)
        self._question = self._own(self._ask(turn, audio))
        self._metrics.count("partials.asked")

    def add(self, text: str) -> None:
        """A hypothesis that somebody else asked for: a speculation's."""
        if self._turn is not None and text:
            self._heard(self._turn, text)

    def finish(self) -> Agreement:
        """The turn is over: nothing more is asked. Its shown words, for the final to complete."""
        turn, self._turn = self._turn, None
        question, self._question = self._question, None
        if question is not None and question is not asyncio.current_task():
            question.cancel()
        return turn.agreement if turn else Agreement()

    async def _ask(self, turn: _Turn, audio: Int16) -> None:
        try:
            longest = int(self._transcriber.reach.longest_s * EAR_RATE_HZ)
            cut = quiet_cut(audio, longest) if len(audio) > longest else None
            asked = replace(turn.asked, audio=audio[:cut], rank=PARTIAL)
            async with asyncio.timeout(GIVEN_UP_S):
                heard = await self._transcriber.transcribe(asked, owner=self._owner)
        except (BanterError, TimeoutError):
            self._metrics.count("partials.dropped")
        else:
            text = f"{turn.head} {heard.text}".strip()
            if cut is not None:
                turn.head, turn.cut = text, turn.cut + cut
            if turn is self._turn and heard.text:
                self._heard(turn, text)
        finally:
            if self._question is asyncio.current_task():
                self._question = None

    def _heard(self, turn: _Turn, text: str) -> None:
        turn.heard(text)
        if delta := turn.agreement.hear(text):
            self._metrics.count("partials.told")
            turn.tell(delta)
