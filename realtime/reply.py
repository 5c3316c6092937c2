"""One reply being made: the language model writes, pieces are cut, the voice speaks them at once.

Three tasks and two short queues: while the model writes the third sentence, the second is being
spoken and the first is being sent, no faster than the client can play it. Cancelling the reply
closes the model's stream and the voice's; what was queued is dropped. Calls of functions go to the
response as they are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Hashable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np

from realtime.audio import AUDIBLE_LEVEL, Int16
from realtime.engines import CallPart, Delta, Engines, Line, Voice
from realtime.items import Piece
from realtime.playout import Pacing
from realtime.response import Response
from realtime.script import Script
from realtime.sentences import SentenceCutter
from realtime.speakable import speakable
from realtime.stopwatch import timed
from realtime.stretch import Stretch

PIECES_AHEAD = 4
"""Pieces written but not yet spoken; the model's stream waits beyond that."""

SOUNDS_AHEAD = 4
"""Chunks spoken but not yet sent; the voice waits beyond that."""

DELTA_CHARS = 400
"""Of a longer delta so much is looked at in one go: others use the loop too."""

DELTA_MS = 100
"""Audio in one delta: small, so that little of it is stale at an interruption."""


@dataclass(frozen=True)
class Speech:
    """How a reply is spoken: each piece as `manner`, with the piece for its text.

    `pacing` None sends audio as fast as it is made. `begun` is asked for the sound of a line that
    was begun before it was needed.
    """

    manner: Line
    pacing: Pacing | None
    begun: Callable[[Line], Script[Int16] | None] | None = None
    stretch: Stretch = field(default_factory=Stretch)

    def speak(self, text: str, engines: Engines, owner: Hashable) -> AsyncGenerator[Int16, None]:
        """A piece's audio."""
        line = replace(self.manner, text=text)
        if self.begun and (begun := self.begun(line)):
            return _to_its_end(begun)
        return timed(engines.voice.speak(line, owner=owner), self.stretch)


async def _to_its_end(begun: Script[Int16]) -> AsyncGenerator[Int16, None]:
    """Sound that was begun, for its one reader: when he stops, so does the voice."""
    try:
        async with aclosing(begun.read()) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        begun.close()


@dataclass(frozen=True)
class _Spoken:
    """A piece's text on its way to the voice."""

    piece: Piece
    text: str


@dataclass
class Unsaid:
    """What was read of a reply's text and not told to anybody: it was cut off on its way.

    `rest` and `calls` are to be asked for when nobody makes the reply any more.
    """

    calls: list[CallPart] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _cutting: Iterator[str] = field(default_factory=lambda: iter(()))
    _cutter: SentenceCutter | None = None

    def take(self, cutter: SentenceCutter, delta: Delta) -> Iterator[str]:
        """The pieces that are complete with a delta; who stops half-way leaves the others here."""
        if delta.call:
            self.calls.append(delta.call)
        self._cutter, self._cutting = cutter, cut_delta(cutter, delta)
        return self._cutting

    def end(self, cutter: SentenceCutter) -> Iterator[str]:
        """The same at the text's end."""
        self._cutting = iter(cutter.flush())
        return self._cutting

    def keep(self, written: str) -> None:
        """A piece came too late."""
        self._pieces.append(written)

    def rest(self) -> str:
        """The text that was left, once; what the model writes next may be put behind it."""
        left = [*self._pieces, *self._cutting]
        self._pieces.clear()
        last = self._cutter.take_rest() if self._cutter else ""
        return f"{' '.join(left)} {last.lstrip()}"


async def make_reply(
    response: Response,
    text: AsyncIterable[Delta],
    engines: Engines,
    *,
    speech: Speech | None,
    owner: Hashable,
    unsaid: Unsaid | None = None,
) -> bool:
    """Cut, speak and send one reply into `response`; True if the length limit ended it.

    `text` is an async generator; it is closed here. Without `speech` the reply stays text. `unsaid`
    keeps what is on its way when the reply is cancelled.

    Raises:
        StageError: a stage failed; what was said until then has been sent.
    """
    pieces: asyncio.Queue[_Spoken | None] = asyncio.Queue(PIECES_AHEAD if speech else 0)
    sounds: asyncio.Queue[Int16 | None] = asyncio.Queue(SOUNDS_AHEAD)
    try:
        async with asyncio.TaskGroup() as tasks:
            cutter = cutter_for(engines.voice)
            writing = tasks.create_task(
                _write(response, text, pieces, cutter, unsaid or Unsaid())
                if speech
                else _write_text(response, text)
            )
            if speech:
                tasks.create_task(_speak(response, engines, pieces, sounds, speech, owner))
                tasks.create_task(_send(response, sounds, speech.pacing))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return writing.result()


async def _write(
    response: Response,
    text: AsyncIterable[Delta],
    pieces: asyncio.Queue[_Spoken | None],
    cutter: SentenceCutter,
    unsaid: Unsaid,
) -> bool:
    """The model's text into pieces; each is told to the client as it is queued for the voice."""
    cut = said = False

    async def say(written: str) -> None:
        nonlocal said
        if response.done:
            unsaid.keep(written)
        elif words := speakable(written):
            piece = response.say(f" {words}" if said else words)
            said = True
            await pieces.put(_Spoken(piece, words))

    async with aclosing(text) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            cut = cut or delta.cut
            for written in unsaid.take(cutter, delta):
                await say(written)
            _pass_on(response, delta)
            if not response.done:
                unsaid.calls.clear()
    for written in unsaid.end(cutter):
        # a sentence that the length limit broke off is worse than none, if something was said
        if not (cut and said):
            await say(written)
    await pieces.put(None)
    return cut


def cutter_for(voice: Voice) -> SentenceCutter:
    """What cuts a reply that is spoken while it is written."""
    return SentenceCutter(
        shortest_chars=voice.shortest_chars, first_phrase_words=voice.phrase_words
    )


def cut_delta(cutter: SentenceCutter, delta: Delta) -> Iterator[str]:
    """The pieces that are complete with a delta."""
    for start in range(0, len(delta.text), DELTA_CHARS):
        yield from cutter.push(delta.text[start : start + DELTA_CHARS])
    if delta.call:  # what was said before it is whole, and is spoken while it is written
        yield from cutter.flush()


async def _write_text(response: Response, text: AsyncIterable[Delta]) -> bool:
    """A reply that is read, as the model writes it."""
    cut = False
    async with aclosing(text) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            cut = cut or delta.cut
            if delta.text:
                response.say(delta.text)
            _pass_on(response, delta)
    return cut


def _pass_on(response: Response, delta: Delta) -> None:
    """What of a delta is not words."""
    if delta.call:
        response.call(delta.call)
    if delta.tokens:
        response.count(delta.tokens)


async def _speak(
    response: Response,
    engines: Engines,
    pieces: asyncio.Queue[_Spoken | None],
    sounds: asyncio.Queue[Int16 | None],
    speech: Speech,
    owner: Hashable,
) -> None:
    """Pieces to audio, in order; each piece learns where its words sound."""
    made = 0
    while (spoken := await pieces.get()) is not None:
        spoken.piece.start = made
        async with aclosing(speech.speak(spoken.text, engines, owner)) as chunks:
            async for audio in chunks:
                sound = response.render(audio)
                spoken.piece.samples = made - spoken.piece.start + _audible(sound)
                made += len(sound)
                await sounds.put(sound)
    await sounds.put(response.render_rest())
    await sounds.put(None)


async def _send(
    response: Response, sounds: asyncio.Queue[Int16 | None], pacing: Pacing | None
) -> None:
    """Audio to the outbox in small deltas, no further ahead of playback than `pacing` says."""
    now = asyncio.get_running_loop().time
    delta = response.playout.rate_hz * DELTA_MS // 1000
    while (sound := await sounds.get()) is not None:
        for start in range(0, len(sound), delta):
            part = sound[start : start + delta]
            if pacing and (wait := pacing.wait_s(response.playout, len(part), now())):
                await asyncio.sleep(wait)
            await response.send(part, now())


def _audible(sound: Int16) -> int:
    """Samples up to the last one that can be heard."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > AUDIBLE_LEVEL * 32_768)
    return int(loud[-1]) + 1 if len(loud) else 0
