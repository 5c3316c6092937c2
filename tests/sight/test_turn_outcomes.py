"""What becomes of turns: as stories of one session's events, then over a real socket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from realtime import server_events as told
from realtime.errors import ReplyError, TranscriptionError
from realtime.outbox import AudioChunk
from realtime.server import METRICS
from realtime.stretch import Making, Stretch
from realtime.turn_report import TurnReport
from realtime.turn_reporter import TurnReporter, fields, line
from realtime.turn_timing import TurnWatch
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn

SPEECH = clip("ls_6930_0000")[: 24_000 * 2 * 3]


class Story:
    """One session: speech ended at 10 s, which was known at 10.3 s."""

    def __init__(self) -> None:
        self.over: list[TurnReport] = []
        self.watch = TurnWatch("sess", self.over.append)

    def turn(self, item_id: str = "user", now_s: float = 10.3) -> None:
        self.watch.ended(item_id, now_s, 0.3, lambda: False, speech_s=2.0)
        self.sent(told.AudioCommitted(previous_item_id=None, item_id=item_id), now_s)

    def heard(self, verdict: str = "words", *, item_id: str = "user", answers: bool = True) -> None:
        self.watch.heard(item_id, Stretch(10.1, None, 10.4), verdict, answers=answers)

    def sent(self, item: Any, now_s: float) -> None:
        self.watch.sent(item, now_s)

    def answer(self, response_id: str = "resp", making: Making | None = None) -> None:
        made = making or Making()
        self.watch.answers(response_id, lambda: made)
        response = {"id": response_id, "conversation_id": "conv"}
        self.sent(told.ResponseCreated(response=response), 10.5)
        delta = told.TranscriptDelta(
            response_id=response_id, item_id="reply", output_index=0, content_index=0, delta="Well"
        )
        self.sent(delta, 10.6)

    def sound(self, response_id: str = "resp", now_s: float = 10.7) -> None:
        self.sent(AudioChunk(response_id, 1, "reply", 0, 2_400, 0.1, b""), now_s)

    def done(self, status: str, reason: str | None = None, now_s: float = 12.0) -> None:
        details = {"type": status, "reason": reason} if reason else None
        response = {"id": "resp", "status": status, "status_details": details}
        self.sent(told.ResponseDone(response=response), now_s)

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for report in self.over]


def test_a_turn_that_is_answered_is_told_once_with_all_its_times() -> None:
    story, making = Story(), Making(Stretch(10.2, 10.45, 11.0), Stretch(10.5, 10.65, 11.5))
    story.turn()
    story.heard()
    story.answer(making=making)
    story.sound()
    story.sound(now_s=10.8)
    assert not story.over
    story.done("completed")
    story.watch.close(13.0)
    [report] = story.over
    assert (report.session_id, report.item_id, report.response_id) == ("sess", "user", "resp")
    assert report.outcome == "answered"
    assert report.milliseconds() == pytest.approx(
        {"decision_ms": 300, "transcript_ms": 400, "text_ms": 600, "audio_ms": 700}, abs=0.11
    )
    assert report.sound_s == pytest.approx(0.2)
    stages = {name: (begun, ended) for name, begun, ended in report.stages()}
    assert list(stages) == ["listen", "endpoint", "transcribe", "reply", "speak"]
    assert stages["listen"] == pytest.approx((8, 10))
    assert stages["endpoint"] == pytest.approx((10, 10.3))
    assert stages["transcribe"] == (10.1, 10.4)
    assert stages["reply"] == (10.2, 11.0)
    assert stages["speak"] == (10.5, 11.5)
    assert report.over_s == 12.0


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        ("cancelled", "turn_detected", "interrupted"),
        ("cancelled", "client_cancelled", "cancelled"),
        ("incomplete", "max_output_tokens", "incomplete"),
        ("failed", None, "failed"),
    ],
)
@pytest.mark.parametrize("sounded", [False, True])
def test_a_reply_may_end_otherwise(status: str, reason: str, outcome: str, sounded: bool) -> None:
    story = Story()
    story.turn()
    story.heard()
    story.answer()
    if sounded:
        story.sound()
    story.done(status, reason)
    story.watch.close(13.0)
    assert story.outcomes == [outcome]


@pytest.mark.parametrize("verdict", ["noise", "echo", "backchannel", "failed"])
def test_what_is_no_turn_is_over_with_its_words(verdict: str) -> None:
    story = Story()
    story.turn()
    story.heard(verdict)
    story.watch.resumed(10.5)
    story.watch.close(13.0)
    assert story.outcomes == [verdict]


def test_a_session_for_transcription_is_done_with_the_words() -> None:
    story = Story()
    story.turn()
    story.heard(answers=False)
    assert story.outcomes == ["transcribed"]


def test_a_turn_that_another_follows_was_not_answered() -> None:
    story = Story()
    story.turn("first")
    story.heard(item_id="first")
    story.turn("second", 14.0)
    story.watch.close(15.0)
    assert story.outcomes == ["unanswered", "abandoned"]


def test_a_reply_goes_on_under_the_next_turn() -> None:
    story = Story()
    story.turn("first")
    story.answer()
    story.sound()
    story.turn("second", 14.0)
    story.done("completed", now_s=15.0)
    story.watch.close(16.0)
    assert [(r.item_id, r.outcome) for r in story.over] == [
        ("first", "answered"),
        ("second", "abandoned"),
    ]


def test_the_end_of_a_session_leaves_no_turn_untold() -> None:
    story = Story()
    story.watch.ended("spoken", 10.3, 0.3, lambda: False)
    story.watch.close(11.0)
    story.watch.close(11.0)
    assert story.outcomes == ["abandoned"]


def test_a_line_has_the_waterfall() -> None:
    story = Story()
    story.turn()
    story.heard()
    story.answer()
    story.sound()
    story.done("completed")
    [report] = story.over
    assert line(report) == (
        "user answered: speech 2000 ms; "
        "decision 300, transcript 400, text 600, audio 700 ms after it; reply 100 ms"
    )
    said = fields(report)
    assert (said["session"], said["item"], said["response"]) == ("sess", "user", "resp")
    assert (said["outcome"], said["interrupted"], said["audio_ms"]) == ("answered", False, 700.0)


# --- over a real socket ------------------------------------------------------------------------


async def count_until(server, name: str) -> None:
    """Wait until something was counted: what is told of a turn comes after what the client gets."""
    async with asyncio.timeout(20):
        while not server.app[METRICS].counts[name]:  # noqa: ASYNC110, no event tells of it
            await asyncio.sleep(0.005)


async def test_every_socket_is_measured_and_a_turn_is_one_line(connect, server, caplog) -> None:
    caplog.set_level(logging.INFO, "banter.turn")
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("response.done")
    await count_until(server, "turns.over.answered")
    metrics = server.app[METRICS]
    for name in ("turn.decision_ms", "turn.heard_ms", "turn.text_ms", "turn.audio_ms"):
        assert len(metrics.series[name]) == 1
    assert sum(metrics.spreads["reply.first_ms"].counts) == 1
    assert sum(metrics.spreads["speak.first_ms"].counts) == 1
    [record] = [each for each in caplog.records if each.name == "banter.turn"]
    assert "hello there" not in record.getMessage()
    assert "All is well" not in record.getMessage()
    assert record.fields["outcome"] == "answered"  # type: ignore[attr-defined]
    assert not client.of("banter.turn.timing")


async def test_a_turn_that_cannot_be_transcribed_has_failed(connect, server, runtime) -> None:
    runtime.transcriber.texts = [TranscriptionError("it broke")]
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("conversation.item.input_audio_transcription.failed")
    await count_until(server, "turns.over.failed")
    assert server.app[METRICS].counts["errors.transcription:transcription_failed"] == 1


async def test_a_turn_whose_reply_fails_has_failed(connect, server, runtime) -> None:
    runtime.replier.error, runtime.replier.words = ReplyError("it broke"), ()
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("response.done")
    await count_until(server, "turns.over.failed")
    assert server.app[METRICS].counts["errors.reply:reply_failed"] == 1


@pytest.mark.parametrize(
    ("words", "kind"), [("stop it please now", "barge_in"), ("", "noise"), ("Mhm.", "backchannel")]
)
async def test_what_was_said_over_a_reply_is_counted_by_what_it_was(
    connect, server, runtime, words: str, kind: str
) -> None:
    runtime.transcriber.texts = ["hello there", words]
    runtime.replier.stall_after = 5
    runtime.end_of_turn = FakeEndOfTurn()
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("response.output_audio.delta")
    await client.say(SPEECH + quiet(1))
    await count_until(server, f"interruptions.{kind}")
    counts = server.app[METRICS].counts
    assert {name: n for name, n in counts.items() if name.startswith("interruptions.")} == {
        f"interruptions.{kind}": 1
    }
    await count_until(server, "turns.over.interrupted")


async def test_a_client_that_stops_a_reply_is_counted(connect, server, runtime) -> None:
    runtime.replier.stall_after = 5
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("response.output_audio.delta")
    await client.send("response.cancel")
    await client.until("response.done")
    await count_until(server, "turns.over.cancelled")
    assert server.app[METRICS].counts["interruptions.client"] == 1


async def test_who_hangs_up_leaves_a_turn_that_is_abandoned(connect, server, runtime) -> None:
    runtime.replier.stall_after = 5
    client = await connect()
    await client.say(quiet(0.2) + SPEECH + quiet(1))
    await client.until("response.output_audio.delta")
    await client.socket.close()
    await count_until(server, "turns.over.abandoned")


def test_a_trace_is_made_of_each_turn() -> None:
    from realtime.metrics import Metrics

    traced: list[TurnReport] = []
    story = Story()
    story.turn()
    story.watch.close(11.0)
    TurnReporter(Metrics(), traced.append).over(story.over[0])
    assert traced == story.over


def test_a_turn_that_cannot_be_told_of_ends_no_session(caplog: pytest.LogCaptureFixture) -> None:
    from realtime.metrics import Metrics

    def broken(_: TurnReport) -> None:
        raise RuntimeError("no trace today")

    metrics, story = Metrics(), Story()
    story.turn()
    story.watch.close(11.0)
    TurnReporter(metrics, broken).over(story.over[0])
    assert metrics.counts["turns.over.abandoned"] == 1
    assert "no trace today" in caplog.text
