"""What fuzzing found, told as stories; the inputs themselves are in `tests/fuzz/crashes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime.audio import BLOCK_SAMPLES, AudioLog, Int16
from realtime.errors import HearingError
from realtime.turns import SpeechStarted, TurnDetector, TurnSettings
from tests.rehearsal import LevelDetector, Rehearsal
from tests.stories import FRAME, RATE, silence, speech, tell
from tests.timeless import run_timeless

NONE = {"audio": {"input": {"turn_detection": None}}}
SERVER_VAD = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}


def times(talk: Rehearsal) -> list[tuple[str, int]]:
    """Starts and stops of speech, as they were told."""
    return [
        (e["type"].rpartition("_")[2], e.get("audio_start_ms", e.get("audio_end_ms")))
        for e in talk.told
        if e["type"].startswith("input_audio_buffer.speech_")
    ]


def test_speech_that_is_heard_again_is_not_told_as_earlier_than_what_was_told():
    """Turn detection is turned off in mid-turn, which ends the turn, and on again: what was kept is
    listened to once more, from a time before that end."""

    async def story() -> list[tuple[str, int]]:
        async with Rehearsal() as talk:
            await talk.say(0.6)
            talk.send("session.update", session=NONE)
            await talk.say(0.4)
            talk.send("session.update", session=SERVER_VAD)
            await talk.say(0.5)
            await talk.say(1.0, loud=False)
            return times(talk)

    found = run_timeless(story())
    assert [kind for kind, _ in found] == ["started", "stopped", "started", "stopped"]
    assert [ms for _, ms in found] == sorted(ms for _, ms in found)


@dataclass
class FailsOnce(LevelDetector):
    """On its `at`th call alone."""

    at: int = 0
    asked: int = 0

    async def probabilities(self, state: Any, windows: Sequence[Int16], *, owner: Any) -> Any:
        self.asked += 1
        if self.asked == self.at:
            raise HearingError("once")
        return await super().probabilities(state, windows, owner=owner)


def test_a_detector_that_fails_loses_no_start_that_was_found_before():
    """Kept audio is listened to in one go: what its beginning held counts, though its end fails."""

    async def story() -> list[str]:
        async with Rehearsal() as talk:
            talk.send("session.update", session=NONE)
            await talk.say(2.0)
            detector = FailsOnce(at=12)
            talk.session.listening.ear._detector = detector
            talk.send("session.update", session=SERVER_VAD)
            await talk.say(0.1)
            assert detector.asked == 12, "all that was kept is listened to in one go"
            await talk.say(1.5, loud=False)
            assert [e for e in talk.told if e["type"] == "error"]
            return [kind for kind, _ in times(talk)]

    assert run_timeless(story()) == ["started", "stopped"]


def test_a_prefix_that_is_made_longer_does_not_reach_for_audio_that_is_gone():
    detector = TurnDetector(TurnSettings(prefix_padding_ms=0))
    tell(detector, silence(3))
    detector.begin_from(detector.keep_from)
    detector.configure(TurnSettings(prefix_padding_ms=5_000))
    [start] = [e for e in tell(detector, speech(0.5)) if isinstance(e, SpeechStarted)]
    assert start.start == 3 * RATE
    later = TurnDetector(TurnSettings(prefix_padding_ms=5_000))
    assert [e.start for e in tell(later, silence(3), speech(0.5))] == [0]


def test_audio_that_comes_sample_by_sample_takes_no_more_room():
    """An array of one sample takes a hundred bytes."""
    log = AudioLog(max_samples=10 * FRAME * 100)
    whole = np.arange(10 * BLOCK_SAMPLES, dtype=np.int16)
    for sample in whole:
        log.append(np.array([sample], np.int16))
    assert len(log._blocks) <= 11
    assert np.array_equal(log.read(0, len(whole)), whole)
    log.forget(BLOCK_SAMPLES + 7)
    assert log.read(0, BLOCK_SAMPLES + 9).tolist() == [BLOCK_SAMPLES + 7, BLOCK_SAMPLES + 8]
