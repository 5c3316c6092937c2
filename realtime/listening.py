"""A client's audio on its way to turns: through the ear, and past what is doubted to be a caller.

Who listens is told of `started` and `stopped`. Speech that may be the reply's own is held back
until it is believed, and never told if it was an echo.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from realtime import server_events
from realtime.ahead import Ahead
from realtime.audio import EAR_RATE_HZ, SLICE_MS, ms_to_samples
from realtime.doubt import Doubt
from realtime.draft import Plan
from realtime.ear import Ear
from realtime.engines import Engines, Transcript
from realtime.errors import StageError
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.partials import Own
from realtime.reading_ahead import Prompt
from realtime.session_config import SessionConfig
from realtime.speaker import Speaker
from realtime.turns import SpeechStarted, SpeechStopped, TurnEvent, TurnPaused, TurnResumed

log = logging.getLogger("banter.listening")

QUIET_GRACE_MS = 300
"""Beyond `silence_duration_ms` without any audio, a turn in progress is given silence."""


class Listening:
    """One session's ear. `tell`, `plan`, `prompt` and `reads` are those of `Ahead`."""

    def __init__(
        self,
        engines: Engines,
        outbox: Outbox,
        speaker: Speaker,
        *,
        owner: str,
        own: Own,
        metrics: Metrics,
        config: SessionConfig,
        speculates: bool,
        started: Callable[[SpeechStarted], None],
        stopped: Callable[[SpeechStopped], None],
        tell: Callable[[str], None],
        plan: Callable[[Transcript], Plan | None],
        prompt: Prompt,
        reads: Callable[[], bool],
    ) -> None:
        self._outbox, self._speaker = outbox, speaker
        self._owner, self._metrics = owner, metrics
        self._started, self._stopped = started, stopped
        self.ear = Ear(engines.detector, owner=owner, end_of_turn=engines.end_of_turn, spawn=own)
        self._doubt = Doubt(own=own, said=self.said, believed=self._believed)
        self.ahead = Ahead(
            engines,
            self.ear.turns,
            self._doubt,
            owner=owner,
            own=own,
            metrics=metrics,
            speculates=speculates,
            tell=tell,
            plan=plan,
            prompt=prompt,
            judge=self.ear.judge,
            reads=reads,
        )
        self.configure(config)
        self._heard_s = 0.0
        self._dropped = 0

    def configure(self, config: SessionConfig) -> None:
        """Take new settings; a turn in progress goes on, unless turns are not detected any more."""
        self._config = config
        self.ahead.settings = config.audio.input.transcription
        self.ear.configure(config.audio.input.turn_detection, config.input_format)
        if not self.ear.turns.in_turn:
            self.undoubt()

    def close(self) -> None:
        """Cancel what runs; whoever owns the tasks awaits them."""
        self._doubt.drop()
        self.ahead.close()
        self.ear.close()

    @property
    def quiet_after_s(self) -> float | None:
        """Without audio for this long, call `quiet`; None while no turn could be left open."""
        detection = self._config.audio.input.turn_detection
        if detection is None or self.ear.turns.idle:
            return None
        limit_s = (detection.turn_settings().silence_duration_ms + QUIET_GRACE_MS) / 1000
        return max(0.0, self._heard_s + limit_s - asyncio.get_running_loop().time())

    @property
    def at_rest(self) -> bool:
        """No turn is in progress, told or in doubt, and nothing waits for a client that ends turns
        itself."""
        if self._config.audio.input.turn_detection is None and self.ear.buffered_ms:
            return False
        return self.ear.turns.idle and not self._doubt.on

    @property
    def slice_bytes(self) -> int:
        """Bytes in `SLICE_MS` of the client's audio."""
        wire = self._config.input_format
        return wire.rate_hz * wire.sample_bytes * SLICE_MS // 1000

    # --- audio ----------------------------------------------------------------------------------

    async def hear(self, slices: Iterable[bytes]) -> None:
        """Raw audio in the client's format; odd bytes are carried over from slice to slice.

        Slices are at most `SLICE_MS` long; other sessions get their turn between two of them.
        """
        for piece in slices:
            self._heard_s = asyncio.get_running_loop().time()
            await self._attend(self.ear.hear(piece))
            self.ahead.hear(self.ear.turns.position, self.ear.audio)
            self.ear.judge()
            self._tell_dropped()
            await asyncio.sleep(0)

    async def quiet(self) -> None:
        """The client stopped sending in mid-turn: silence in its place ends the turn."""
        self._metrics.count("turns.ended_by_quiet")
        for _ in range(100):
            if self.ear.turns.idle:
                return
            await self._attend(self.ear.supply_silence(SLICE_MS))
            self.ear.judge()

    def _tell_dropped(self) -> None:
        """Audio that nobody commits is lost in the end: counted always, and told when it begins."""
        dropped, self._dropped = self.ear.dropped_samples - self._dropped, self.ear.dropped_samples
        if not dropped:
            return
        self._metrics.count("audio.dropped_samples", dropped)
        if dropped == self._dropped:
            message = "the input audio buffer is full and its oldest audio is being dropped: "
            body = server_events.ErrorBody(
                type="invalid_request_error",
                code="input_audio_buffer_full",
                message=f"{message}commit or clear it",
            )
            self._outbox.put(server_events.Error(error=body))

    async def _attend(self, hearing: Awaitable[list[TurnEvent]]) -> None:
        """Act on the turn events in some audio; a detector that fails costs that audio alone."""
        try:
            found = await hearing
        except StageError as error:
            self._metrics.count("hearing.failed")
            self._metrics.failed(error)
            log.warning("session %s: hearing failed: %s", self._owner, error)
            found = self.ear.skip()
            self._outbox.put(server_events.failure_event(error))
        for event in found:
            if isinstance(event, SpeechStarted):
                self._start(event)
            elif isinstance(event, TurnPaused):
                self.ahead.pause(event)
            elif isinstance(event, TurnResumed):
                self.ahead.drop_draft()
            elif isinstance(event, SpeechStopped):
                self._stop(event)

    # --- turns ----------------------------------------------------------------------------------

    def _start(self, event: SpeechStarted) -> None:
        if self._may_be_echo(event):
            self._doubt.begin(event)
        self.ahead.begin(event.start)
        if not self._doubt.on:
            self._started(event)

    def _stop(self, event: SpeechStopped) -> None:
        if self._doubt.was_echo(event):
            self.undoubt()
            self._metrics.count("turns.echo")
            self._metrics.count("interruptions.echo")
            return
        self._doubt.believe()
        self._stopped(event)

    def _may_be_echo(self, event: SpeechStarted) -> bool:
        """The reply was heard before in this session, and something of one plays now."""
        if event.continues or not self._speaker.kept.hears_itself:
            return False
        return self._config.type == "realtime" and bool(self.said(event.start))

    def _believed(self, event: SpeechStarted) -> None:
        self._started(event)
        self.ahead.believe()

    def undoubt(self) -> None:
        """Speech that was held back comes to nothing."""
        if self._doubt.on:
            self._doubt.drop()
            self.ahead.drop()

    def said(self, start: int, end: int | None = None) -> str:
        """What a loudspeaker may have played of replies between two ear positions; without an end
        up to now."""
        turns = self.ear.turns
        start += ms_to_samples(turns.settings.prefix_padding_ms, EAR_RATE_HZ)
        end = turns.position if end is None else end
        begun_s, ended_s = ((turns.position - each) / EAR_RATE_HZ for each in (start, end))
        return self._speaker.loudspeaker.said(begun_s, ended_s)
