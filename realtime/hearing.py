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
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from realtime import server_events
from realtime.agreement import Agreement
from realtime.audio import Int16
from realtime.conversation import Conversation
from realtime.draft import Draft
from realtime.engines import Transcriber, Transcript, Utterance
from realtime.errors import StageError
from realtime.items import Item
from realtime.metrics import Metrics
from realtime.outbox import Outbox
from realtime.session_config import Transcription
from realtime.stretch import Stretch

log = logging.getLogger("banter.hearing")


class Hearing:
    """Owned by a session, whose task group runs its tasks.

    `heard` is called when an utterance was transcribed, or could not be; it is told whether there
    are words that ask for an answer. Before, `judge` says what it was, by its words and those of
    the reply that sounded meanwhile: `noise`, `echo`, `backchannel` or `words`. `timed` is told
    when an item's words were looked for, and that, or `failed`.
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
        judge: Callable[[str, str], str],
        timed: Callable[[str, Stretch, str], None] = lambda item_id, stretch, verdict: None,
    ) -> None:
        self._owner, self._transcriber, self._outbox = owner, transcriber, outbox
        self._conversation, self._metrics = conversation, metrics
        self._tasks, self._heard, self._judge = tasks, heard, judge
        self._timed = timed
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
        self,
        item_id: str,
        audio: Int16,
        settings: Transcription | None,
        shown: Agreement,
        *,
        answer: bool,
        draft: Draft | None = None,
        said: str = "",
    ) -> None:
        """An utterance becomes an item of the conversation, and its words are asked for.

        Without `settings` the client is told nothing of them. `shown` is what it was told of them
        while they were spoken. A `draft` of it knows its words, or will soon. `said` is what a
        loudspeaker may have played meanwhile.
        """
        item = self.add(item_id)
        words = partial(self._words, utterance_of(audio, settings), draft)
        stretch = Stretch(draft.begun_s if draft else asyncio.get_running_loop().time())
        work = self._transcribe(item, words, settings, shown, answer, said, stretch)
        task = self._tasks.create_task(work)
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
        self,
        item: Item,
        words: Callable[[], Awaitable[Transcript]],
        settings: Transcription | None,
        shown: Agreement,
        answer: bool,
        said: str,
        stretch: Stretch,
    ) -> None:
        begun = time.perf_counter()
        try:
            heard = await words()
        except StageError as error:
            stretch.end(asyncio.get_running_loop().time())
            self._timed(item.id, stretch, "failed")
            self._failed(item, error, told=settings is not None)
            self._heard(False)
            return
        stretch.end(asyncio.get_running_loop().time())
        self._metrics.observe("turn.transcript_ms", (time.perf_counter() - begun) * 1e3)
        verdict = self._judge(heard.text, said)
        self._timed(item.id, stretch, verdict)
        if verdict == "echo":
            self._metrics.count("turns.echo")
            heard = replace(heard, text="")
        item.text = heard.text
        item.language = heard.language if heard.text else None
        if settings:
            self._tell(item, heard, shown)
        if verdict == "noise":
            self._metrics.count("turns.empty")
        self._heard(answer and verdict == "words")

    async def _words(self, utterance: Utterance, draft: Draft | None) -> Transcript:
        """What was said: the draft's words where it is one of this utterance and has any."""
        same = draft and (draft.asked.language, draft.asked.prompt) == (
            utterance.language,
            utterance.prompt,
        )
        heard = await draft.words() if draft and same else None
        return heard or await self._transcriber.transcribe(utterance, owner=self._owner)

    def tell_delta(self, item_id: str, delta: str) -> None:
        """More of an utterance's words."""
        self._outbox.put(
            server_events.TranscriptionDelta(item_id=item_id, content_index=0, delta=delta)
        )

    def _tell(self, item: Item, heard: Transcript, shown: Agreement) -> None:
        """The deltas of a transcript say together what `completed` says, but for words that were
        shown while they were spoken and became others: what was shown is not taken back."""
        if delta := shown.finish(heard.text):
            self.tell_delta(item.id, delta)
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
        self._metrics.failed(error)
        log.warning("session %s: transcription failed: %s", self._owner, error)
        self._outbox.put(server_events.failure_event(error))
        body = {"type": "server_error", "code": error.code, "message": str(error)}
        if told:
            self._outbox.put(
                server_events.TranscriptionFailed(item_id=item.id, content_index=0, error=body)
            )


def utterance_of(audio: Int16, settings: Transcription | None) -> Utterance:
    """Some audio with the language and the prompt that a client gave for what it says."""
    if settings is None:
        return Utterance(audio)
    return Utterance(audio, settings.language, settings.prompt or "")
