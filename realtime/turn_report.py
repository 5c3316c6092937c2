"""What became of one spoken turn, and where its time went: told once, when it is over. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from realtime.stretch import Making, Stretch

Outcome = Literal[
    "answered",  # the reply was sent to its end
    "incomplete",  # the reply reached its length limit
    "interrupted",  # somebody spoke over the reply
    "cancelled",  # the client stopped the reply
    "failed",  # a stage failed
    "noise",  # there were no words in it
    "echo",  # the words were the reply's own
    "backchannel",  # a sign of listening; the reply went on
    "transcribed",  # a session for transcription answers nothing
    "unanswered",  # nobody asked for a reply before the next turn or the end
    "abandoned",  # the session ended before the reply did
]


@dataclass(frozen=True)
class TurnReport:
    """`end_of_speech_s` and `over_s` are moments of the event loop's clock, as are those of the
    stretches; the others are seconds, and from `decision_s` to `audio_s` they count from the end of
    speech. None is what did not happen."""

    session_id: str
    item_id: str
    response_id: str | None
    outcome: Outcome
    speculated: bool
    """The reply was begun before the turn was over."""
    end_of_speech_s: float
    over_s: float
    speech_s: float
    decision_s: float
    transcript_s: float | None
    text_s: float | None
    audio_s: float | None
    sound_s: float
    """Of the reply, so much audio was sent."""
    transcribe: Stretch
    making: Making

    def milliseconds(self) -> dict[str, float]:
        """Its waterfall: what happened, in milliseconds after the end of speech, in order."""
        moments = {
            "decision_ms": self.decision_s,
            "transcript_ms": self.transcript_s,
            "text_ms": self.text_s,
            "audio_ms": self.audio_s,
        }
        return {name: round(s * 1e3, 1) for name, s in moments.items() if s is not None}

    def stages(self) -> Iterator[tuple[str, float, float]]:
        """The stages that were begun, each with its begin and end on the loop's clock."""
        ends = self.end_of_speech_s
        yield "listen", ends - self.speech_s, ends
        yield "endpoint", ends, ends + self.decision_s
        worked = {
            "transcribe": self.transcribe,
            "reply": self.making.reply,
            "speak": self.making.speak,
        }
        for name, stretch in worked.items():
            if stretch.begun_s is not None:
                ended_s = self.over_s if stretch.ended_s is None else stretch.ended_s
                yield name, stretch.begun_s, max(stretch.begun_s, ended_s)
