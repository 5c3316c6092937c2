"""Speech over a reply, in a session that has heard its own before: a caller, or an echo again?

Clients silence their players at `speech_started`, so a loudspeaker that is heard all the time would
break a reply off at every word. In such a session that event is held back until the speech is
believed: two hypotheses of its words are not the reply's, or for a second there were none that are.
Speech that ends before that, and was the reply's own to its last word, is told nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from realtime.backchannel import asks
from realtime.self_hearing import is_own
from realtime.turns import SpeechStarted, SpeechStopped

DOUBT_S = 1.0
"""Speech waits so long to be told by its words from another echo; as long as they are the reply's,
it waits on."""

STRANGERS = 2
"""So many hypotheses in a row are not the reply's words until they are believed: the first of an
echo is often wrong."""

Own = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Said(Protocol):
    """What was played between two ear positions; up to now without the second."""

    def __call__(self, start: int, end: int | None = None) -> str: ...


class Doubt:
    """One session's. `believed` is called with speech that was held back and is a caller's."""

    def __init__(self, *, own: Own, said: Said, believed: Callable[[SpeechStarted], None]) -> None:
        self._own, self._said, self._believed = own, said, believed
        self._speech: SpeechStarted | None = None
        self._wait: asyncio.Task[None] | None = None
        self._strangers = 0
        self._pause = (0, "")
        self.withheld = ""
        """Words that the client would have been told by now."""

    @property
    def on(self) -> bool:
        """There is speech of which the client knows nothing yet."""
        return self._speech is not None

    def begin(self, speech: SpeechStarted) -> None:
        """Hold this back."""
        self.drop()
        self._speech, self._strangers = speech, 0
        self._pause, self.withheld = (0, ""), ""
        self._wait_on()

    def hear(self, heard: str) -> None:
        """A hypothesis of what is being said."""
        if self._speech is None:
            return
        if is_own(heard, self._said(self._speech.start)):
            self._strangers = 0
            self._wait_on()
            return
        self._strangers += 1
        if self._strangers >= STRANGERS:
            self.believe()

    def hear_all(self, last_speech: int, heard: str) -> None:
        """All that was said up to a pause, which began at an ear position."""
        self._pause = (last_speech, heard)

    def was_echo(self, end: SpeechStopped) -> bool:
        """All of it was heard in its last pause, and it was the reply's own."""
        last_speech, heard = self._pause
        if self._speech is None or end.split or last_speech != end.last_speech:
            return False
        said = self._said(self._speech.start, end.last_speech)
        return is_own(heard, said, asked=asks(said, ""))

    def believe(self) -> None:
        """It is a caller, or nobody knows: from now on it is speech like any other."""
        speech = self._speech
        self.drop()
        if speech:
            self._believed(speech)

    def drop(self) -> None:
        """What is held back will not be told."""
        self._speech = None
        if self._wait:
            self._wait.cancel()
            self._wait = None

    def _wait_on(self) -> None:
        if self._wait:
            self._wait.cancel()
        self._wait = self._own(self._wait_out())

    async def _wait_out(self) -> None:
        await asyncio.sleep(DOUBT_S)
        self._wait = None
        self.believe()
