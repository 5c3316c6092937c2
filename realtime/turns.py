"""Frames in, turn events out: when somebody starts to speak, pauses, and when the turn is over.

A short silence within a turn is a pause, and is told: work may begin on what was said so far. It
ends when speech goes on, which is told too, or when it has lasted so long that the turn is over.
How long that is depends on what models say of this pause, if they say anything.

Pure: a frame is a number of samples and a yes or no. Time is the count of samples pushed, so a test
tells a story in seconds and waits for nothing. Every step goes through one table; a pair that is
not in it is a bug and raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from realtime.audio import EAR_RATE_HZ, ms_to_samples, samples_to_ms
from realtime.endpointing import SILENCE_MS, Verdict, Waits, exactly

ONSET_GAP_MS = 120
"""An onset that falls silent for this long before it is confirmed was a click or a cough."""

TAIL_MS = 200
"""Of the silence after a turn, what belongs to its audio. What comes after it, before the turn is
known to be over, may be the prefix of the next: a soft first sound is often not yet speech."""

RESUME_MS = 60
"""Speech that ends a pause within a turn lasts this long; a breath or a click does not make the
caller wait for a whole pause again."""


@dataclass(frozen=True)
class TurnSettings:
    """What a client can set about turns, in milliseconds of audio."""

    prefix_padding_ms: int = 300
    waits: Waits = field(default_factory=lambda: exactly(SILENCE_MS))
    """What a pause has to last until it ends the turn."""
    pause_ms: int = 60
    """Silence within a turn that is told as a pause."""
    min_speech_ms: int = 200
    max_turn_ms: int = 28_000

    @property
    def silence_duration_ms(self) -> int:
        """What a pause has to last as long as there is no verdict on it."""
        return self.waits.silence_ms


@dataclass(frozen=True)
class SpeechStarted:
    """Speech is confirmed; the turn's audio begins at `start`, which includes the prefix."""

    start: int
    continues: bool = False
    """True for the second part of a turn that was split at its maximum length."""


@dataclass(frozen=True)
class SpeechStopped:
    """The turn is over: its audio ends at `end`, the last frame with speech at `last_speech`."""

    end: int
    last_speech: int
    split: bool = False
    """True where the turn was cut at its maximum length while the person was still speaking."""


@dataclass(frozen=True)
class TurnPaused:
    """Nothing was said since `last_speech`; the turn may be over. `position` is now."""

    position: int
    last_speech: int


@dataclass(frozen=True)
class TurnResumed:
    """The turn was not over: speech goes on, as of `position`."""

    position: int


TurnEvent = SpeechStarted | TurnPaused | TurnResumed | SpeechStopped


class State(Enum):
    IDLE = auto()
    ONSET = auto()
    SPEAKING = auto()
    GAP = auto()
    """Silence too short to be a pause."""
    PAUSE = auto()


class Signal(Enum):
    SPEECH = auto()
    CONFIRMED = auto()
    SILENCE = auto()
    PAUSED = auto()
    EXPIRED = auto()
    TOO_LONG = auto()


class Action(Enum):
    NOTHING = auto()
    START = auto()
    BRIDGE = auto()
    """Speech went on before the silence was a pause."""
    PAUSE = auto()
    RESUME = auto()
    STOP = auto()
    PAUSE_AND_STOP = auto()
    SPLIT = auto()
    DISCARD = auto()


TABLE: dict[tuple[State, Signal], tuple[State, Action]] = {
    (State.IDLE, Signal.SPEECH): (State.ONSET, Action.NOTHING),
    (State.IDLE, Signal.CONFIRMED): (State.SPEAKING, Action.START),
    (State.IDLE, Signal.SILENCE): (State.IDLE, Action.NOTHING),
    (State.ONSET, Signal.SPEECH): (State.ONSET, Action.NOTHING),
    (State.ONSET, Signal.CONFIRMED): (State.SPEAKING, Action.START),
    (State.ONSET, Signal.SILENCE): (State.ONSET, Action.NOTHING),
    (State.ONSET, Signal.EXPIRED): (State.IDLE, Action.DISCARD),
    (State.SPEAKING, Signal.SPEECH): (State.SPEAKING, Action.NOTHING),
    (State.SPEAKING, Signal.SILENCE): (State.GAP, Action.NOTHING),
    (State.SPEAKING, Signal.PAUSED): (State.PAUSE, Action.PAUSE),
    (State.SPEAKING, Signal.EXPIRED): (State.IDLE, Action.PAUSE_AND_STOP),
    (State.SPEAKING, Signal.TOO_LONG): (State.SPEAKING, Action.SPLIT),
    (State.GAP, Signal.SPEECH): (State.GAP, Action.NOTHING),
    (State.GAP, Signal.CONFIRMED): (State.SPEAKING, Action.BRIDGE),
    (State.GAP, Signal.SILENCE): (State.GAP, Action.NOTHING),
    (State.GAP, Signal.PAUSED): (State.PAUSE, Action.PAUSE),
    (State.GAP, Signal.EXPIRED): (State.IDLE, Action.PAUSE_AND_STOP),
    (State.GAP, Signal.TOO_LONG): (State.GAP, Action.SPLIT),
    (State.PAUSE, Signal.SPEECH): (State.PAUSE, Action.NOTHING),
    (State.PAUSE, Signal.CONFIRMED): (State.SPEAKING, Action.RESUME),
    (State.PAUSE, Signal.SILENCE): (State.PAUSE, Action.NOTHING),
    (State.PAUSE, Signal.EXPIRED): (State.IDLE, Action.STOP),
    (State.PAUSE, Signal.TOO_LONG): (State.IDLE, Action.STOP),
}


@dataclass
class TurnDetector:
    """One caller's turns. Push frames in order; get the events that each one causes."""

    settings: TurnSettings = field(default_factory=TurnSettings)
    listens: bool = False
    """Somebody judges the sound of a pause where `wants_sound` says so."""
    state: State = State.IDLE
    position: int = 0
    """Samples pushed so far."""
    false_onsets: int = 0
    _onset: int = 0
    _voiced: int = 0
    _silence: int = 0
    _run: int = 0
    _last_speech: int = 0
    _verdict: Verdict = field(default_factory=Verdict)
    _turn_start: int = 0
    _floor: int = 0
    _ended: int = 0

    @property
    def in_turn(self) -> bool:
        """True from a confirmed start to the end of the turn."""
        return self.state in (State.SPEAKING, State.GAP, State.PAUSE)

    @property
    def speaking(self) -> bool:
        """True in a turn while it does not pause."""
        return self.state in (State.SPEAKING, State.GAP)

    @property
    def voiced(self) -> bool:
        """True in a turn while speech is heard."""
        return self.state is State.SPEAKING

    @property
    def idle(self) -> bool:
        """True while nothing that could be speech is going on."""
        return self.state is State.IDLE

    @property
    def keep_from(self) -> int:
        """Audio before this position will not be asked for."""
        if self.in_turn:
            return self._turn_start
        start = self.position if self.idle else self._onset
        return max(self._floor, start - self._samples(self.settings.prefix_padding_ms))

    @property
    def uncommitted_from(self) -> int:
        """Audio from here on belongs to no turn that is over."""
        return self.keep_from if self.in_turn else max(self._ended, self.keep_from)

    def configure(self, settings: TurnSettings) -> None:
        """Take new settings; a turn in progress goes on under them."""
        self.settings = settings

    def begin_from(self, position: int) -> None:
        """Audio before this is not kept: no turn begins sooner, however long its prefix."""
        self._floor = max(self._floor, position)

    def decide(
        self,
        last_speech: int,
        *,
        sound: float | None = None,
        words: float | None = None,
        reading: bool | None = None,
        listening: bool | None = None,
    ) -> None:
        """Take what is now known of the pause that began at `last_speech`, as `Verdict` names it.
        It counts from the next frame on; what is said of an earlier pause is ignored.
        """
        if self.state is State.PAUSE and last_speech == self._last_speech:
            said = {"sound": sound, "words": words, "reading": reading, "listening": listening}
            known = {name: value for name, value in said.items() if value is not None}
            self._verdict = replace(self._verdict, **known)  # type: ignore[arg-type]

    @property
    def wants_sound(self) -> bool:
        """Whether the sound of the pause should be judged now."""
        if self.state is not State.PAUSE or not self.settings.waits.asks:
            return False
        silence_ms = samples_to_ms(self._silence, EAR_RATE_HZ)
        return self.settings.waits.wants_sound(self._verdict, silence_ms)

    def reset(self) -> None:
        """Forget an onset or a turn in progress; what was heard so far belongs to no later turn."""
        self.state = State.IDLE
        self._floor = self.position

    def push(self, frame_samples: int, speech: bool) -> list[TurnEvent]:
        """Take one frame of `frame_samples` samples at 16 kHz."""
        begin = self.position
        self.position += frame_samples
        self._run = self._run + frame_samples if speech else 0
        if speech and self.state not in (State.GAP, State.PAUSE):
            if self.idle:
                self._onset, self._voiced = begin, 0
            self._voiced += frame_samples
            self._last_speech = self.position
            self._silence = 0
        else:
            self._silence += frame_samples
        events = self._step(self._signal(speech))
        if self.in_turn and self._too_long():
            events += self._step(Signal.TOO_LONG)
        return events

    def _signal(self, speech: bool) -> Signal:
        if speech:
            if self.state in (State.GAP, State.PAUSE):
                enough = self._run >= self._samples(RESUME_MS)
            else:
                enough = self._voiced >= self._samples(self.settings.min_speech_ms)
            return (
                Signal.CONFIRMED if enough and self.state is not State.SPEAKING else Signal.SPEECH
            )
        if self.idle:
            return Signal.SILENCE
        limit_ms = self.settings.waits.after(self._verdict) if self.in_turn else ONSET_GAP_MS
        if self._silence >= self._samples(limit_ms):
            return Signal.EXPIRED
        pauses = self.state in (State.SPEAKING, State.GAP)
        paused = pauses and self._silence >= self._samples(self.settings.pause_ms)
        return Signal.PAUSED if paused else Signal.SILENCE

    def _step(self, signal: Signal) -> list[TurnEvent]:
        if (self.state, signal) not in TABLE:
            raise RuntimeError(f"no transition from {self.state.name} on {signal.name}")
        self.state, action = TABLE[self.state, signal]
        match action:
            case Action.START:
                prefix = self._samples(self.settings.prefix_padding_ms)
                return [self._start(max(self._floor, self._onset - prefix))]
            case Action.PAUSE:
                return [self._pause()]
            case Action.STOP:
                return [self._stop(split=False)]
            case Action.PAUSE_AND_STOP:
                return [self._pause(), self._stop(split=False)]
            case Action.SPLIT:
                return [self._stop(split=True), self._start(self.position, continues=True)]
            case Action.DISCARD:
                self.false_onsets += 1
            case Action.BRIDGE:
                self._silence, self._last_speech = 0, self.position
            case Action.RESUME:
                self._silence, self._last_speech, self._verdict = 0, self.position, self._nothing()
                return [TurnResumed(self.position)]
        return []

    def _nothing(self) -> Verdict:
        """What is known of a pause before anybody judged it."""
        return Verdict(listening=self.listens)

    def _pause(self) -> TurnPaused:
        return TurnPaused(self.position, self._last_speech)

    def _start(self, start: int, *, continues: bool = False) -> SpeechStarted:
        self._turn_start, self._verdict = start, self._nothing()
        return SpeechStarted(start, continues)

    def _stop(self, *, split: bool) -> SpeechStopped:
        heard_to = self.position if split else self._last_speech + self._samples(TAIL_MS)
        self._floor, self._ended = min(self.position, heard_to), self.position
        return SpeechStopped(self.position, self._last_speech, split)

    def _too_long(self) -> bool:
        return self.position - self._turn_start >= self._samples(self.settings.max_turn_ms)

    @staticmethod
    def _samples(ms: int) -> int:
        return ms_to_samples(ms, EAR_RATE_HZ)
