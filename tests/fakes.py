"""Stand-ins for paths that must be forced: failures, stalls, timing. The ear stays real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.engines import Delta, Engines, Line, Reach, SpeechDetector, Transcript, Utterance
from realtime.prompt import Message
from realtime.supervisor import Restartable
from realtime.timing import Passage
from realtime.tools import Toolbox


@dataclass
class FakeTranscriber:
    """Answers with the next of `texts`, or raises it; waits for `gate` where one is set."""

    texts: list[str | Exception] = field(default_factory=lambda: ["hello there"])
    heard: list[Int16] = field(default_factory=list)
    asked: list[Utterance] = field(default_factory=list)
    gate: asyncio.Event | None = None
    language: str = "en"
    reach: Reach = field(default_factory=Reach)
    spare: bool = False
    free: bool = True
    hurried: list[Hashable] = field(default_factory=list)

    def hurry(self, owner: Hashable) -> None:
        self.hurried.append(owner)

    async def transcribe(self, utterance: Utterance, *, owner: Hashable) -> Transcript:
        self.asked.append(utterance)
        self.heard.append(utterance.audio)
        answer = self.texts[min(len(self.heard), len(self.texts)) - 1]
        if self.gate:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        seconds = len(utterance.audio) / EAR_RATE_HZ
        passages = (Passage(0.0, seconds, answer),) if answer else ()
        return Transcript(answer, self.language, seconds, passages)


@dataclass
class FakeEndOfTurn:
    """Answers with the next of `verdicts`, or raises it; waits for `gate` where one is set."""

    verdicts: list[float | Exception] = field(default_factory=lambda: [1.0])
    heard: list[Int16] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def complete(self, audio: Int16, *, owner: Hashable) -> float:
        self.heard.append(audio)
        answer = self.verdicts[min(len(self.heard), len(self.verdicts)) - 1]
        if self.gate:
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class FakeReader:
    """Says of all words that they end there, or raises; waits for `gate` where one is set."""

    says: float | Exception = 1.0
    prompts: list[Sequence[Message]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    ahead: list[str] = field(default_factory=list)
    """Words that were read before a pause."""

    async def read(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        self.ahead.append(prompt[-1].text)
        if self.gate:
            await self.gate.wait()

    async def ends(self, prompt: Sequence[Message], *, owner: Hashable) -> float:
        self.prompts.append(prompt)
        if self.gate:
            await self.gate.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@dataclass
class FakeReplier:
    """Writes `words` one after the other; stalls after `stall_after` words until cancelled."""

    words: Sequence[str] = ("All ", "is ", "well, ", "thank ", "you. ", "And ", "with ", "you?")
    stall_after: int | None = None
    error: Exception | None = None
    cut: bool = False
    prompt_tokens: int = 10_000
    calls_functions: bool = True
    prompts: list[list[Message]] = field(default_factory=list)
    toolboxes: list[Toolbox | None] = field(default_factory=list)
    deltas: Sequence[Delta] = ()
    """What follows the words: calls, counts."""
    spare: bool = True
    closed: int = 0
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    alive: bool = True

    async def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]:
        self.prompts.append(list(prompt))
        self.toolboxes.append(tools)
        try:
            for n, word in enumerate(self.words):
                if self.stall_after == n:
                    self.stalled.set()
                    await asyncio.Event().wait()
                yield Delta(word)
            for delta in self.deltas:
                yield delta
            if self.error:
                raise self.error
            if self.cut:
                yield Delta("", cut=True)
        finally:
            self.closed += 1

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass
class FakeVoice:
    """Makes `seconds` of tone for each piece; raises `error` where one is set."""

    seconds: float = 0.5
    error: Exception | None = None
    lines: list[Line] = field(default_factory=list)
    gate: asyncio.Event | None = None
    voices: Sequence[str] = ("default",)
    hushed: list[Hashable] = field(default_factory=list)
    shortest_chars: int = 0
    phrase_words: int = 0

    @property
    def pieces(self) -> list[str]:
        """What was said, without how."""
        return [line.text for line in self.lines]

    def names(self) -> Sequence[str]:
        return self.voices

    def hurry(self, owner: Hashable) -> None:
        pass

    def hush(self, owner: Hashable) -> None:
        self.hushed.append(owner)

    async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
        self.lines.append(line)
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error
        yield np.full(int(self.seconds * 24_000), 1_000, np.int16)


@dataclass
class FakeRuntime:
    """What the server wants of a runtime, around any engines."""

    detector: SpeechDetector
    transcriber: FakeTranscriber = field(default_factory=FakeTranscriber)
    replier: FakeReplier = field(default_factory=FakeReplier)
    voice: FakeVoice = field(default_factory=FakeVoice)
    end_of_turn: FakeEndOfTurn | None = None
    reader: FakeReader | None = None
    dead: set[str] = field(default_factory=set)
    queued_s: float = 0.0

    @property
    def engines(self) -> Engines:
        return Engines(
            self.detector,
            self.transcriber,
            self.replier,
            self.voice,
            self.end_of_turn,
            self.reader,
        )

    def alive(self) -> dict[str, bool]:
        names = ("speech_detector", "whisper", "replier", "voice")
        return {name: name not in self.dead for name in names}

    parts_: dict[str, Restartable] = field(default_factory=dict)
    """What is supervised."""

    def parts(self) -> dict[str, Restartable]:
        return self.parts_

    pools = None

    def waiting_s(self) -> float:
        return self.queued_s

    def outage(self) -> str:
        return ""

    def describe(self) -> dict[str, str]:
        return {"whisper": "FakeTranscriber"}
