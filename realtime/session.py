"""One caller, from microphone to loudspeaker. Read it top to bottom: that is the way of a turn.

    listen      audio -> the ear -> turn events
    start       speech is confirmed: the client is told, and a running reply is interrupted
    stop        the turn is over: its audio is committed to the conversation
    transcribe  the utterance goes to the recogniser, with those of all other sessions
    respond     words start a reply: language model -> pieces -> voice -> outbox

A barge-in is a number: every response has the next one, its audio is stamped with it, and once a
start of speech has closed a response nothing of it leaves any more. What was said and not answered
starts one reply, as soon as nobody speaks and every utterance has its words. The session owns all
its tasks; its end cancels and awaits them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from realtime import events
from realtime.audio import (
    SLICE_MS,
    Int16,
    SampleAligner,
)
from realtime.conversation import Conversation, Item, Message
from realtime.ear import Ear
from realtime.engines import Engines, Utterance
from realtime.errors import ProtocolError, StageError
from realtime.ids import new_id
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.reply import make_reply
from realtime.response import Response
from realtime.session_config import SessionConfig
from realtime.turns import SpeechStarted, SpeechStopped, TurnEvent

log = logging.getLogger("banter.session")

MIN_COMMIT_MS = 100
QUIET_GRACE_MS = 300
"""Beyond `silence_duration_ms` without any audio, a turn in progress is given silence."""

DEFAULT_REPLY_TOKENS = 512
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
        model: str,
        metrics: Metrics,
        binary: bool = False,
    ) -> None:
        self.id = new_id("sess")
        self.config = config
        self._engines, self._outbox, self._metrics = engines, outbox, metrics
        self._model, self._binary = model, binary
        self._expires_at = int(time.time()) + SESSION_HOURS * 3600
        self.conversation = Conversation(new_id("conv"))
        self._aligner = SampleAligner()
        self._ear = Ear(engines.detector, owner=self.id)
        self._ear.configure(config.audio.input.turn_detection)
        self._item_id = new_id("item")
        self._turn_start = 0
        self._speaking = False
        self._hearing: set[asyncio.Task[None]] = set()
        self._unanswered = False
        self._response: Response | None = None
        self._replying: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._responses = 0
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Session:
        await self._tasks.__aenter__()
        self._outbox.put(events.SessionCreated(session=self._wire()))
        return self

    async def __aexit__(self, *exc: Any) -> None:
        for task in (*self._hearing, self._replying, self._preparing):
            if task:
                task.cancel()
        await self._tasks.__aexit__(*exc)

    @property
    def quiet_after_s(self) -> float | None:
        """Without audio for this long, call `quiet`; None while no turn could be left open."""
        detection = self.config.audio.input.turn_detection
        if detection is None or self._ear.turns.idle:
            return None
        return (detection.turn_settings().silence_duration_ms + QUIET_GRACE_MS) / 1000

    # --- listen ---------------------------------------------------------------------------------

    async def hear(self, slices: Iterable[bytes]) -> None:
        """Raw audio in the session's input format; odd bytes are carried over from slice to slice.

        Slices are at most `SLICE_MS` long; other sessions get their turn between two of them.
        """
        for piece in slices:
            await self._listen(self._aligner.push(piece))

    async def quiet(self) -> None:
        """The client stopped sending in mid-turn: silence in its place ends the turn."""
        self._metrics.count("turns.ended_by_quiet")
        for _ in range(100):
            if self._ear.turns.idle:
                return
            await self._turns(await self._ear.supply_silence(SLICE_MS))

    async def _listen(self, audio: Int16) -> None:
        dropped = self._ear.dropped_samples
        await self._turns(await self._ear.hear(audio))
        if self._ear.dropped_samples > dropped:
            self._metrics.count("audio.dropped_samples", self._ear.dropped_samples - dropped)
        await asyncio.sleep(0)

    async def _turns(self, found: list[TurnEvent]) -> None:
        for event in found:
            if isinstance(event, SpeechStarted):
                self._start(event)
            else:
                self._stop(event)

    # --- start and stop of a turn ---------------------------------------------------------------

    def _start(self, event: SpeechStarted) -> None:
        self._speaking = True
        self._item_id, self._turn_start = new_id("item"), event.start
        start_ms = self._ear.client_ms(event.start)
        self._outbox.put(events.SpeechStarted(audio_start_ms=start_ms, item_id=self._item_id))
        if event.continues:
            return
        detection = self.config.audio.input.turn_detection
        if detection is None or detection.interrupt_response:
            self._interrupt("turn_detected")
        if not self._response and not (self._preparing and not self._preparing.done()):
            self._preparing = self._own(self._prepare())

    async def _prepare(self) -> None:
        """While the caller speaks, the language model reads the history."""
        await self._engines.replier.prepare(self._prompt(self.config.instructions), owner=self.id)

    def _stop(self, event: SpeechStopped) -> None:
        self._speaking = event.split
        end_ms = self._ear.client_ms(event.end)
        self._outbox.put(events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
        detection = self.config.audio.input.turn_detection
        answer = detection is not None and detection.create_response and not event.split
        self._commit(self._ear.turn_audio(event, self._turn_start), answer=answer)
        self._metrics.count("turns")

    def _commit(self, audio: Int16, *, answer: bool) -> None:
        """An utterance becomes an item of the conversation, and its words are asked for."""
        item = Item(self._item_id, "user", "input_audio")
        before = self.conversation.add(item)
        self._outbox.put(events.AudioCommitted(previous_item_id=before, item_id=item.id))
        self._outbox.put(events.ItemAdded(previous_item_id=before, item=item.wire()))
        self._outbox.put(events.ItemDone(previous_item_id=before, item=item.wire()))
        self._item_id = new_id("item")
        task = self._own(self._transcribe(item, audio, answer))
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    # --- transcribe -----------------------------------------------------------------------------

    async def _transcribe(self, item: Item, audio: Int16, answer: bool) -> None:
        """The words of an utterance; words that nobody answered yet start a reply."""
        settings = self.config.audio.input.transcription
        language = settings.language if settings else None
        begun = time.perf_counter()
        try:
            utterance = Utterance(audio, language)
            heard = await self._engines.transcriber.transcribe(utterance, owner=self.id)
        except StageError as error:
            self._transcription_failed(item, error)
            return
        self._metrics.observe("turn.transcript_ms", (time.perf_counter() - begun) * 1e3)
        item.text = heard.text
        if settings:
            self._outbox.put(
                events.TranscriptionCompleted(
                    item_id=item.id,
                    content_index=0,
                    transcript=heard.text,
                    usage={"type": "duration", "seconds": round(heard.seconds, 3)},
                )
            )
        if not heard.text:
            self._metrics.count("turns.empty")
        elif answer:
            self._unanswered = True
        self._answer()

    def _transcription_failed(self, item: Item, error: StageError) -> None:
        self._metrics.count("turns.transcription_failed")
        log.warning("session %s: transcription failed: %s", self.id, error)
        body = {"type": "server_error", "code": error.code, "message": str(error)}
        if self.config.audio.input.transcription:
            self._outbox.put(
                events.TranscriptionFailed(item_id=item.id, content_index=0, error=body)
            )
        else:
            self._outbox.put(events.Error(error=events.ErrorBody(**body)))

    # --- respond --------------------------------------------------------------------------------

    def _answer(self) -> None:
        """Start a reply to what was said, unless somebody speaks, is being replied to, or is still
        being transcribed: each of these calls again when it ends."""
        others = {t for t in self._hearing if not t.done()} - {asyncio.current_task()}
        if self._unanswered and not (self._speaking or others or self._response):
            self._respond(events.ResponseBody())

    def _respond(self, body: events.ResponseBody) -> None:
        """Begin a response under the current turn."""
        config = self.config
        if body.output_modalities:
            config = config.updated({"output_modalities": body.output_modalities})
        if body.max_output_tokens is not None:
            config = config.updated({"max_output_tokens": body.max_output_tokens})
        self._responses += 1
        response = Response(
            self._responses,
            outbox=self._outbox,
            conversation=self.conversation,
            spoken=config.spoken,
            voice=config.audio.output.voice,
            max_output_tokens=config.max_output_tokens,
            metadata=body.metadata,
            binary=self._binary,
        )
        self._response = response
        self._unanswered = False
        response.open()
        instructions = config.instructions if body.instructions is None else body.instructions
        self._replying = self._own(self._reply(response, config, instructions))

    async def _reply(self, response: Response, config: SessionConfig, instructions: str) -> None:
        """One response from its first word to its end; always closes it."""
        try:
            await self._heard_all()
            if self._preparing:
                self._preparing.cancel()
            response.begin()
            limit = config.max_output_tokens
            prompt = self._prompt(instructions)
            response.count_prompt(prompt)
            cut = await make_reply(
                response,
                prompt,
                self._engines,
                spoken=config.spoken,
                speed=config.audio.output.speed,
                max_tokens=limit if isinstance(limit, int) else DEFAULT_REPLY_TOKENS,
                owner=self.id,
            )
            if cut and isinstance(limit, int):
                response.close("incomplete", {"reason": "max_output_tokens"})
            else:
                response.close("completed")
        except StageError as error:
            self._metrics.count(f"replies.failed.{error.stage}")
            log.warning("session %s: reply failed in %s: %s", self.id, error.stage, error)
            body = {"type": "server_error", "code": error.code, "message": str(error)}
            response.close("failed", {"error": body})
        except Exception:
            self._metrics.count("replies.failed.bug")
            log.exception("session %s: reply failed", self.id)
            body = {"type": "server_error", "code": "internal_error", "message": "internal error"}
            response.close("failed", {"error": body})
        finally:
            if self._response is response:
                self._response = None
        self._answer()

    def _prompt(self, instructions: str) -> list[Message]:
        budget = self._engines.replier.prompt_tokens
        return self.conversation.prompt(instructions, budget_tokens=budget)

    async def _heard_all(self) -> None:
        """Wait for the words of everything committed so far."""
        while self._hearing:
            await asyncio.wait(self._hearing)

    def _interrupt(self, reason: str) -> None:
        """Stop the reply at once: its last events go out now, and none follows."""
        if self._response is None:
            return
        self._response.close("cancelled", {"reason": reason})
        if not self._response.item.audio_samples and reason == "turn_detected":
            self._unanswered = True  # not a sound of it was heard: what was said is still open
        self._response = None
        self._metrics.count("replies.interrupted")
        if self._replying:
            self._replying.cancel()

    # --- what a client may ask for in so many words ---------------------------------------------

    def configure(self, patch: dict[str, Any]) -> None:
        """Merge a client's `session` object and echo the whole; a turn in progress goes on.

        Raises:
            ProtocolError: a value cannot be used; nothing was changed.
        """
        self.config = self.config.updated(patch)
        self._ear.configure(self.config.audio.input.turn_detection)
        if not self._ear.turns.in_turn:
            self._speaking = False
        self._outbox.put(events.SessionUpdated(session=self._wire()))

    def commit(self) -> None:
        """Make an item of what was heard since the last one; starts no response.

        Raises:
            ProtocolError: there is less than 100 ms of audio.
        """
        if self._ear.buffered_ms < MIN_COMMIT_MS:
            raise ProtocolError(
                f"the input audio buffer holds {self._ear.buffered_ms} ms; "
                f"a commit needs at least {MIN_COMMIT_MS} ms",
                code="input_audio_buffer_commit_empty",
            )
        if self._speaking:
            end_ms = self._ear.client_ms(self._ear.turns.position)
            self._outbox.put(events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
            self._speaking = False
        self._commit(self._ear.commit(), answer=False)

    def clear(self) -> None:
        """Forget what was heard and not committed, and a turn in progress with it."""
        self._ear.clear()
        self._speaking = False
        self._outbox.put(events.AudioCleared())

    def respond(self, body: events.ResponseBody) -> None:
        """Start a response now; it waits for the words of what was committed before.

        Raises:
            ProtocolError: one is running already.
        """
        if self._response is not None:
            raise ProtocolError(
                f"conversation already has an active response in progress: {self._response.id}",
                code="conversation_already_has_active_response",
            )
        self._respond(body)

    def cancel(self, response_id: str | None) -> None:
        """Stop the running response, if it is the one that is meant.

        Raises:
            ProtocolError: no such response is running; clients know the code and go on.
        """
        active = self._response
        if active is None or response_id not in (None, active.id):
            raise ProtocolError(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        self._interrupt("client_cancelled")

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _wire(self) -> dict[str, Any]:
        return self.config.wire(session_id=self.id, model=self._model, expires_at=self._expires_at)
