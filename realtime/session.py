"""One caller, from microphone to loudspeaker. Read it top to bottom: that is the way of a turn.

    listen      audio -> the ear -> turn events
    start       speech is confirmed: the client is told, and a running reply is interrupted
    stop        the turn is over: `hearing` makes an item of its audio and has it transcribed
    respond     words start a reply: `speaker` has it written, spoken and sent

A barge-in closes the running response: whoever still makes it may go on for a moment, but nothing
of it leaves any more. What was said and not answered starts one reply, as soon as nobody speaks and
every utterance has its words. The session owns all its tasks; its end cancels and awaits them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any

from realtime import client_events, server_events
from realtime.audio import SLICE_MS, Int16
from realtime.conversation import Conversation
from realtime.ear import Ear
from realtime.engines import Engines
from realtime.errors import ProtocolError, StageError
from realtime.hearing import Hearing
from realtime.ids import new_id
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.response import Response
from realtime.session_config import ServerVad, SessionConfig
from realtime.speaker import Manners, Speaker
from realtime.turns import SpeechStarted, SpeechStopped, TurnEvent
from realtime.voice_choice import check_voice

log = logging.getLogger("banter.session")

MIN_COMMIT_MS = 100
QUIET_GRACE_MS = 300
"""Beyond `silence_duration_ms` without any audio, a turn in progress is given silence."""

SESSION_HOURS = 1
"""Told as `expires_at`; nothing ends a session at that time."""


class Session:
    """Use as an async context manager; feed it with what the client sends, in its order."""

    def __init__(
        self,
        engines: Engines,
        outbox: Outbox,
        *,
        config: SessionConfig,
        metrics: Metrics,
        manners: Manners,
        binary: bool = False,
    ) -> None:
        self.id = new_id("sess")
        self.config = config
        self._engines, self._outbox, self._metrics = engines, outbox, metrics
        self._expires_at = int(time.time()) + SESSION_HOURS * 3600
        self.conversation = Conversation(new_id("conv"))
        self._manners = manners
        self._ear = Ear(engines.detector, owner=self.id)
        self._ear.configure(config.audio.input.turn_detection, config.input_format)
        self._heard_s = 0.0
        self._dropped = 0
        self._item_id = new_id("item")
        self._turn_start = 0
        self._speaking = False
        self._unanswered = False
        self._idle: asyncio.Task[None] | None = None
        self._tasks = asyncio.TaskGroup()
        self._hearing = Hearing(
            self.id,
            engines.transcriber,
            outbox,
            self.conversation,
            metrics=metrics,
            tasks=self._tasks,
            heard=self._heard,
        )
        self._speaker = Speaker(
            self.id,
            engines,
            outbox,
            self.conversation,
            metrics=metrics,
            manners=manners,
            binary=binary,
            tasks=self._tasks,
            heard_all=self._heard_all,
            finished=self._finished,
        )

    async def __aenter__(self) -> Session:
        await self._tasks.__aenter__()
        self._outbox.put(server_events.SessionCreated(session=self._wire()))
        if self._manners.greeting and self._converses:
            self._respond(client_events.ResponseBody(), saying=self._manners.greeting)
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._speaker.close()
        self._hearing.close()
        if self._idle:
            self._idle.cancel()
        try:
            await self._tasks.__aexit__(*exc)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    @property
    def _converses(self) -> bool:
        """False in a session for transcription: it hears, and never says anything."""
        return self.config.type == "realtime"

    @property
    def quiet_after_s(self) -> float | None:
        """Without audio for this long, call `quiet`; None while no turn could be left open."""
        detection = self.config.audio.input.turn_detection
        if detection is None or self._ear.turns.idle:
            return None
        limit_s = (detection.turn_settings().silence_duration_ms + QUIET_GRACE_MS) / 1000
        return max(0.0, self._heard_s + limit_s - asyncio.get_running_loop().time())

    @property
    def slice_bytes(self) -> int:
        """Bytes in `SLICE_MS` of the client's audio."""
        wire = self.config.input_format
        return wire.rate_hz * wire.sample_bytes * SLICE_MS // 1000

    # --- listen ---------------------------------------------------------------------------------

    async def hear(self, slices: Iterable[bytes]) -> None:
        """Raw audio in the session's input format; odd bytes are carried over from slice to slice.

        Slices are at most `SLICE_MS` long; other sessions get their turn between two of them.
        """
        for piece in slices:
            self._heard_s = asyncio.get_running_loop().time()
            await self._attend(self._ear.hear(piece))
            self._tell_dropped()
            await asyncio.sleep(0)

    async def quiet(self) -> None:
        """The client stopped sending in mid-turn: silence in its place ends the turn."""
        self._metrics.count("turns.ended_by_quiet")
        for _ in range(100):
            if self._ear.turns.idle:
                return
            await self._attend(self._ear.supply_silence(SLICE_MS))

    def _tell_dropped(self) -> None:
        """Audio that nobody commits is lost in the end: counted always, and told when it begins."""
        dropped, self._dropped = (
            self._ear.dropped_samples - self._dropped,
            self._ear.dropped_samples,
        )
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
            log.warning("session %s: hearing failed: %s", self.id, error)
            self._ear.skip()
            self._outbox.put(server_events.failure_event(error))
            return
        for event in found:
            if isinstance(event, SpeechStarted):
                self._start(event)
            else:
                self._stop(event)

    # --- start and stop of a turn ---------------------------------------------------------------

    def _start(self, event: SpeechStarted) -> None:
        self._speaking = True
        self._stop_idling()
        self._item_id, self._turn_start = new_id("item"), event.start
        start_ms = self._ear.client_ms(event.start)
        self._outbox.put(
            server_events.SpeechStarted(audio_start_ms=start_ms, item_id=self._item_id)
        )
        if event.continues or not self._converses:
            return
        detection = self.config.audio.input.turn_detection
        if detection and detection.interrupt_response:
            self._interrupt()
        self._speaker.prepare(self.config)

    def _stop(self, event: SpeechStopped) -> None:
        self._speaking = event.split
        end_ms = self._ear.client_ms(event.end)
        self._outbox.put(server_events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
        detection = self.config.audio.input.turn_detection
        answer = detection is not None and detection.create_response and self._converses
        self._commit(self._ear.turn_audio(event, self._turn_start), answer=answer)
        self._metrics.count("turns")

    def _commit(self, audio: Int16, *, answer: bool) -> None:
        settings = self.config.audio.input.transcription
        self._hearing.commit(self._take_item_id(), audio, settings, answer=answer)

    def _take_item_id(self) -> str:
        """The id of the item that is being heard; what comes next has another."""
        taken, self._item_id = self._item_id, new_id("item")
        return taken

    # --- respond --------------------------------------------------------------------------------

    def _heard(self, asks: bool) -> None:
        """An utterance was transcribed, or could not be; words that nobody answered yet `ask`."""
        if asks and self._converses:
            self._unanswered = True
        self._answer()

    def _answer(self) -> None:
        """Start a reply to what was said, unless somebody speaks, is being replied to, or is still
        being transcribed: each of these calls again when it ends."""
        busy = self._speaking or self._hearing.busy or self._speaker.active
        if self._unanswered and not busy:
            self._respond(client_events.ResponseBody(), answers=True)

    def _respond(
        self, body: client_events.ResponseBody, *, saying: str = "", answers: bool = False
    ) -> None:
        self._speaker.respond(self.config, body, saying=saying, answers=answers)
        self._stop_idling()

    def _interrupt(self) -> None:
        stopped = self._speaker.interrupt()
        if stopped and stopped.answers and stopped.unheard:
            self._unanswered = True  # not a word of the answer was heard: the question is open

    def _finished(self, response: Response) -> None:
        self._answer()
        if not self._speaker.active:
            self._start_idling(response)

    async def _heard_all(self, answers: bool) -> None:
        """Wait for the words of all that was committed; the reply that follows `answers` them."""
        await self._hearing.wait()
        if answers:
            self._unanswered = False

    # --- nobody says anything -------------------------------------------------------------------

    def _start_idling(self, response: Response) -> None:
        detection = self.config.audio.input.turn_detection
        if isinstance(detection, ServerVad) and detection.idle_timeout_ms and not self._speaking:
            self._stop_idling()
            self._idle = self._own(self._idle_out(response, detection.idle_timeout_ms / 1000))

    def _stop_idling(self) -> None:
        if self._idle and self._idle is not asyncio.current_task():
            self._idle.cancel()

    async def _idle_out(self, response: Response, idle_s: float) -> None:
        """The reply was played and nothing was said for a while: the assistant speaks again."""
        await asyncio.sleep(response.playout.ahead_s(asyncio.get_running_loop().time()) + idle_s)
        if self._speaker.active or self._speaking or self._hearing.busy:
            return
        end_ms = self._ear.client_ms(self._ear.turns.position)
        start_ms = max(0, end_ms - int(idle_s * 1000))
        self._outbox.put(
            server_events.TimeoutTriggered(
                audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=self._item_id
            )
        )
        item = self._hearing.add(self._take_item_id())
        item.text = ""
        self._respond(client_events.ResponseBody())

    # --- what a client may ask for in so many words ---------------------------------------------

    def configure(self, patch: dict[str, Any]) -> None:
        """Merge a client's `session` object and echo the whole; a turn in progress goes on.

        Raises:
            ProtocolError: a value cannot be used; nothing was changed.
        """
        config = self.config.updated(patch)
        voice = config.audio.output.voice
        if voice != self.config.audio.output.voice:
            check_voice(voice, self._engines.voice.names(), root="session")
        self.config = config
        if not self._converses:
            self._unanswered = False
            self._speaker.stop("client_cancelled")
        self._ear.configure(self.config.audio.input.turn_detection, self.config.input_format)
        if self._speaking and not self._ear.turns.in_turn:
            self._end_speech()
        self._stop_idling()
        self._outbox.put(server_events.SessionUpdated(session=self._wire()))
        self._answer()

    def commit(self) -> None:
        """Make an item of what was heard since the last one; starts no response.

        Raises:
            ProtocolError: there is less than 100 ms of audio.
        """
        if self._ear.buffered_ms < MIN_COMMIT_MS:
            raise ProtocolError(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{MIN_COMMIT_MS}ms of audio, but buffer only has {self._ear.buffered_ms:.2f}ms "
                "of audio.",
                code="input_audio_buffer_commit_empty",
            )
        if self._speaking:
            self._end_speech()
        self._commit(self._ear.commit(), answer=False)

    def _end_speech(self) -> None:
        """A turn in progress ends because the client says so."""
        end_ms = self._ear.client_ms(self._ear.turns.position)
        self._outbox.put(server_events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
        self._speaking = False

    def clear(self) -> None:
        """Forget what was heard and not committed, and a turn in progress with it."""
        if self._speaking:
            self._end_speech()
        self._ear.clear()
        self._item_id = new_id("item")
        self._outbox.put(server_events.AudioCleared())
        self._answer()

    def respond(self, body: client_events.ResponseBody) -> None:
        """Start a response now; it waits for the words of what was committed before.

        Raises:
            ProtocolError: one is running already, or the session is for transcription.
        """
        if not self._converses:
            raise ProtocolError(
                "a session of type 'transcription' makes no responses; open one without "
                "`intent=transcription`, or send session.update with type 'realtime'",
                code="response_not_supported",
                param="type",
            )
        if active := self._speaker.active:
            raise ProtocolError(
                f"Conversation already has an active response in progress: {active.id}",
                code="conversation_already_has_active_response",
            )
        self._respond(body)

    def truncate(self, item_id: str, heard_ms: int) -> None:
        """Keep of a spoken item what the client says that it played."""
        self.conversation.cut(item_id, heard_ms)
        self._speaker.played(item_id)

    def cancel(self, response_id: str | None) -> None:
        """Stop the running response, if it is the one that is meant.

        Raises:
            ProtocolError: no such response is running; clients know the code and go on.
        """
        active = self._speaker.active
        if active is None or response_id not in (None, active.id):
            raise ProtocolError(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        self._speaker.stop("client_cancelled")
        self._answer()

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _wire(self) -> dict[str, Any]:
        return self.config.wire(session_id=self.id, expires_at=self._expires_at)
