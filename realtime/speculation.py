"""When a session begins a reply before the turn is over, and what becomes of it.

A pause within a turn is a guess that the turn is over. If the engines have nothing better to do,
a `Draft` is begun in it; otherwise it is looked again with the audio that comes, until the pause is
over one way or the other. Speech that goes on ends the draft. Of those for which a reply was asked
a turn has `DRAFTS_A_TURN` at most: so much is what a hesitant speaker can cost. Words that are only
looked for ahead have their share of the recogniser's time.

A session's `/status` counts `speculation.begun`, `.hit` with how far the draft had come, `.missed`,
`.busy` (pauses without a draft because the recogniser had work) and the milliseconds wasted.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime.audio import Int16
from realtime.draft import Draft
from realtime.ear import TAIL_SAMPLES
from realtime.metrics import Metrics
from realtime.turns import SpeechStopped, TurnPaused

DRAFTS_A_TURN = 3

Read = Callable[[int, int], Int16]
Begin = Callable[[Int16, int, bool], Draft]


class Speculation:
    """`start`, `pause`, `resume` and `stop` as the turn does; `hear` with every bit of audio.

    `free` tells whether the recogniser has time; `begin` makes a draft of the turn's audio so far,
    given the position after which nothing was said, and whether it may ask for a reply: `drafts` of
    a turn may.
    """

    def __init__(
        self,
        *,
        free: Callable[[], bool],
        begin: Begin,
        metrics: Metrics,
        drafts: int = DRAFTS_A_TURN,
    ) -> None:
        self._free, self._begin, self._metrics = free, begin, metrics
        self._drafts = drafts
        self._turn_start = 0
        self._left = 0
        self._looks = False
        self._pause: TurnPaused | None = None
        """A pause that has no draft yet."""
        self._draft: Draft | None = None

    def start(self, turn_start: int, *, words: bool = False) -> None:
        """A turn begins at an ear position. `words`: those of its pauses are looked for where no
        reply may be asked for, too."""
        self.drop()
        self._turn_start, self._left = turn_start, self._drafts
        self._looks = words or self._drafts > 0

    def pause(self, pause: TurnPaused) -> None:
        """The turn pauses."""
        self.drop()
        if self._looks:
            self._pause = pause
            self._metrics.count("speculation.busy", not self._free())

    def hear(self, position: int, read: Read) -> None:
        """Audio was heard up to `position`; `read` gives that of the turn."""
        pause = self._pause
        if pause is None or not self._free():
            return
        self._pause = None
        audio = read(self._turn_start, min(position, pause.last_speech + TAIL_SAMPLES))
        self._draft = self._begin(audio, pause.last_speech, self._left > 0)
        self._metrics.count("speculation.begun")

    def drop(self) -> None:
        """The turn goes on, or its end is not the one that was guessed."""
        self._pause = None
        if draft := self._draft:
            self._draft = None
            self._left -= draft.asked_for_reply
            self._metrics.count("speculation.missed")
            draft.drop()

    def stop(self, end: SpeechStopped) -> Draft | None:
        """The turn is over: the draft that was begun in its last pause, if there is one."""
        draft = self._draft
        if draft is None or end.split or draft.last_speech != end.last_speech:
            self.drop()
            return None
        self._draft = None
        self._metrics.count("speculation.hit")
        self._metrics.count(f"speculation.hit.{draft.reached}")
        draft.finish()
        return draft
