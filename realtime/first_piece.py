"""The first piece of a reply that is perhaps never said, spoken as soon as it can be guessed.

Where a piece ends is known when the next word has come, and a small language model on two cores
takes 15 ms and more for a word. So what would be a piece if a word began now is spoken at once. If
it goes on otherwise ("Go to amazon." and then "com"), that sound is thrown away, and nobody hears
it: a response takes the sound only of the very line that it would have spoken.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from realtime.audio import Int16
from realtime.batching import SPECULATION
from realtime.engines import Delta, Line, Voice
from realtime.reply import cut_delta, cutter_for
from realtime.script import Own, Script
from realtime.speakable import speakable
from realtime.stopwatch import timed
from realtime.stretch import Stretch

CHUNKS_AHEAD = 8
"""Of its sound."""

GUESSES = 2
"""In one reply; then it is waited for what is sure."""


@dataclass(frozen=True)
class _Sound:
    line: Line
    audio: Script[Int16]
    ahead: bool
    """It was begun before the turn was over."""


class FirstPiece:
    """Reads a reply's text from its beginning and speaks its first piece, as `manner` says.

    `rank` is asked for when the voice is. `sounds` is told once when the first of a sound that
    stands was there, by the loop's clock, if it was begun before the turn was over; `misguessed` is
    called when some was made for nothing. `own` makes the task, and whoever owns it awaits it.
    `take` or `close` end it.
    """

    def __init__(
        self,
        script: Script[Delta],
        manner: Line,
        *,
        voice: Voice,
        owner: Hashable,
        own: Own,
        rank: Callable[[], int],
        stretch: Stretch,
        sounds: Callable[[float], None],
        misguessed: Callable[[], None],
    ) -> None:
        self._script, self._manner = script, manner
        self._voice, self._owner, self._own = voice, owner, own
        self._rank, self._stretch = rank, stretch
        self._sounds, self._misguessed = sounds, misguessed
        self._sound: _Sound | None = None
        self._thrown_s = 0.0
        self._taken = False
        self._speaking = own(self._speak())

    @property
    def begun(self) -> bool:
        """Some of its sound is there."""
        return bool(self._sound and self._sound.audio.begun)

    @property
    def wasted_s(self) -> float:
        """How long it has occupied the voice for what no response took."""
        kept = self._sound if not self._taken else None
        return self._thrown_s + (kept.audio.seconds if kept else 0.0)

    def take(self, line: Line) -> Script[Int16] | None:
        """The sound of the first line that a response speaks, if it was begun; once. None leaves it
        to the response, and nothing is spoken here any more."""
        if self._taken:
            return None
        self._taken, sound = True, self._sound
        if sound and sound.line == line and not sound.audio.failed:
            self._voice.hurry(self._owner)  # it may not have been asked for when the turn ended
            return sound.audio
        self._speaking.cancel()
        self._throw()
        return None

    def close(self) -> None:
        """End what is being spoken; what was read of it stays read."""
        self._speaking.cancel()
        if self._sound and self._taken:
            self._sound.audio.close()
        else:
            self._throw()

    async def _speak(self) -> None:
        """An error is the response's to meet."""
        with suppress(Exception):
            async with aclosing(self._pieces()) as pieces:
                async for words in pieces:
                    if not self._taken:
                        self._begin(words)
            if self._sound and self._sound.ahead:
                async with aclosing(self._sound.audio.read()) as chunks:
                    await anext(chunks, None)
                if self._stretch.first_s is not None:
                    self._sounds(self._stretch.first_s)

    def _begin(self, words: str) -> None:
        """Have them spoken, in place of what was begun before; nothing where there are none."""
        line = replace(self._manner, text=words)
        if self._sound and self._sound.line == line:
            return
        if self._sound:
            self._throw()
            self._misguessed()
        if words:
            rank = self._rank()
            spoken = self._voice.speak(replace(line, rank=rank), owner=self._owner)
            spoken = timed(spoken, self._stretch)
            audio = Script[Int16](spoken, ahead=CHUNKS_AHEAD, own=self._own)
            self._sound = _Sound(line, audio, rank == SPECULATION)

    def _throw(self) -> None:
        """What was begun is of no use, and nobody will hear it."""
        if self._sound:
            self._sound.audio.close()
            self._thrown_s += self._sound.audio.seconds
            self._sound = None
            self._stretch.clear()
            self._voice.hush(self._owner)

    async def _pieces(self) -> AsyncGenerator[str, None]:
        """Guesses, nothing where one went wrong, and last of all what is sure."""
        cutter, guessed = cutter_for(self._voice), [""]
        async with aclosing(self._script.read()) as deltas:
            async for delta in deltas:
                for written in cut_delta(cutter, delta):
                    if words := speakable(written):
                        yield words
                        return
                if not delta.text or self._script.unread:
                    continue  # the next word is there already
                if (words := speakable(cutter.likely())) == guessed[-1]:
                    continue
                if words and len(guessed) > GUESSES:
                    words = ""
                if words:
                    guessed.append(words)
                yield words
        rest = cutter.flush()
        if words := speakable(rest[0]) if rest else "":
            yield words
