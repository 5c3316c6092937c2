"""One session on its real socket code, with thin engines, in memory and in jumping time.

`Rehearsal` is a caller and the line in one: what is sent is read by `websocket.serve`, and all that
leaves is kept, as the session wrote it (`told`) and as it went over the line (`frames`). Engines
take some time each; what they say changes from turn to turn, so that a long story meets words,
noise, signs of listening, function calls and failures.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSMessage, WSMsgType

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.dialect import Beta
from realtime.engines import CallPart, Delta, Engines, HearingState, Line, Reach, Transcript
from realtime.engines import Utterance as Said
from realtime.errors import EndOfTurnError, HearingError, ReplyError, TranscriptionError, VoiceError
from realtime.formats import Format
from realtime.metrics import Metrics
from realtime.outbox import AudioChunk, Outbox, Outgoing
from realtime.playout import Pacing
from realtime.prompt import Message
from realtime.session import Session
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from realtime.tools import Toolbox
from realtime.websocket import serve

SETTLES_S = 90.0
"""After so long nothing is under way any more, but idle time-outs that repeat."""

LOUD = 3_000.0


@dataclass
class LevelDetector:
    """Speech is what is loud; every `fails`th call fails."""

    fails: int = 0
    calls: int = 0

    async def probabilities(
        self, state: HearingState, windows: Sequence[Int16], *, owner: Hashable
    ) -> list[float]:
        self.calls += 1
        if self.fails and self.calls % self.fails == 0:
            raise HearingError("it does so every now and then")
        levels = (float(np.abs(each.astype(np.int32)).mean()) for each in windows)
        return [min(1.0, level / LOUD) for level in levels]


@dataclass
class Recogniser:
    """Goes through `texts`, over and over; None is a failure."""

    texts: Sequence[str | None]
    takes_s: float = 0.1
    calls: int = 0
    reach: Reach = field(default_factory=Reach)
    spare: bool = True
    free: bool = True

    def hurry(self, owner: Hashable) -> None:
        pass

    async def transcribe(self, utterance: Said, *, owner: Hashable) -> Transcript:
        text = self.texts[self.calls % len(self.texts)]
        self.calls += 1
        await asyncio.sleep(self.takes_s)
        if text is None:
            raise TranscriptionError("it did not hear")
        return Transcript(text, "en", len(utterance.audio) / EAR_RATE_HZ)


@dataclass
class Writer:
    """Writes one of `scripts` after the other, a word at a time; with tools it calls the first."""

    scripts: Sequence[str | None]
    takes_s: float = 0.02
    calls: int = 0
    prompt_tokens: int = 10_000
    calls_functions: bool = True
    spare: bool = True

    async def reply(
        self,
        prompt: Sequence[Message],
        *,
        max_tokens: int,
        owner: Hashable,
        tools: Toolbox | None = None,
    ) -> AsyncGenerator[Delta, None]:
        script = self.scripts[self.calls % len(self.scripts)]
        self.calls += 1
        await asyncio.sleep(self.takes_s)
        if script is None:
            raise ReplyError("it has nothing to say")
        words = script.split(" ")
        for word in words[:max_tokens]:
            yield Delta(word + " ")
            await asyncio.sleep(self.takes_s)
        if len(words) > max_tokens:
            yield Delta(cut=True)
        if tools:
            for part in ("{", "}"):
                yield Delta(call=CallPart(0, f"call_{self.calls}", "look", part))

    async def prepare(self, prompt: Sequence[Message], *, owner: Hashable) -> None:
        await asyncio.sleep(self.takes_s)


@dataclass
class Tone:
    """A tone for each line, a tenth of a second for a word; every `fails`th line fails."""

    fails: int = 0
    calls: int = 0
    takes_s: float = 0.05
    shortest_chars: int = 0
    phrase_words: int = 0

    def names(self) -> Sequence[str]:
        return ("default", "other")

    def hurry(self, owner: Hashable) -> None:
        pass

    def hush(self, owner: Hashable) -> None:
        pass

    async def speak(self, line: Line, *, owner: Hashable) -> AsyncGenerator[Int16, None]:
        self.calls += 1
        await asyncio.sleep(self.takes_s)
        if self.fails and self.calls % self.fails == 0:
            raise VoiceError("it is hoarse")
        for _ in line.text.split()[:50]:
            yield np.full(2_400, 5_000, np.int16)


class Ends:
    """Says of every second pause that the turn is over; fails at times."""

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, audio: Int16, *, owner: Hashable) -> float:
        self.calls += 1
        await asyncio.sleep(0.03)
        if self.calls % 5 == 0:
            raise EndOfTurnError("it cannot say")
        return float(self.calls % 2)


TEXTS: Sequence[str | None] = ("hello there", "", "mm-hmm", "what is the time?", "yeah")
SCRIPTS: Sequence[str | None] = (
    "All is well, thank you. And how are you on this fine day?",
    "It is noon. The sun stands over the house, and nobody is out in the street.",
    "Yes.",
    "",
)


@dataclass(frozen=True)
class Circumstances:
    """What a session meets, beyond what its client does."""

    beta: bool = False
    binary: bool = False
    transcription: bool = False
    paced: bool = True
    speculates: bool = False
    judged: bool = False
    fails: bool = False

    def engines(self) -> Engines:
        """Engines of their own, so that two runs are the same."""
        return Engines(
            LevelDetector(fails=23 if self.fails else 0),
            Recogniser((*TEXTS, None) if self.fails else TEXTS),
            Writer((*SCRIPTS, None) if self.fails else SCRIPTS),
            Tone(fails=4 if self.fails else 0),
            Ends() if self.judged else None,
        )


class MemorySocket:
    """What `serve` wants of a socket: messages come from a list, frames go to one."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[WSMessage] = asyncio.Queue()
        self.frames: list[tuple[bytes, WSMsgType]] = []
        self.closed = False
        self.close_code: int | None = None

    async def receive(self) -> WSMessage:
        return await self.waiting.get()

    async def send_frame(self, payload: bytes, kind: WSMsgType) -> None:
        if self.closed:
            raise ConnectionResetError("it is closed")
        self.frames.append((bytes(payload), kind))

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        if not self.closed:
            self.closed, self.close_code = True, int(code)

    def exception(self) -> None:
        return None


class _Overheard(Outbox):
    """Keeps what leaves, as it was before any dialect."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Outgoing] = []

    async def get(self) -> Outgoing | None:
        item = await super().get()
        if item is not None:
            self.left.append(item)
        return item


class _Bugs(logging.Handler):
    """What was logged as a bug, and would not be seen otherwise: it raises where it is asked."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record)


class Rehearsal:
    """Use as an async context manager, on a `TimelessLoop`."""

    def __init__(self, met: Circumstances | None = None) -> None:
        met = met or Circumstances()
        self.met, self.socket, self.outbox = met, MemorySocket(), _Overheard()
        config = SessionConfig(type="transcription" if met.transcription else "realtime")
        self.metrics = Metrics()
        self.session = Session(
            met.engines(),
            self.outbox,
            config=config,
            metrics=self.metrics,
            manners=Manners(
                pacing=Pacing() if met.paced else None,
                fallback="I am sorry.",
                speculates=met.speculates,
            ),
            binary=met.binary,
        )
        self._bugs = _Bugs()

    async def __aenter__(self) -> Rehearsal:
        logging.getLogger("banter").addHandler(self._bugs)
        beta = Beta(self.session.conversation.id) if self.met.beta else None
        work = serve(self.socket, self.session, self.outbox, binary=self.met.binary, beta=beta)  # type: ignore[arg-type]
        self._serving = asyncio.create_task(work)
        await self.rest(0.0)
        return self

    async def __aexit__(self, *exc: Any) -> None:
        if not self._serving.done():
            self.hang_up()
        await self._serving
        logging.getLogger("banter").removeHandler(self._bugs)
        if not exc[0]:
            self.check_over()

    # --- what the caller does -------------------------------------------------------------------

    def send(self, type: str, **fields: Any) -> None:
        self.send_text(json.dumps({"type": type, **fields}))

    def send_text(self, text: str) -> None:
        self.socket.waiting.put_nowait(WSMessage(WSMsgType.TEXT, text, None))

    def send_bytes(self, data: bytes) -> None:
        self.socket.waiting.put_nowait(WSMessage(WSMsgType.BINARY, data, None))

    async def say(self, seconds: float, *, loud: bool = True) -> None:
        """Sound or silence at the pace of speech, in the session's format."""
        for _ in range(round(seconds * 10)):
            self.send_bytes(sound(0.1, loud, self.session.config.input_format))
            await self.rest(0.1)

    async def rest(self, seconds: float) -> None:
        """Do nothing; whatever can happen meanwhile has happened then."""
        await asyncio.sleep(seconds + 1e-6)

    def hang_up(self) -> None:
        self.socket.waiting.put_nowait(WSMessage(WSMsgType.CLOSE, 1000, None))

    # --- what came of it ------------------------------------------------------------------------

    @property
    def told(self) -> list[dict[str, Any]]:
        """All that has left, as events in GA's form; audio is an event with its offset."""
        return [_event(item) for item in self.outbox.left]

    def told_since(self, count: int) -> list[dict[str, Any]]:
        """The same without the first `count`."""
        return [_event(item) for item in self.outbox.left[count:]]

    def check_alive(self) -> None:
        """Nothing that a client sends ends its session.

        Raises:
            AssertionError: a bug was logged, or the session is over.
        """
        for record in self._bugs.found:
            error = record.exc_info[1] if record.exc_info else None
            raise AssertionError(f"a bug: {record.getMessage()}: {error!r}") from error
        assert self.socket.close_code is None, f"closed with {self.socket.close_code}"
        assert not self._serving.done()

    def check_over(self) -> None:
        """The session has ended, as it should have, and has left nothing behind."""
        assert not self._bugs.found, self._bugs.found[0].getMessage()
        assert self.socket.close_code == 1000
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others


def _event(item: Outgoing) -> dict[str, Any]:
    if isinstance(item, AudioChunk):
        return {
            "type": "response.output_audio.delta",
            "event_id": f"audio_{item.response_id}_{item.offset}",
            "response_id": item.response_id,
            "item_id": item.item_id,
            "offset": item.offset,
            "samples": item.samples,
            "data": item.data,
        }
    event: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(item))
    return event


@cache
def sound(seconds: float, loud: bool, wire: Format) -> bytes:
    """A buzz, which webrtcvad takes for a voice, or next to nothing."""
    count = int(seconds * wire.rate_hz)
    if not loud:
        return bytes(wire.encode((np.arange(count) % 3).astype(np.int16)))
    t = np.arange(count) / wire.rate_hz
    buzz = sum(np.sin(2 * np.pi * 120 * n * t) / n for n in range(1, 16))
    return bytes(wire.encode((buzz * 9_000).clip(-32_000, 32_000).astype(np.int16)))
