"""What is looked for before a turn is over: its words, and the reply that they would get.

The words are told to a client that wants transcripts, and tell an echo from a caller where that is
in doubt. A reply is drafted in a pause that may be the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from realtime.agreement import Agreement
from realtime.audio import Int16
from realtime.doubt import Doubt
from realtime.draft import Draft, Plan
from realtime.engines import Engines, Transcript
from realtime.hearing import utterance_of
from realtime.metrics import Metrics
from realtime.partials import STEP_SAMPLES, Own, Partials
from realtime.reading_ahead import Prompt, ReadingAhead
from realtime.session_config import Transcription
from realtime.speculation import DRAFTS_A_TURN, Read, Speculation
from realtime.turns import SpeechStopped, TurnDetector, TurnPaused

READ_AHEAD_SAMPLES = 3 * STEP_SAMPLES
"""New audio that makes a hypothesis worth it which is only read ahead: the recogniser's time for
them is shared by all, and others show theirs or tell an echo by them."""


class Ahead:
    """`begin` with a turn, `hear`, `pause` and `drop_draft` as it goes on, `draft` and `words` when
    it ends; `drop` where it comes to nothing.

    `tell` gets what is to be appended to the words of the turn; `plan` says what would be replied
    to some words, or None; `prompt` what would be read for that; `reads` whether the words of a
    pause are judged, and `judge` is called when they were.
    """

    def __init__(
        self,
        engines: Engines,
        turns: TurnDetector,
        doubt: Doubt,
        *,
        owner: str,
        own: Own,
        metrics: Metrics,
        speculates: bool,
        tell: Callable[[str], None],
        plan: Callable[[Transcript], Plan | None],
        prompt: Prompt,
        reads: Callable[[], bool],
        judge: Callable[[], None],
    ) -> None:
        self.settings: Transcription | None = None
        """What the client wants of transcripts now."""
        self._engines, self._turns, self._doubt = engines, turns, doubt
        self._owner, self._own, self._metrics = owner, own, metrics
        self._tell, self._plan, self._reads = tell, plan, reads
        self._judge = judge
        self._tells = self._reads_ahead = False
        self._partials = Partials(engines.transcriber, owner=owner, own=own, metrics=metrics)
        self._reading = engines.reader and ReadingAhead(
            engines.reader, owner=owner, own=own, prompt=prompt, metrics=metrics
        )
        self._speculation = Speculation(
            free=lambda: engines.transcriber.free,
            begin=self._begin_draft,
            metrics=metrics,
            drafts=DRAFTS_A_TURN if speculates else 0,
        )

    def begin(self, start: int) -> None:
        """A turn begins at an ear position; whether it is one may be in doubt."""
        self._tells = self.settings is not None
        self._reads_ahead = self._reading is not None and self._reads()
        self._speculation.start(start, words=self._doubt.on)
        if self._tells or self._doubt.on or self._reads_ahead:
            asked = utterance_of(np.zeros(0, np.int16), self.settings)
            step = STEP_SAMPLES if self._tells or self._doubt.on else READ_AHEAD_SAMPLES
            self._partials.begin(start, asked, self._told, self._hypothesis, step=step)
        if self._reading:
            self._reading.begin()

    def hear(self, position: int, read: Read) -> None:
        """Audio was heard up to `position`; `read` gives that of the turn."""
        self._speculation.hear(position, read)
        if self._turns.voiced:
            self._partials.hear(position, read)

    def pause(self, pause: TurnPaused) -> None:
        """The turn may be over."""
        self._speculation.pause(pause)

    def drop_draft(self) -> None:
        """It was not, or somebody else says when it is."""
        self._speculation.drop()

    def believe(self) -> None:
        """The turn is a caller's, of which the client knows now."""
        if not self._tells:
            if not self._reads_ahead:
                self._partials.finish()
        elif self._doubt.withheld:
            self._tell(self._doubt.withheld)

    def draft(self, end: SpeechStopped) -> Draft | None:
        """The turn is over: what was begun in its last pause, if there is something."""
        return self._speculation.stop(end)

    def words(self) -> Agreement:
        """The turn is over: what was told of its words, for the final ones to complete."""
        shown = self._partials.finish()
        return shown if self._tells else Agreement()

    def drop(self) -> None:
        """Nothing of the turn is needed any more."""
        self._speculation.drop()
        self._partials.finish()

    def close(self) -> None:
        """The session ends."""
        self.drop()
        if self._reading:
            self._reading.close()

    def _hypothesis(self, text: str) -> None:
        """All that was said so far, as it was understood now."""
        self._doubt.hear(text)
        if self._reading and self._reads_ahead:
            self._reading.hear(text, speaking=self._turns.voiced)

    def _told(self, delta: str) -> None:
        if self._doubt.on:
            self._doubt.withheld += delta
        elif self._tells:
            self._tell(delta)

    def _begin_draft(self, audio: Int16, last_speech: int, replies: bool) -> Draft:
        """Take the turn to be over, as far as nobody can tell."""
        self._turns.decide(last_speech, reading=self._reads())
        return Draft(
            self._engines,
            utterance_of(audio, self.settings),
            last_speech=last_speech,
            owner=self._owner,
            own=self._own,
            metrics=self._metrics,
            plan=self._plan,
            replies=replies,
            told=partial(self._heard_all, last_speech),
            judged=partial(self._judge_words, last_speech),
        )

    def _heard_all(self, last_speech: int, heard: str) -> None:
        self._doubt.hear_all(last_speech, heard)
        self._partials.add(heard)

    def _judge_words(self, last_speech: int, ends: float | None) -> None:
        """What the words of a pause say; None where it will not be known."""
        self._turns.decide(last_speech, words=ends, reading=False)
        self._judge()
