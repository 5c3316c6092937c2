"""Where the milliseconds of a spoken turn went, and what became of it. No clock of its own: every
moment is handed in.

The session says when speech `ended`; what follows is seen as it leaves: the turn's item, its
transcript, and of the reply to it the first words and the first audio. Right after that audio the
turn's figures are sent, once, to a client that draws them. A turn that gets no reply has none: it
was noise, or somebody else's words or another turn came before the reply, or the reply was cut
before it could be heard. Every turn is reported when it is over, with or without a reply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from realtime import server_events as told
from realtime.ids import new_id
from realtime.outbox import AudioChunk, Outgoing
from realtime.stretch import Making, Stretch
from realtime.turn_report import Outcome, TurnReport


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
    speech_s: float = 0.0
    verdict: str = ""
    heard: Stretch = field(default_factory=Stretch)
    transcript_s: float | None = None
    response_id: str | None = None
    response_number: int = 0
    making: Callable[[], Making] = Making
    text_s: float | None = None
    audio_s: float | None = None
    sound_s: float = 0.0


UNANSWERED: dict[str, Outcome] = {
    "noise": "noise",
    "echo": "echo",
    "backchannel": "backchannel",
    "failed": "failed",
}
"""What the words of a turn were judged to be, where that means that no reply follows."""


class TurnWatch:
    """Of one session: `ended`, `heard`, `answers` and `resumed` by the session, `sent` by who
    writes to the client, `close` at the end. `over` gets every turn when it is over."""

    def __init__(
        self, session_id: str = "", over: Callable[[TurnReport], None] = lambda report: None
    ) -> None:
        self._session_id, self._over = session_id, over
        self._ended: _Turn | None = None
        self._turn: _Turn | None = None
        """The last, until the first audio of its reply."""
        self._makings: dict[str, Callable[[], Making]] = {}
        """Of responses that the client does not know of yet."""
        self._replies: dict[str, _Turn] = {}
        """By response: turns that are being answered."""

    def ended(
        self,
        item_id: str,
        now_s: float,
        silence_s: float,
        speculated: Callable[[], bool],
        *,
        speech_s: float = 0.0,
    ) -> None:
        """A turn is over, after so much silence; the item of its words leaves soon. `speculated`
        will be asked whether the reply was begun before that."""
        if self._ended:
            self._close(self._ended, "unanswered", now_s)
        at_s = now_s - silence_s
        self._ended = _Turn(item_id, at_s, speculated, decided_s=silence_s, speech_s=speech_s)

    def heard(self, item_id: str, stretch: Stretch, verdict: str, *, answers: bool) -> None:
        """The recogniser is done with a turn: what it was, or `failed`. A session that never
        `answers` is done with it too."""
        turn = next((t for t in (self._turn, self._ended) if t and t.item_id == item_id), None)
        if turn is None:
            return
        turn.heard, turn.verdict = stretch, verdict
        outcome = UNANSWERED.get(verdict) or (None if answers else "transcribed")
        if outcome and not turn.response_id:
            self._forget(turn)
            self._close(turn, outcome, stretch.ended_s or turn.end_of_speech_s)

    def answers(self, response_id: str, making: Callable[[], Making]) -> None:
        """A response is begun, which the client will be told of; how it is made."""
        self._makings[response_id] = making

    def resumed(self, now_s: float = 0.0) -> None:
        """What was said was no turn: the reply that it was said over goes on."""
        for turn in (self._turn, self._ended):
            if turn and not turn.response_id:
                self._close(turn, UNANSWERED.get(turn.verdict, "noise"), now_s)
        self._ended = self._turn = None

    def close(self, now_s: float) -> None:
        """The session is over."""
        for turn in filter(None, (self._ended, self._turn)):
            if not turn.response_id:
                self._close(turn, "unanswered" if turn.heard.ended_s else "abandoned", now_s)
        for turn in self._replies.values():
            self._close(turn, "abandoned", now_s)
        self._ended = self._turn = None
        self._replies.clear()

    def sent(self, item: Outgoing, now_s: float) -> TurnTiming | None:
        """Something has left for the client; what it should be told after that, if anything."""
        match item:
            case AudioChunk() if turn := self._replies.get(item.response_id):
                return self._sound(turn, item, now_s)
            case told.TranscriptDelta() | told.TextDelta():
                if (turn := self._replies.get(item.response_id)) and turn.text_s is None:
                    turn.text_s = now_s - turn.end_of_speech_s
            case (
                told.AudioCommitted(item_id=item_id)
                | told.ItemAdded(item={"role": "user", "id": str(item_id)})
            ):
                self._add(item_id, now_s)
            case told.TranscriptionCompleted() if self._is_turn(item.item_id):
                self._hear(item.transcript, now_s)
            case told.ResponseCreated():
                self._answer(item)
            case told.ResponseDone(response={"id": str(id_)}) if id_ in self._replies:
                return self._done(self._replies.pop(id_), item.response, now_s)
        return None

    def _is_turn(self, item_id: str) -> bool:
        return self._turn is not None and self._turn.item_id == item_id

    def _add(self, item_id: str, now_s: float) -> None:
        """A user's item: a reply would be to this one, from now on."""
        if self._is_turn(item_id):
            return
        before, self._turn = self._turn, None
        if before and not before.response_id:
            self._close(before, "unanswered", now_s)
        if self._ended and self._ended.item_id == item_id:
            self._ended, self._turn = None, self._ended

    def _hear(self, transcript: str, now_s: float) -> None:
        assert self._turn
        self._turn.transcript_s = now_s - self._turn.end_of_speech_s
        if not transcript:
            turn, self._turn = self._turn, None
            if not turn.response_id:
                self._close(turn, "noise", now_s)

    def _answer(self, created: told.ResponseCreated) -> None:
        """The first response after a turn that is part of the conversation is the reply to it."""
        turn, response = self._turn, created.response
        making = self._makings.pop(response["id"], Making)
        if turn and turn.response_id is None and response["conversation_id"] is not None:
            turn.response_id = response["id"]
            turn.response_number = created.response_number or 0
            turn.making = making
            self._replies[response["id"]] = turn

    def _sound(self, turn: _Turn, chunk: AudioChunk, now_s: float) -> TurnTiming | None:
        turn.sound_s += chunk.seconds
        if turn.audio_s is not None:
            return None
        turn.audio_s = now_s - turn.end_of_speech_s
        return self._tell(turn)

    def _done(self, turn: _Turn, response: dict[str, Any], now_s: float) -> TurnTiming | None:
        """The reply has ended. Without any audio it was not spoken, or called a function."""
        outcome = _outcome(response)
        self._close(turn, outcome, now_s)
        if outcome in ("answered", "incomplete"):
            return self._tell(turn)
        self._forget(turn)
        return None

    def _tell(self, turn: _Turn) -> TurnTiming | None:
        """Its figures, unless they were told or another turn has come."""
        if turn is not self._turn:
            return None
        self._turn = None
        assert turn.response_id
        return TurnTiming(
            event_id=new_id("event"),
            item_id=turn.item_id,
            response_id=turn.response_id,
            response_number=turn.response_number,
            end_of_speech_ms=0,
            decision_ms=round(turn.decided_s * 1000, 1),
            transcript_ms=_ms(turn.transcript_s),
            text_ms=_ms(turn.text_s),
            audio_ms=_ms(turn.audio_s),
            speculated=turn.speculated(),
        )

    def _forget(self, turn: _Turn) -> None:
        if turn is self._turn:
            self._turn = None
        if turn is self._ended:
            self._ended = None

    def _close(self, turn: _Turn, outcome: Outcome, now_s: float) -> None:
        ends, heard = turn.end_of_speech_s, turn.heard
        self._over(
            TurnReport(
                session_id=self._session_id,
                item_id=turn.item_id,
                response_id=turn.response_id,
                outcome=outcome,
                speculated=turn.speculated(),
                end_of_speech_s=ends,
                over_s=max(now_s, ends + turn.decided_s),
                speech_s=turn.speech_s,
                decision_s=turn.decided_s,
                transcript_s=None if heard.ended_s is None else max(0.0, heard.ended_s - ends),
                text_s=turn.text_s,
                audio_s=turn.audio_s,
                sound_s=turn.sound_s,
                transcribe=heard,
                making=turn.making(),
            )
        )


def _outcome(response: dict[str, Any]) -> Outcome:
    """What a response's last event says of the turn that it answers."""
    status = response["status"]
    if status == "cancelled":
        reason = (response.get("status_details") or {}).get("reason")
        return "interrupted" if reason == "turn_detected" else "cancelled"
    outcomes: dict[str, Outcome] = {"completed": "answered", "incomplete": "incomplete"}
    return outcomes.get(status, "failed")


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
