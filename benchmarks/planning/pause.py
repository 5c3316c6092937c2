"""One pause of a caller: a draft may begin in it, models judge it, it ends the turn or does not.

The pause is told to the session when it is 60 ms old. Then a draft begins as soon as the recogniser
is free; at 120 ms the end-of-turn model is asked; and the turn is over when the pause has lasted as
long as what is known of it asks for. Speech that goes on before that drops the draft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import simpy

from benchmarks.planning.answer import Answer, Stages
from benchmarks.planning.habits import PAUSE_S, RESUME_S, Clip
from benchmarks.planning.job import MADE
from realtime.audio import EAR_RATE_HZ
from realtime.ear import JUDGED_AFTER_SAMPLES
from realtime.endpointing import Verdict

JUDGED_AFTER_S = JUDGED_AFTER_SAMPLES / EAR_RATE_HZ
LOOKS_S = 0.02
"""A pause without a draft is looked at again with every message of audio."""

NEVER_S = float("inf")


class Pause:
    """`watch` it; then `over` says whether it ended the turn, and `draft` what was begun in it.

    `ear_s` is when the ear noticed the silence; speech goes on `length_s` later, or never.
    """

    def __init__(
        self,
        stages: Stages,
        owner: object,
        random: Random,
        *,
        ear_s: float,
        length_s: float | None,
        voiced_s: float,
        reply: Clip,
        replies: bool,
    ) -> None:
        self.draft: Answer | None = None
        self.begun = 0
        """Drafts."""
        self.over = False
        self._stages, self._owner, self._random = stages, owner, random
        self._voiced_s, self._reply, self._replies = voiced_s, reply, replies
        self._ear_s, self._end = ear_s, length_s is None
        self._resumes_s = NEVER_S if length_s is None else ear_s + length_s + RESUME_S
        habits = stages.habits
        self._looks_s = ear_s + PAUSE_S if habits.speculates else NEVER_S
        self._asks_s = ear_s + JUDGED_AFTER_S if habits.asks else NEVER_S
        self._verdict = Verdict()
        self._sound: simpy.Event | None = None
        self._take_back: Callable[[], None] = lambda: None
        """The question to the end-of-turn model."""

    @property
    def _over_s(self) -> float:
        return self._ear_s + self._stages.habits.limit_s(self._verdict)

    def watch(self) -> simpy.events.ProcessGenerator:
        """Until it is over one way or the other."""
        yield from self._watch()
        if self._sound is not None:
            self._take_back()

    def _watch(self) -> simpy.events.ProcessGenerator:
        env = self._stages.env
        while True:
            wakes_s = min(self._over_s, self._resumes_s, self._looks_s, self._asks_s)
            news = [self._sound] if self._sound is not None else []
            if wakes_s > env.now:
                yield env.any_of([env.timeout(wakes_s - env.now), *news])
            self._take_verdict()
            if env.now >= self._resumes_s:
                if self.draft:
                    self.draft.stop()
                return
            if env.now >= self._over_s:
                self.over = True
                return
            if env.now >= self._looks_s:
                self._look()
            if env.now >= self._asks_s:
                self._asks_s, self._sound = NEVER_S, env.event()
                self._take_back = self._stages.judged(self._owner, self._sound.succeed)

    def _take_verdict(self) -> None:
        if self._sound is not None and self._sound.triggered:
            if self._sound.value == MADE:
                heard = self._stages.habits.judges.sound(self._end, self._random)
                self._verdict = replace(self._verdict, sound=heard)
            self._sound = None

    def _look(self) -> None:
        """Begin a draft if the recogniser is free."""
        if not self._stages.hearing.free:
            self._looks_s = self._stages.env.now + LOOKS_S
            return
        self._looks_s = NEVER_S
        self.begun += 1
        self.draft = Answer(
            self._stages,
            self._owner,
            self._voiced_s,
            self._reply,
            draft=True,
            replies=self._replies,
        )
