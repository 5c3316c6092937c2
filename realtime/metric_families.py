"""What `/metrics` shows, by name: one table, from which `docs/metrics.md` is made. Pure.

Names and units are Prometheus's: seconds, bytes, `_total` for what only rises. A label's values are
words of ours, never a caller's, and `known` ones are there from the start, so that the first of
their kind is seen as a rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from realtime.admission import CODES
from realtime.turn_report import Outcome

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """`name` is without `banter_`, and of a counter without `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """Values of its only label."""

    @property
    def full_name(self) -> str:
        """As Prometheus has it."""
        return f"banter_{self.name}{'_total' if self.kind == 'counter' else ''}"


FAMILIES = (
    # what callers wait for
    Family(
        "time_to_first_audio_seconds",
        "histogram",
        "from the end of speech to the first audio of the reply that is sent",
    ),
    Family(
        "turn_decision_seconds",
        "histogram",
        "from the end of speech until it is decided that the turn is over",
    ),
    Family(
        "turn_transcript_seconds", "histogram", "from the end of speech until its words are known"
    ),
    Family(
        "turn_text_seconds",
        "histogram",
        "from the end of speech to the first words of the reply that are sent",
    ),
    Family(
        "turns",
        "counter",
        "spoken turns that are over, by what became of them",
        ("outcome",),
        get_args(Outcome),
    ),
    Family(
        "interruptions",
        "counter",
        "replies that speech was heard over, by what it was: `barge_in` ended the reply, after the "
        "others it went on (`echo` was its own sound); `client` is a client's `response.cancel`",
        ("kind",),
        ("barge_in", "backchannel", "echo", "noise", "client"),
    ),
    # stages
    Family(
        "stage_seconds",
        "histogram",
        "one run of an engine, for all the callers in its batch; `reply_first` and `speak_first` "
        "are the waits for a reply's first words and first sound, `speculation_…` those for what "
        "is made ahead",
        ("stage",),
    ),
    Family("batch_size", "histogram", "jobs in one run of an engine", ("stage",)),
    Family("queue_depth", "gauge", "jobs that wait for an engine now", ("stage",)),
    Family(
        "queue_audio_seconds", "gauge", "seconds of audio in the jobs that wait now", ("stage",)
    ),
    Family(
        "queue_fill_ratio",
        "gauge",
        "how full the queue is now: at 1 it refuses those who have a job in it already",
        ("stage",),
    ),
    Family("queue_wait_seconds", "histogram", "a job's wait until its run begins", ("stage",)),
    Family("voice_lines", "gauge", "lines that Chatterbox speaks now"),
    # sessions and refusals
    Family("sessions", "gauge", "sessions that are open now"),
    Family("sessions_max", "gauge", "places for sessions"),
    Family("sessions_opened", "counter", "sessions that were opened"),
    Family("draining", "gauge", "1 once the server is going away and lets nobody in"),
    Family(
        "refusals",
        "counter",
        "requests that were refused, by the error's code; `…_queue_full` are jobs within a session "
        "for which an engine had no room",
        ("cause",),
        (*CODES.values(), "missing_api_key", "invalid_api_key"),
    ),
    Family("http_responses", "counter", "answers of the HTTP side, by status", ("status",)),
    # what was lost, and what was made for nothing
    Family(
        "dropped_audio_seconds",
        "counter",
        "audio that was dropped: `input_buffer_full` is a caller's that nobody committed, `unsent` "
        "a reply's that waited to be sent when the reply was stopped",
        ("cause",),
        ("input_buffer_full", "unsent"),
    ),
    Family(
        "hallucinations_filtered",
        "counter",
        "hypotheses of the recogniser that were taken for what it says when nobody speaks",
    ),
    Family(
        "speculations",
        "counter",
        "drafts of a reply that were begun in a pause: the pause was the end of the turn (`hit`) "
        "or not (`missed`); of the hits those whose text no response took (`unused`); and pauses "
        "without a draft because the recogniser was busy (`busy`), or whose words could not be "
        "known (`failed`); and first pieces that were spoken and went on otherwise (`misguessed`)",
        ("outcome",),
        ("hit", "missed", "unused", "busy", "failed", "misguessed"),
    ),
    Family(
        "speculation_wasted_seconds",
        "counter",
        "for so long the models worked on drafts that nobody heard",
        ("stage",),
        ("transcript", "text", "sound"),
    ),
    # faults
    Family(
        "errors",
        "counter",
        "stages that failed in a session, by the code that the client was told",
        ("stage", "code"),
    ),
    Family(
        "engine_up", "gauge", "1 while an engine can work, 0 while it is begun anew", ("engine",)
    ),
    Family(
        "engine_restarts", "counter", "how often an engine was lost and begun anew", ("engine",)
    ),
    Family(
        "traces_lost",
        "counter",
        "traces of turns that could not be exported, by cause",
        ("cause",),
        ("queue_full", "export_failed"),
    ),
    # the machine
    Family(
        "gpu_memory_bytes",
        "gauge",
        "of the GPU's memory, by torch: `allocated` and `reserved` by this process's torch, `used` "
        "by everybody, and the `total`; absent where torch uses no GPU",
        ("kind",),
    ),
    Family("loop_lag_seconds", "histogram", "by how much the event loop's timer came late"),
    Family("loop_busy_seconds", "histogram", "CPU time of the event loop between two of its beats"),
    Family("gc_pause_seconds", "histogram", "pauses of Python's garbage collector"),
    Family("build_info", "gauge", "1, with the version as a label", ("version",)),
    Family(
        "events",
        "counter",
        "every counter of `/status` by its name there: what has no metric of its own is here",
        ("event",),
    ),
)
BY_NAME = {family.name: family for family in FAMILIES}


def table() -> str:
    """The families as a Markdown table: a part of `docs/metrics.md`."""
    rows = ["| metric | kind | labels | what it is |", "| --- | --- | --- | --- |"]
    for f in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in f.labels) or "-"
        rows.append(f"| `{f.full_name}` | {f.kind} | {labels} | {f.help} |")
    return "\n".join(rows) + "\n"
