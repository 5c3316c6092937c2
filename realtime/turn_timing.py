"""Where the milliseconds of a spoken turn went, told to a client that draws them. No clock of its
own: every moment is handed in.

The session says when speech `ended`; what follows is seen as it leaves: the turn's item, its
transcript, and of the reply to it the first words and the first audio. Right after that audio the
turn's figures are sent, once. A turn that gets no reply has none: it was noise, or somebody else's
words or another turn came before the reply, or the reply was cut before it could be heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from realtime import server_events as told
from realtime.audio import EAR_RATE_HZ, Int16, ms_to_samples
from realtime.ids import new_id
from realtime.outbox import AudioChunk, Outgoing

FAINT_DB = -30.0
"""So far below a turn's loud frames speech has died away, though a detector is not sure of it."""

FAINT_FRAMES_MOST = 20


class TurnTiming(told.ServerEvent, tag="banter.turn.timing", kw_only=True):
    """Milliseconds after the end of speech; None where it did not happen.

    OpenAI has no such event, so it is none of `SERVER_EVENTS`: strict clients never see it.
    """

    item_id: str
    response_id: str
    response_number: int
    end_of_speech_ms: int
    decision_ms: float
    transcript_ms: float | None
    text_ms: float | None
    audio_ms: float | None
    speculated: bool
    """The reply was begun before the turn was over."""


@dataclass
class _Turn:
    """One turn so far; moments in seconds, counted from `end_of_speech_s`."""

    item_id: str
    end_of_speech_s: float
    speculated: Callable[[], bool]
    decided_s: float
    transcript_s: float | None = None
    response_id: str | None = None
    response_number: int = 0
    text_s: float | None = None


class TurnWatch:
    """Of one session: `ended` and `resumed` by the session, `sent` by who writes to the client."""

    def __init__(self) -> None:
        self._ended: _Turn | None = None
        self._turn: _Turn | None = None

    def ended(
        self, item_id: str, now_s: float, silence_s: float, speculated: Callable[[], bool]
    ) -> None:
        """A turn is over, after so much silence; the item of its words leaves soon. `speculated`
        will be asked whether the reply was begun before that."""
        self._ended = _Turn(item_id, now_s - silence_s, speculated, decided_s=silence_s)

    def resumed(self) -> None:
        """What was said was no turn: the reply that it was said over goes on."""
        self._ended = self._turn = None

    def sent(self, item: Outgoing, now_s: float) -> TurnTiming | None:
        """Something has left for the client; what it should be told after that, if anything."""
        match item:
            case (
                told.AudioCommitted(item_id=item_id)
                | told.ItemAdded(item={"role": "user", "id": str(item_id)})
            ):
                self._add(item_id)
            case told.TranscriptionCompleted() if self._is_turn(item.item_id):
                self._hear(item.transcript, now_s)
            case told.ResponseCreated():
                self._answer(item)
            case told.TranscriptDelta() | told.TextDelta() if self._is_answer(item.response_id):
                self._write(now_s)
            case AudioChunk() if self._is_answer(item.response_id):
                return self._finish(now_s)
            case told.ResponseDone(response={"id": str(id_)}) if self._is_answer(id_):
                return self._finish_silent(item)
        return None

    def _is_turn(self, item_id: str) -> bool:
        return self._turn is not None and self._turn.item_id == item_id

    def _is_answer(self, response_id: str) -> bool:
        return self._turn is not None and self._turn.response_id == response_id

    def _add(self, item_id: str) -> None:
        """A user's item: a reply would be to this one, from now on."""
        if not self._is_turn(item_id):
            ended, self._ended = self._ended, None
            self._turn = ended if ended and ended.item_id == item_id else None

    def _hear(self, transcript: str, now_s: float) -> None:
        assert self._turn
        self._turn.transcript_s = now_s - self._turn.end_of_speech_s
        if not transcript:
            self._turn = None

    def _answer(self, created: told.ResponseCreated) -> None:
        """The first response after a turn that is part of the conversation is the reply to it."""
        turn, response = self._turn, created.response
        if turn and turn.response_id is None and response["conversation_id"] is not None:
            turn.response_id = response["id"]
            turn.response_number = created.response_number or 0

    def _write(self, now_s: float) -> None:
        assert self._turn
        if self._turn.text_s is None:
            self._turn.text_s = now_s - self._turn.end_of_speech_s

    def _finish(self, now_s: float | None) -> TurnTiming:
        turn, self._turn = self._turn, None
        assert turn
        assert turn.response_id
        audio_s = None if now_s is None else now_s - turn.end_of_speech_s
        return TurnTiming(
            event_id=new_id("event"),
            item_id=turn.item_id,
            response_id=turn.response_id,
            response_number=turn.response_number,
            end_of_speech_ms=0,
            decision_ms=round(turn.decided_s * 1000, 1),
            transcript_ms=_ms(turn.transcript_s),
            text_ms=_ms(turn.text_s),
            audio_ms=_ms(audio_s),
            speculated=turn.speculated(),
        )

    def _finish_silent(self, done: told.ResponseDone) -> TurnTiming | None:
        """The reply has ended without any audio: it was not spoken, or called a function."""
        if done.response["status"] in ("completed", "incomplete"):
            return self._finish(None)
        self._turn = None
        return None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def faint_end(spoken: Int16) -> int:
    """How many samples at the end of a turn's speech are echo and detector's doubt, no voice."""
    frame = ms_to_samples(10, EAR_RATE_HZ)
    whole = len(spoken) // frame
    if not whole:
        return 0
    frames = spoken[len(spoken) - whole * frame :].astype(np.float32).reshape(whole, frame)
    levels_db = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-3)
    loud = np.flatnonzero(levels_db > np.percentile(levels_db, 95) + FAINT_DB)
    return int(min(FAINT_FRAMES_MOST, whole - 1 - loud[-1])) * frame
