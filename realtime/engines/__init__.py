"""The seams: what a session asks of a model, in plain arrays and dataclasses.

Engines hold weights and nothing of a user. Each seam has a real embedded engine and room for a
large one; sessions never see which. They may run on other machines one day, so nothing live crosses
them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from realtime.audio import Float32, Int16
from realtime.batching import FINAL
from realtime.prompt import Message
from realtime.timing import Passage
from realtime.tools import Toolbox
from realtime.usage import Tokens


@dataclass
class HearingState:
    """One stream's recurrent state in the speech detector. It belongs to the session."""

    h: Float32 = field(default_factory=lambda: np.zeros(128, np.float32))
    c: Float32 = field(default_factory=lambda: np.zeros(128, np.float32))
    context: Float32 = field(default_factory=lambda: np.zeros(64, np.float32))


class SpeechDetector(Protocol):
    """Windows of 512 samples at 16 kHz -> the probability that each holds speech."""

    async def probabilities(
        self, state: HearingState, windows: Sequence[Int16], *, owner: Hashable
    ) -> list[float]: ...


class EndOfTurn(Protocol):
    """The end of a turn's audio, with some silence -> the probability that the turn is over."""

    async def complete(self, audio: Int16, *, owner: Hashable) -> float: ...


class EndReader(Protocol):
    """Reads what a caller says, and tells whether it may end where it does."""

    async def ends(self, prompt: Sequence[Message], *, owner: Hashable) -> float: ...

    async def read(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Read words to which more may be added, if there is nothing better to do."""


@dataclass(frozen=True)
class Utterance:
    """What one caller said in one turn: 16-bit mono at 16 kHz, and how it is to be heard."""

    audio: Int16
    language: str | None = None
    """Found out where it is None or unknown to the recogniser."""
    prompt: str = ""
    """Text as it might stand before the first word: it sets spelling and style."""
    hotwords: str = ""
    """Words and names that are likely, before every window."""
    suppress: Sequence[int] = (-1,)
    """Token ids that are never written; -1 is the recogniser's own list (signs, not words)."""
    rank: int = FINAL
    """`batching.FINAL`, `SPECULATION`, `PARTIAL` or `FILE`: who waits, and so who goes first."""
    words: bool = False
    """Whether to find out when each word was said."""
    translate: bool = False
    """English text, whatever the language; for a recogniser that `translates`."""
    temperature: float = 0.0
    """Of the first attempt; at 0 the most probable words are taken."""


@dataclass(frozen=True)
class Transcript:
    """What was recognised; `text` is empty where there were no words."""

    text: str
    language: str
    seconds: float
    """Length of the audio, for usage."""
    passages: tuple[Passage, ...] = ()
    """The parts that it was heard in, without those in which there were no words."""


@dataclass(frozen=True)
class Reach:
    """What a recogniser can do."""

    languages: frozenset[str] = frozenset({"en"})
    """Codes of the languages that it hears."""
    translates: bool = False
    """Whether it writes English for speech in other languages."""
    longest_s: float = 14.0
    """Audio that is heard in one go; longer utterances take several."""


class Transcriber(Protocol):
    """An utterance -> its transcript, batched over sessions."""

    @property
    def reach(self) -> Reach: ...

    @property
    def spare(self) -> bool:
        """Whether there is time for the words of a turn that goes on (rank `PARTIAL`)."""

    @property
    def free(self) -> bool:
        """Whether a speculation (rank `SPECULATION`) would keep no final waiting that is there."""

    def hurry(self, owner: Hashable) -> None:
        """The turn is over: this owner's speculations are finals from now on."""

    async def transcribe(self, utterance: Utterance, *, owner: Hashable) -> Transcript: ...


@dataclass(frozen=True)
class CallPart:
    """The next characters of a function's arguments, and which call they are of."""

    number: int
    """Counted from 0; parts of one call are not mixed with those of another."""
    call_id: str
    name: str
    arguments: str = ""


@dataclass(frozen=True)
class Delta:
    """The next characters of a reply, or of a call. `cut` comes with the last: the length limit
    ended it. `tokens` comes when all is written, from a model that counts them."""

    text: str = ""
    cut: bool = False
    call: CallPart | None = None
    tokens: Tokens | None = None


class Replier(Protocol):
    """A prompt -> the reply's text as it is written. Closing the iterator stops the writing."""

    prompt_tokens: int
    calls_functions: bool
    """False: it is given no `tools`, and reads the calls and results of the history as words."""

    @property
    def spare(self) -> bool:
        """Whether there is room for a reply that is perhaps never said."""

    def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]: ...

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        """Read what the next prompt will begin with, if there is nothing better to do.

        Raises:
            StageError: it was not read; the reply will read it.
        """


DEFAULT_VOICE = "default"
"""The voice that every model has."""


@dataclass(frozen=True)
class Line:
    """A piece of a reply, and how it is to be spoken; a voice leaves out what it has not."""

    text: str
    voice: str = DEFAULT_VOICE
    """One of the voice's `names`."""
    speed: float = 1.0
    language: str | None = None
    """As a two-letter code; None where nobody knows it."""
    exaggeration: float | None = None
    """How much feeling is shown; None for the model's own."""
    temperature: float | None = None
    """How freely sounds are drawn; None for the model's own."""
    rank: int = FINAL
    """As an utterance's: a live caller's line goes before another that waits."""


class Voice(Protocol):
    """A line -> 16-bit mono at 24 kHz as it is made. Closing the iterator stops it."""

    @property
    def shortest_chars(self) -> int:
        """A first line of fewer characters sounds wrong alone, and waits for what follows it."""

    @property
    def phrase_words(self) -> int:
        """A first line of so many words may end before a phrase, in mid-sentence; 0: that would be
        heard."""

    def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]: ...

    def hurry(self, owner: Hashable) -> None:
        """The turn is over: this owner's speculative lines are live ones from now on."""

    def hush(self, owner: Hashable) -> None:
        """What this owner has in hand is not heard any more: his next line is waited for."""

    def names(self) -> Sequence[str]:
        """The voices that a line can ask for; the first is `DEFAULT_VOICE`."""


@dataclass(frozen=True)
class KnownVoice:
    """A voice that can be asked for by its name."""

    name: str
    created_at: int | None = None
    """Seconds since 1970; None where nobody has noted it."""
    seconds: float | None = None
    """Of the clip that it was made from."""
    consent: str = ""
    """What was said about it by whoever brought the clip."""


class VoiceStore(Protocol):
    """The voices of a model that can be given more. The first is the model's own."""

    def describe(self) -> Sequence[KnownVoice]: ...

    async def add(self, name: str, clip: bytes, *, consent: str = "") -> KnownVoice:
        """Make a voice of an audio file, and keep it.

        Raises:
            VoiceRefused: the name or the clip will not do, or it cannot be kept.
        """

    async def remove(self, name: str) -> None:
        """
        Raises:
            VoiceRefused: there is no such voice, or it may not go.
        """


@dataclass(frozen=True)
class Engines:
    """One of each, shared by all sessions."""

    detector: SpeechDetector
    transcriber: Transcriber
    replier: Replier
    voice: Voice
    end_of_turn: EndOfTurn | None = None
    """None: the sound has no say in when a turn ends."""
    reader: EndReader | None = None
    """None: words have no say in when a turn ends."""
