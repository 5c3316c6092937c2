"""The caller's side of one session: what was said becomes items, and the items get their words.

commit      an utterance is an item of the conversation from now on
transcribe  it goes to the recogniser, with those of all other sessions
tell        its words, or why there are none
wait        until all that was committed has its words
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from realtime import server_events
from realtime.audio import Int16
from realtime.conversation import Conversation
from realtime.engines import Transcriber, Transcript, Utterance
from realtime.errors import StageError
from realtime.items import Item
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.session_config import Transcription

log = logging.getLogger("banter.hearing")


class Hearing:
    """Owned by a session, whose task group runs its tasks.

    `heard` is called when an utterance was transcribed, or could not be; it is told whether there
    are words that ask for an answer.
    """

    def __init__(
        self,
        owner: str,
        transcriber: Transcriber,
        outbox: Outbox,
        conversation: Conversation,
        *,
        metrics: Metrics,
        tasks: asyncio.TaskGroup,
        heard: Callable[[bool], None],
    ) -> None:
        self._owner, self._transcriber, self._outbox = owner, transcriber, outbox
        self._conversation, self._metrics = conversation, metrics
        self._tasks, self._heard = tasks, heard
        self._running: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Cancel what runs; the session's task group awaits it."""
        for task in self._running:
            task.cancel()

    @property
    def busy(self) -> bool:
        """An utterance has no words yet, beside the one that is being told of right now."""
        waiting = {task for task in self._running if not task.done()}
        return bool(waiting - {asyncio.current_task()})

    async def wait(self) -> None:
        """Until all that was committed has its words."""
        while self._running:
            await asyncio.wait(self._running)

    def commit(
        self, item_id: str, audio: Int16, settings: Transcription | None, *, answer: bool
    ) -> None:
        """An utterance becomes an item of the conversation, and its words are asked for.

        Without `settings` the client is told nothing of them.
        """
        item = self.add(item_id)
        task = self._tasks.create_task(self._transcribe(item, audio, settings, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def add(self, item_id: str) -> Item:
        """A user's item, which has no words yet."""
        item = Item(item_id, "user", "input_audio")
        before = self._conversation.add(item)
        self._outbox.put(server_events.AudioCommitted(previous_item_id=before, item_id=item.id))
        self._outbox.put(server_events.ItemAdded(previous_item_id=before, item=item.wire()))
        self._outbox.put(server_events.ItemDone(previous_item_id=before, item=item.wire()))
        return item

    async def _transcribe(
        self, item: Item, audio: Int16, settings: Transcription | None, answer: bool
    ) -> None:
        language = settings.language if settings else None
        begun = time.perf_counter()
        try:
            utterance = Utterance(audio, language, (settings and settings.prompt) or "")
            heard = await self._transcriber.transcribe(utterance, owner=self._owner)
        except StageError as error:
            self._failed(item, error, told=settings is not None)
            self._heard(False)
            return
        self._metrics.observe("turn.transcript_ms", (time.perf_counter() - begun) * 1e3)
        item.text = heard.text
        item.language = heard.language if heard.text else None
        if settings:
            self._tell(item, heard)
        if not heard.text:
            self._metrics.count("turns.empty")
        self._heard(answer and bool(heard.text))

    def _tell(self, item: Item, heard: Transcript) -> None:
        """The deltas of a transcript say together what `completed` says."""
        if heard.text:
            self._outbox.put(
                server_events.TranscriptionDelta(item_id=item.id, content_index=0, delta=heard.text)
            )
        self._outbox.put(
            server_events.TranscriptionCompleted(
                item_id=item.id,
                content_index=0,
                transcript=heard.text,
                usage={"type": "duration", "seconds": round(heard.seconds, 3)},
            )
        )

    def _failed(self, item: Item, error: StageError, *, told: bool) -> None:
        self._metrics.count("turns.transcription_failed")
        log.warning("session %s: transcription failed: %s", self._owner, error)
        body = {"type": "server_error", "code": error.code, "message": str(error)}
        self._outbox.put(
            server_events.TranscriptionFailed(item_id=item.id, content_index=0, error=body)
            if told
            else server_events.failure_event(error)
        )
