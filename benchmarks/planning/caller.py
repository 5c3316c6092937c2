"""One conversation: say something, be answered, listen, think, again; or speak over the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import simpy

from benchmarks.arrivals import endless
from benchmarks.planning.answer import PREFIX_S, Answer, Stages
from benchmarks.planning.habits import PAUSE_S, Clip
from benchmarks.planning.job import Job
from benchmarks.planning.pause import Pause
from realtime.audio import EAR_RATE_HZ
from realtime.batching import PARTIAL
from realtime.engines.whisper import PARTIAL_TAIL_S, PARTIAL_WINDOWS
from realtime.partials import GIVEN_UP_S, STEP_SAMPLES
from realtime.speculation import DRAFTS_A_TURN
from realtime.turns import TurnSettings

CONFIRMED_S = TurnSettings().min_speech_ms / 1e3
STEP_S = STEP_SAMPLES / EAR_RATE_HZ

SLOWEST_S = 60.0
"""An answer that has not begun by then is given up."""


@dataclass
class Turn:
    """One that was waited for to the first sound, in seconds from the caller's silence on."""

    ended_s: float
    """When he fell silent, by the clock of the simulation."""
    answered: bool
    decided_s: float
    words_s: float
    text_s: float
    waited_s: float
    utterances: int
    drafted: bool
    dry_s: float | None = None
    """Of the reply that followed, silence in it; None: it is not over."""


@dataclass
class Counts:
    """What all callers share."""

    turns: list[Turn] = field(default_factory=list)
    drafts: int = 0
    hits: int = 0
    partials: int = 0
    interrupted: int = 0


class Caller:
    """`talk` is its life, until `over` says so."""

    def __init__(
        self, stages: Stages, counts: Counts, random: Random, over: Callable[[], bool]
    ) -> None:
        self._stages, self._counts, self._random, self._over = stages, counts, random, over
        self._env, self._habits = stages.env, stages.habits
        self._answer: Answer | None = None
        """The reply that sounds, or is being made."""
        self._asked: Turn | None = None
        """What that reply answers; None: half a turn, cut off in a pause."""
        self._turn_s = 0.0
        """Voice and pauses of the turn so far."""
        self._left = self._utterances = 0
        """Drafts of the turn that may ask for a reply; its utterances so far."""
        self._partial: Job | None = None

    def talk(self) -> simpy.events.ProcessGenerator:
        """One turn after the other."""
        clips = endless(list(self._habits.clips), self._random)
        replies = endless(list(self._habits.clips), self._random)
        while not self._over():
            clip = next(clips)
            reply = clip if self._habits.replies.kind == "echo" else next(replies)
            yield from self._say(clip, reply)
            yield from self._listen(reply)
        self._interrupt()

    # --- the caller speaks -----------------------------------------------------------------------

    def _say(self, clip: Clip, reply: Clip) -> simpy.events.ProcessGenerator:
        """A clip to its end, and the wait for its answer; a pause may end the turn too soon."""
        yield self._env.timeout(clip.lead_s)
        self._utterances, spoken_s = 0, 0.0
        self._begin()
        *stretches, (voice_s, _) = clip.stretches
        for said_s, pause_s in stretches:
            yield from self._speak(said_s, spoken_s)
            spoken_s = yield from self._pause(pause_s, reply)
        yield from self._speak(voice_s, spoken_s)
        yield from self._end(reply)

    def _begin(self) -> None:
        """A turn begins."""
        self._turn_s, self._left = 0.0, DRAFTS_A_TURN if self._habits.speculates else 0
        self._utterances += 1

    def _speak(self, voice_s: float, spoken_s: float) -> simpy.events.ProcessGenerator:
        """Voice, of which some was heard already. Words are asked for as it goes, and a reply that
        still sounds is interrupted."""
        self._turn_s += min(spoken_s, voice_s)
        left_s = voice_s - spoken_s
        self._stages.ear.speaking += 1
        while left_s > 0:
            step_s = min(left_s, CONFIRMED_S if self._answer else STEP_S)
            yield self._env.timeout(step_s)
            left_s -= step_s
            self._turn_s += step_s
            self._interrupt()
            if self._habits.partials and left_s > 0:
                self._ask_partial()
        self._stages.ear.speaking -= 1

    def _interrupt(self) -> None:
        answer, self._answer = self._answer, None
        if answer:
            self._counts.interrupted += 1
            answer.stop()
            if self._asked:
                self._asked.dry_s = answer.dry_s

    def _ask_partial(self) -> None:
        """The words so far, if the recogniser has time to spare and no question is open."""
        if self._partial or not self._stages.hearing.spare:
            return
        windows, audio_s = self._stages.windows, PREFIX_S + self._turn_s
        short = audio_s + PARTIAL_TAIL_S <= PARTIAL_WINDOWS[0]
        window_s = PARTIAL_WINDOWS[0] if short else windows.first(audio_s)
        audio_s = min(audio_s, windows.longest_s)
        job = Job(self, audio_s, window_s, lambda fate: None, rank=PARTIAL, key=window_s)
        self._partial = job
        self._counts.partials += 1

        def forget(what: object) -> None:
            if self._partial is job:
                self._take_back()

        def ended(fate: str) -> None:
            if self._partial is job:
                self._partial = None

        job.over = ended
        given_up = self._env.timeout(GIVEN_UP_S)
        given_up.callbacks.append(forget)  # type: ignore[union-attr]
        self._stages.hearing.ask(job)

    def _take_back(self) -> None:
        job, self._partial = self._partial, None
        if job:
            self._stages.hearing.withdraw(job)

    # --- the caller is silent --------------------------------------------------------------------

    def _pause(self, pause_s: float, reply: Clip) -> simpy.events.ProcessGenerator:
        """A pause after which he goes on; gives how long he has done so when it is noticed."""
        silent_s = self._env.now
        if pause_s < PAUSE_S:
            yield self._env.timeout(pause_s)
            self._turn_s += pause_s
            return 0.0
        pause = yield from self._watched(silent_s, pause_s, reply)
        if pause.over:
            self._interrupt()
            self._answer, self._asked = self._answer_to(pause, reply), None
            yield from self._until(silent_s + pause_s)
            self._begin()
        else:
            self._left -= bool(pause.draft and pause.draft.asked_for_reply)
            self._turn_s += pause_s
        return self._env.now - silent_s - pause_s

    def _end(self, reply: Clip) -> simpy.events.ProcessGenerator:
        """He is done, and waits for the first sound of the answer."""
        silent_s = self._env.now
        pause = yield from self._watched(silent_s, None, reply)
        decided_s = self._env.now
        self._interrupt()
        self._answer = answer = self._answer_to(pause, reply)
        yield self._env.any_of([answer.sound, self._env.timeout(SLOWEST_S)])
        marks = answer.marks
        since = [max(decided_s, marks.get(each, decided_s)) for each in ("words", "text")]
        self._asked = Turn(
            silent_s,
            bool(answer.sound.triggered and answer.sound.value),
            decided_s - silent_s,
            *(at_s - silent_s for at_s in since),
            waited_s=self._env.now - silent_s + self._habits.network_s + self._habits.onset_s,
            utterances=self._utterances,
            drafted=pause.draft is not None,
        )
        self._counts.turns.append(self._asked)

    def _watched(
        self, silent_s: float, length_s: float | None, reply: Clip
    ) -> simpy.events.ProcessGenerator:
        """A pause, when it is over one way or the other."""
        late_s = self._habits.late_s(self._random) + self._stages.ear.lag_s
        pause = Pause(
            self._stages,
            self,
            self._random,
            ear_s=silent_s + late_s,
            length_s=length_s,
            voiced_s=self._turn_s,
            reply=reply,
            replies=self._left > 0,
        )
        yield from pause.watch()
        self._counts.drafts += pause.begun
        if pause.over:
            self._take_back()
        return pause

    def _answer_to(self, pause: Pause, reply: Clip) -> Answer:
        """The draft, or one that is begun now, as after a draft that failed."""
        if pause.draft is None or pause.draft.failed:
            return Answer(self._stages, self, self._turn_s, reply, draft=False)
        self._counts.hits += 1
        pause.draft.release()
        return pause.draft

    # --- the caller listens ----------------------------------------------------------------------

    def _listen(self, reply: Clip) -> simpy.events.ProcessGenerator:
        """To the end, or until he has enough of it and speaks over it; then think."""
        answer, turn = self._answer, self._asked
        if answer and turn and turn.answered:
            if self._random.random() < self._habits.barge_in:
                length_s = sum(reply.pieces) * self._stages.s_per_char
                yield self._env.timeout(self._random.random() * length_s)
                return  # `_speak` stops it
            yield answer.whole
            yield from self._until((answer.heard_until_s or 0.0) + self._habits.network_s)
            turn.dry_s = answer.dry_s
        elif answer:
            answer.stop()
        self._answer = None
        yield self._env.timeout(self._habits.think_s(self._random))

    def _until(self, at_s: float) -> simpy.events.ProcessGenerator:
        yield self._env.timeout(max(0.0, at_s - self._env.now))
