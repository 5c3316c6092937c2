"""Where a turn that is over is told of: in the metrics, in one line of the log, and as a trace.

No word of what was said is in any of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from realtime.metrics import Metrics
from realtime.turn_report import TurnReport

log = logging.getLogger("banter.turn")

SERIES = (
    *("turn.decision_ms", "turn.heard_ms", "turn.text_ms", "turn.audio_ms"),
    *("reply.first_ms", "speak.first_ms"),
)


class TurnReporter:
    """One of a server. `trace` makes a trace of a turn, where traces are wanted."""

    def __init__(self, metrics: Metrics, trace: Callable[[TurnReport], None] | None = None) -> None:
        self._metrics, self._trace = metrics, trace
        metrics.expect(*SERIES)

    def over(self, report: TurnReport) -> None:
        """A turn has come to its end. What cannot be told of it is no reason to end a session."""
        try:
            self._measure(report)
            if log.isEnabledFor(logging.INFO):
                log.info("turn %s", line(report), extra={"fields": fields(report)})
            if self._trace:
                self._trace(report)
        except Exception:
            log.exception("turn %s could not be told of", report.item_id)

    def _measure(self, report: TurnReport) -> None:
        metrics = self._metrics
        metrics.count(f"turns.over.{report.outcome}")
        moments = {
            # a turn that the client ended was not decided
            "turn.decision_ms": report.decision_s or None,
            "turn.heard_ms": report.transcript_s,
            "turn.text_ms": report.text_s,
            "turn.audio_ms": report.audio_s,
            "reply.first_ms": report.making.reply.wait_s,
            "speak.first_ms": report.making.speak.wait_s,
        }
        for name, seconds in moments.items():
            if seconds is not None:
                metrics.observe(name, seconds * 1e3)


def line(report: TurnReport) -> str:
    """For people: `item_1 answered: speech 2310 ms; decision 477, transcript 478 ms after it`."""
    moments = [
        f"{name.removesuffix('_ms')} {round(ms)}" for name, ms in report.milliseconds().items()
    ]
    parts = [f"speech {round(report.speech_s * 1e3)} ms", f"{', '.join(moments)} ms after it"]
    if report.sound_s:
        parts.append(f"reply {round(report.sound_s * 1e3)} ms")
    if report.speculated:
        parts.append("begun ahead")
    return f"{report.item_id} {report.outcome}: {'; '.join(parts)}"


def fields(report: TurnReport) -> dict[str, object]:
    """For programs: the same by name, in milliseconds."""
    return {
        "session": report.session_id,
        "item": report.item_id,
        "response": report.response_id,
        "outcome": report.outcome,
        "interrupted": report.outcome == "interrupted",
        "speculated": report.speculated,
        "speech_ms": round(report.speech_s * 1e3, 1),
        **report.milliseconds(),
        "reply_ms": round(report.sound_s * 1e3, 1),
    }
