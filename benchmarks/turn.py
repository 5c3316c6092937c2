"""One turn of a conversation: say a clip, wait for the answer; then what came when.

A clip with a pause in it may become several utterances. The turn is measured from the last of them:
its decision, its transcript, the response to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.clips import SAMPLE_RATE_HZ, Clip
from benchmarks.microphone import Microphone
from benchmarks.record import AUDIO_DELTA, Record, Stamped

DECISION_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0

TRANSCRIPT_DELTA = "response.output_audio_transcript.delta"
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
NOT_TRANSCRIBED = "conversation.item.input_audio_transcription.failed"

TRANSCRIPTION = {"model": "whisper-1"}
"""The name does not matter; without it no transcription events are sent."""


def session_with(silence_ms: int | None = None, **settings: Any) -> dict[str, Any]:
    """Session settings: transcription events, the silence that ends a turn if given, and others."""
    heard: dict[str, Any] = {"transcription": TRANSCRIPTION}
    if silence_ms is not None:
        heard["turn_detection"] = {"type": "server_vad", "silence_duration_ms": silence_ms}
    return {"audio": {"input": heard}, **settings}


class Call(Protocol):
    """What a turn needs of a client: something to speak into and a record of what came back."""

    @property
    def microphone(self) -> Microphone: ...
    @property
    def record(self) -> Record: ...


@dataclass(frozen=True)
class Utterance:
    """What the server took for one stretch of speech."""

    item_id: str
    started_at: float
    decided_at: float | None
    transcribed_at: float | None
    transcript: str | None


@dataclass(frozen=True)
class Response:
    """One response: when its parts came, in seconds of perf_counter, and how it ended."""

    response_id: str
    created_at: float
    first_text_at: float | None
    last_audio_at: float | None
    done_at: float | None
    status: str | None
    reason: str | None
    transcript: str


@dataclass
class Turn:
    """A clip, what the server made of it, and the moments that count."""

    clip: Clip
    start_of_speech_at: float
    """When the clip's first voiced sample was sent."""
    end_of_speech_at: float
    """When the clip's last voiced sample was sent."""
    utterances: list[Utterance] = field(default_factory=list)
    response: Response | None = None
    first_audio_at: float | None = None
    dry_ms: float = 0.0
    audio_s: float = 0.0

    @property
    def heard(self) -> str:
        """The transcripts of all utterances, joined."""
        return " ".join(u.transcript for u in self.utterances if u.transcript)

    @property
    def decided_at(self) -> float | None:
        return self.utterances[-1].decided_at if self.utterances else None

    @property
    def outcome(self) -> str:
        """Whether the turn was answered, or what went wrong."""
        if not self.utterances:
            return "not heard"
        if self.decided_at is None:
            return "no end of turn"
        if self.decided_at < self.end_of_speech_at:
            return "ended before its last words"
        if self.response is None:
            return "empty transcript" if self.utterances[-1].transcript == "" else "no response"
        if self.response.status != "completed":
            return f"response {self.response.status}"
        return "answered" if self.first_audio_at is not None else "silent reply"

    @property
    def stages_ms(self) -> dict[str, float | None]:
        """The stages of an answered turn, in ms."""
        last, response = self.utterances[-1], self.response
        text_at = response.first_text_at if response else None
        decided_at, heard_at, audio_at = last.decided_at, last.transcribed_at, self.first_audio_at
        return {
            "end of speech -> decision": between_ms(self.end_of_speech_at, decided_at),
            "decision -> transcript": between_ms(decided_at, heard_at),
            "transcript -> first text": between_ms(heard_at, text_at),
            "first text -> first audio": between_ms(text_at, audio_at),
            "decision -> first audio": between_ms(decided_at, audio_at),
            "end of speech -> first audio": between_ms(self.end_of_speech_at, audio_at),
        }


def between_ms(begun_at: float | None, ended_at: float | None) -> float | None:
    """Milliseconds from one moment to another; None where one of them did not come."""
    if begun_at is None or ended_at is None:
        return None
    return round((ended_at - begun_at) * 1000, 1)


def utterances(record: Record, after: int = 0) -> list[Utterance]:
    """The utterances that began from an event on."""
    started = record.since(after, "input_audio_buffer.speech_started")
    return [_utterance(record, after, event) for event in started]


def _utterance(record: Record, after: int, started: Stamped) -> Utterance:
    item_id = started.event["item_id"]
    of_item = [e for e in record.since(after) if e.event.get("item_id") == item_id]
    decided = next((e for e in of_item if e.type == "input_audio_buffer.speech_stopped"), None)
    heard = next((e for e in of_item if e.type in (TRANSCRIBED, NOT_TRANSCRIBED)), None)
    return Utterance(
        item_id,
        started.at,
        decided.at if decided else None,
        heard.at if heard else None,
        heard.event.get("transcript") if heard else None,
    )


def response_after(record: Record, after: int, at: float) -> Response | None:
    """The first response among the events from an index on that was created at `at` or later."""
    created = next((e for e in record.since(after, "response.created") if e.at >= at), None)
    return response_of(record, after, created) if created else None


def response_of(record: Record, after: int, created: Stamped) -> Response:
    """The course of a response so far, looked for in the events from an index on."""
    response_id = created.event["response"]["id"]
    own = [e for e in record.since(after) if e.event.get("response_id") == response_id]
    text = [e for e in own if e.type == TRANSCRIPT_DELTA]
    audio = [e for e in own if e.type == AUDIO_DELTA]
    dones = record.since(after, "response.done")
    done = next((e for e in dones if e.event["response"]["id"] == response_id), None)
    details = (done.event["response"].get("status_details") or {}) if done else {}
    return Response(
        response_id,
        created.at,
        text[0].at if text else None,
        audio[-1].at if audio else None,
        done.at if done else None,
        done.event["response"]["status"] if done else None,
        details.get("reason"),
        "".join(e.event["delta"] for e in text),
    )


def is_over(record: Record, after: int) -> bool:
    """Whether the last utterance got all that it will get: a finished response, or no words."""
    said = utterances(record, after)
    if not said or said[-1].decided_at is None:
        return False
    if said[-1].transcript == "":
        return True
    response = response_after(record, after, said[-1].decided_at)
    return response is not None and response.done_at is not None


async def take_turn(call: Call, clip: Clip) -> Turn:
    """Say a clip and wait until it was answered, or cannot be expected to be any more."""
    microphone, record = call.microphone, call.record
    after = len(record.events)
    first_sample = microphone.say(clip.pcm)
    begun_at = await microphone.sent(first_sample + clip.first_voiced_sample)
    ended_at = await microphone.sent(first_sample + clip.last_voiced_sample)
    await microphone.sent(first_sample + clip.pcm.size - 1)

    def decided() -> bool | None:
        said = utterances(record, after)
        return (said != [] and (said[-1].decided_at or 0.0) >= ended_at) or None

    if await record.news.until(decided, DECISION_WITHIN_S):
        await record.news.until(lambda: is_over(record, after) or None, ANSWER_WITHIN_S)
    return measured(record, after, Turn(clip, begun_at, ended_at))


def measured(record: Record, after: int, turn: Turn) -> Turn:
    """Fill a turn with what the record holds of it from an event on."""
    turn.utterances = utterances(record, after)
    if turn.decided_at is not None:
        turn.response = response_after(record, after, turn.decided_at)
    if turn.response is not None:
        reply = record.reply(turn.response.response_id)
        turn.first_audio_at = reply.first_audible_at
        turn.dry_ms, turn.audio_s = reply.dry_ms, reply.pcm.size / SAMPLE_RATE_HZ
    return turn
