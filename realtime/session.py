"""One caller, from microphone to loudspeaker. Read it top to bottom: that is the way of a turn.

    listen      audio -> `listening`: the ear, and what can be known ahead -> turn events
    start       speech is confirmed: the client is told, and a running reply is interrupted
    stop        the turn is over: `hearing` makes an item of its audio and has it transcribed
    respond     words start a reply: `speaker` has it written, spoken and sent

A barge-in closes the running response: whoever still makes it may go on for a moment, but nothing
of it leaves any more. What was said and not answered starts one reply, as soon as nobody speaks and
every utterance has its words. The session owns all its tasks; its end cancels and awaits them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from realtime import client_events, server_events
from realtime.audio import EAR_RATE_HZ, Int16
from realtime.conversation import Conversation
from realtime.draft import Draft, Plan
from realtime.engines import Engines, Transcript
from realtime.faint_end import faint_end
from realtime.hearing import Hearing
from realtime.idling import Idling
from realtime.ids import new_id
from realtime.listening import Listening
from realtime.log_context import ITEM
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.prompt import Message
from realtime.response import Response
from realtime.session_config import ServerVad, SessionConfig
from realtime.speaker import Manners, Speaker
from realtime.turn_report import TurnReport
from realtime.turn_timing import TurnWatch
from realtime.turns import SpeechStarted, SpeechStopped
from realtime.voice_choice import check_voice

LASTS_S = 3_600.0
"""Until `expires_at`. The edge ends a session at that time (`lifetime.py`)."""


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
        lasts_s: float = LASTS_S,
        turn_over: Callable[[TurnReport], None] = lambda report: None,
    ) -> None:
        self.id = new_id("sess")
        self.config = config
        self._engines, self._outbox, self._metrics = engines, outbox, metrics
        self._expires_at = int(time.time() + lasts_s)
        self.conversation = Conversation(new_id("conv"))
        self.timing = TurnWatch(self.id, turn_over)
        self._manners = manners
        self._item_id = new_id("item")
        self._turn_start = self._ended_ms = 0
        self._speaking = False
        self._unanswered = False
        self._broke_off = False
        """Speech has stopped a reply, and nobody knows yet what it was."""
        self._last_response: Response | None = None
        self._tasks = asyncio.TaskGroup()
        self._hearing = Hearing(
            self.id,
            engines.transcriber,
            outbox,
            self.conversation,
            metrics=metrics,
            tasks=self._tasks,
            heard=self._heard,
            judge=self._judge,
            timed=lambda item_id, stretch, verdict: self.timing.heard(
                item_id, stretch, verdict, answers=self._converses
            ),
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
            opens=lambda response: self.timing.answers(response.id, lambda: response.making),
        )
        self.listening = Listening(
            engines,
            outbox,
            self._speaker,
            owner=self.id,
            own=self._own,
            metrics=metrics,
            config=config,
            speculates=manners.speculates,
            started=self._start,
            stopped=self._stop,
            tell=lambda delta: self._hearing.tell_delta(self._item_id, delta),
            plan=self._plan,
            prompt=self._prompt,
            reads=lambda: manners.speculates and engines.reader is not None and self._answers,
        )
        self._ear, self._ahead = self.listening.ear, self.listening.ahead
        self._idling = Idling(own=self._own, over=self._idle_out)

    async def __aenter__(self) -> Session:
        await self._tasks.__aenter__()
        self._outbox.put(server_events.SessionCreated(session=self._wire()))
        if self._manners.greeting and self._converses:
            self.respond(client_events.ResponseBody(), saying=self._manners.greeting)
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._speaker.close()
        self.listening.close()
        self._hearing.close()
        self._idling.stop()
        try:
            await self._tasks.__aexit__(*exc)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    def close_turns(self) -> None:
        """Nothing more is sent: turns that are not over come to no end."""
        self.timing.close(asyncio.get_running_loop().time())

    @property
    def _converses(self) -> bool:
        """False in a session for transcription: it hears, and never says anything."""
        return self.config.type == "realtime"

    # --- start and stop of a turn ---------------------------------------------------------------

    def _start(self, event: SpeechStarted) -> None:
        self._speaking = True
        self._idling.stop()
        self._speaker.hold(None)
        self._speaker.kept.unjudge()
        self._item_id, self._turn_start = new_id("item"), event.start
        ITEM.set(self._item_id)
        # the prefix may reach into the silence that ended the turn before; times told rise
        start_ms = max(self._ended_ms, self._ear.client_ms(event.start))
        self._outbox.put(
            server_events.SpeechStarted(audio_start_ms=start_ms, item_id=self._item_id)
        )
        if event.continues or not self._converses:
            return
        self._broke_off = False
        detection = self.config.audio.input.turn_detection
        if detection and detection.interrupt_response:
            self._interrupt()
        self._speaker.prepare(self.config)

    def _stop(self, event: SpeechStopped) -> None:
        self._speaking = event.split
        end_ms = self._ended_ms = self._ear.client_ms(event.end)
        self._outbox.put(server_events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
        audio = self._ear.turn_audio(event, self._turn_start)
        draft = self._ahead.draft(event)
        said = self.listening.said(self._turn_start, event.last_speech)
        silence = self._ear.received - event.last_speech
        spoken = audio[: event.last_speech - self._turn_start]
        faint = faint_end(spoken)
        self._time_turn(silence + faint, draft, spoken=len(spoken) - faint)
        self._commit(audio, answer=self._answers, draft=draft, said=said)
        self._speaker.hold(draft)
        self._metrics.count("turns")

    def _time_turn(self, silence: int, draft: Draft | None = None, *, spoken: int) -> None:
        """A turn is over, and this many of the ear's samples ago nothing was said any more. So many
        of them were `spoken` before."""
        now_s, silence_s = asyncio.get_running_loop().time(), silence / EAR_RATE_HZ
        self.timing.ended(
            self._item_id,
            now_s,
            silence_s,
            lambda: draft is not None and draft.taken,
            speech_s=spoken / EAR_RATE_HZ,
        )

    @property
    def _answers(self) -> bool:
        """Whether a turn asks for a response."""
        detection = self.config.audio.input.turn_detection
        return detection is not None and detection.create_response and self._converses

    def _commit(
        self, audio: Int16, *, answer: bool, draft: Draft | None = None, said: str = ""
    ) -> None:
        settings = self.config.audio.input.transcription
        shown = self._ahead.words()
        item_id = self._take_item_id()
        self._hearing.commit(item_id, audio, settings, shown, answer=answer, draft=draft, said=said)

    def _plan(self, heard: Transcript) -> Plan | None:
        """What would be replied if the turn were over, and these its words."""
        return self._speaker.plan(self.config, heard) if self._speculates else None

    def _prompt(self, words: str) -> Sequence[Message] | None:
        """What the language model would read of a turn that begins with these words."""
        return self._speaker.prompt(self.config, words) if self._speculates else None

    @property
    def _speculates(self) -> bool:
        """Whether anything may be begun for a turn that is not over."""
        return self._manners.speculates and not self._hearing.busy and self._answers

    def _take_item_id(self) -> str:
        """The id of the item that is being heard; what comes next has another."""
        taken, self._item_id = self._item_id, new_id("item")
        ITEM.set(taken)
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
        if self._speaking or self._hearing.busy or self.active:
            return
        if self._converses and self._speaker.resume(self.config):
            self.timing.resumed(asyncio.get_running_loop().time())
            self._unanswered = False
            self._idling.stop()
        elif self._unanswered:
            self.respond(client_events.ResponseBody(), answers=True)
        else:
            self._speaker.hold(None)
            self._idle()

    def respond(
        self, body: client_events.ResponseBody, *, saying: str = "", answers: bool = False
    ) -> None:
        """Start a response, while there is none; it waits for the words of what was committed
        before."""
        self._speaker.respond(self.config, body, saying=saying, answers=answers)
        self._idling.stop()

    def _judge(self, text: str, said: str) -> str:
        """What an utterance was, as `Kept` tells it; of one that stopped a reply it is counted."""
        verdict = self._speaker.kept.judge(text, said)
        if self._broke_off:
            self._broke_off = False
            kind = "barge_in" if verdict == "words" else verdict
            self._metrics.count(f"interruptions.{kind}")
        return verdict

    def _interrupt(self) -> None:
        self._broke_off = self._speaker.audible
        stopped = self._speaker.interrupt()
        if not self._answers:
            self._speaker.kept.forget()  # this client decides itself when something is said
        if stopped and stopped.answers and stopped.unheard:
            self._unanswered = True  # not a word of the answer was heard: the question is open

    def _finished(self, response: Response) -> None:
        self._last_response = response
        self._answer()
        if self._converses:
            self._speaker.prepare(self.config)  # a history that was shortened is read anew

    def _idle(self) -> None:
        """Nobody says anything, and nothing is left to be answered."""
        detection = self.config.audio.input.turn_detection
        last = self._last_response
        if last and isinstance(detection, ServerVad) and detection.idle_timeout_ms:
            self._idling.start(last, detection.idle_timeout_ms)

    async def _heard_all(self, answers: bool) -> None:
        """Wait for the words of all that was committed; the reply that follows `answers` them."""
        await self._hearing.wait()
        if answers:
            self._unanswered = False

    def _idle_out(self, idle_ms: int) -> None:
        """The reply was played and nothing was said for a while: the assistant speaks again."""
        if self._speaker.active or self._speaking or self._hearing.busy:
            return
        end_ms = self._ear.client_ms(self._ear.turns.position)
        start_ms = max(0, end_ms - idle_ms)
        self._outbox.put(
            server_events.TimeoutTriggered(
                audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=self._item_id
            )
        )
        self._hearing.add(self._take_item_id()).text = ""
        self.respond(client_events.ResponseBody())

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
        self.listening.configure(self.config)
        if self._speaking and not self._ear.turns.in_turn:
            self._end_speech()
        self._idling.stop()
        self._outbox.put(server_events.SessionUpdated(session=self._wire()))
        self._answer()

    def commit(self) -> None:
        """Make an item of what was heard since the last one; starts no response."""
        self.listening.undoubt()
        self.move_on()
        if self._speaking:
            self._end_speech()
        audio = self._ear.commit()
        self._time_turn(0, spoken=len(audio))
        self._commit(audio, answer=False)

    def move_on(self) -> None:
        """The client has a plan of its own: what is left of a reply will not be said."""
        self._speaker.kept.forget()

    def _end_speech(self) -> None:
        """A turn in progress ends because the client says so."""
        self.move_on()
        self._ahead.drop_draft()
        end_ms = self._ended_ms = self._ear.client_ms(self._ear.turns.position)
        self._outbox.put(server_events.SpeechStopped(audio_end_ms=end_ms, item_id=self._item_id))
        self._speaking = False

    def clear(self) -> None:
        """Forget what was heard and not committed, and a turn in progress with it."""
        self.move_on()
        if self._speaking:
            self._end_speech()
        self.listening.undoubt()
        self._ear.clear()
        self._ahead.drop()
        self._item_id = new_id("item")
        self._outbox.put(server_events.AudioCleared())
        self._answer()

    def truncate(self, item_id: str, heard_ms: int) -> None:
        """Keep of a spoken item what the client says that it played."""
        self.conversation.cut(item_id, heard_ms)
        self._speaker.played(item_id)

    @property
    def active(self) -> Response | None:
        """The response that runs."""
        return self._speaker.active

    @property
    def at_rest(self) -> bool:
        """Nobody says anything, nothing is left to be answered, and nothing is being played."""
        if self._speaking or self._unanswered or self._hearing.busy:
            return False
        return self.listening.at_rest and self._speaker.at_rest and self._outbox.empty

    def cancel(self, response_id: str | None) -> bool:
        """Stop the running response, if it is the one that is meant; whether it was. Nothing
        follows of one that was interrupted, either way."""
        active = self.active
        self.move_on()
        if active is None or response_id not in (None, active.id):
            return False
        self._metrics.count("interruptions.client")
        self._speaker.stop("client_cancelled")
        self._answer()
        return True

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _wire(self) -> dict[str, Any]:
        return self.config.wire(session_id=self.id, expires_at=self._expires_at)
