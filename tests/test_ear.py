"""The ear on real sound with the real detector: speech makes turns, noise makes none."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from realtime.audio import Int16
from realtime.ear import PREROLL_SAMPLES, Ear
from realtime.endpointing import by_model
from realtime.engines.speech_detector import WINDOW_SAMPLES
from realtime.errors import EndOfTurnError
from realtime.formats import Format
from realtime.session_config import ServerVad
from realtime.turns import SpeechStarted, SpeechStopped, TurnPaused, TurnResumed
from tests.client import clip, quiet
from tests.fakes import FakeEndOfTurn

SPEECH = ("ls_6930_0000", "ls_1221_0002", "lj001_0016", "vctk_p287_004_clean", "jfk")


def samples(audio: bytes) -> Int16:
    return np.frombuffer(audio, "<i2")


WAITS = by_model()
SENTENCE = quiet(1) + clip("ls_6930_0000") + quiet(3)
"""One turn without a pause of 120 ms."""


def waited_ms(events: list) -> float:
    """Of a story with one turn: how long its last silence was."""
    [stop] = [e for e in events if isinstance(e, SpeechStopped)]
    return (stop.end - stop.last_speech) / 16


async def listen(ear: Ear, audio: bytes, chunk: int = 2_400) -> list:
    found = []
    for start in range(0, len(audio), 2 * chunk):
        found += await ear.hear(audio[start : start + 2 * chunk])
        ear.judge()
    return found


@pytest.fixture
def ear(detector):
    made = Ear(detector, owner="test")
    made.configure(ServerVad(), Format())
    return made


@pytest.mark.parametrize("name", SPEECH)
async def test_every_clip_is_heard_from_first_to_last_word(ear, name):
    audio = clip(name)
    events = await listen(ear, quiet(1) + audio + quiet(1))
    starts = [e for e in events if isinstance(e, SpeechStarted)]
    stops = [e for e in events if isinstance(e, SpeechStopped)]
    assert len(starts) == len(stops) >= 1
    pieces = samples(audio)[: len(audio) // 2 // 1_200 * 1_200].reshape(-1, 1_200)
    loud = np.flatnonzero(np.sqrt((pieces.astype(float) ** 2).mean(1)) > 600) * 0.05 + 1
    assert starts[0].start / 16_000 <= loud[0]
    assert loud[-1] <= stops[-1].end / 16_000 <= loud[-1] + 1.0


@pytest.mark.parametrize("name", ["noise_wind_bl", "noise_tap_sc"])
@pytest.mark.parametrize("gain", [1.0, 3.0])
async def test_noise_makes_no_turn(ear, name, gain):
    loud = np.clip(samples(clip(name)) * gain, -32_768, 32_767).astype("<i2").tobytes()
    assert await listen(ear, loud) == []


@pytest.mark.parametrize("kind", ["hum", "music", "white"])
async def test_what_webrtcvad_alone_calls_speech_makes_no_turn(ear, kind):
    t = np.arange(5 * 24_000) / 24_000
    wave = {
        "hum": np.sin(2 * np.pi * 120 * t),
        "music": sum(np.sin(2 * np.pi * f * t) for f in (262, 330, 392)) / 3,
        "white": np.random.default_rng(0).normal(0, 0.3, len(t)),
    }[kind]
    audio = (np.clip(wave * 0.3, -1, 1) * 32_767).astype("<i2").tobytes()
    assert await listen(ear, audio) == []


async def test_the_turn_ends_although_hum_goes_on(ear):
    t = np.arange(10 * 24_000) / 24_000
    hum = (np.sin(2 * np.pi * 120 * t) * 400).astype(np.int32)
    speech = np.zeros(len(hum), np.int32)
    voice = samples(clip("ls_6930_0000"))
    speech[24_000 : 24_000 + len(voice)] = voice
    mixed = np.clip(hum + speech, -32_768, 32_767).astype("<i2").tobytes()
    events = await listen(ear, mixed)
    assert [type(e) for e in events if not isinstance(e, TurnPaused | TurnResumed)] == [
        *(SpeechStarted, SpeechStopped)
    ]


@pytest.mark.parametrize("chunk", [97, 480, 2_400, 24_000])
async def test_the_size_of_the_pieces_changes_nothing(detector, chunk):
    found = []
    for size in (2_400, chunk):
        ear = Ear(detector, owner=size)
        ear.configure(ServerVad(), Format())
        found.append(await listen(ear, quiet(1) + clip("ls_6930_0000") + quiet(1), size))
    assert found[0] == found[1]


async def test_no_window_of_an_open_gate_is_skipped(detector):
    seen: list[np.ndarray] = []

    class Watching:
        async def probabilities(self, state, windows, *, owner):
            seen.extend(windows)
            return await detector.probabilities(state, windows, owner=owner)

    ear = Ear(Watching(), owner="test")
    ear.configure(ServerVad(), Format())
    audio = quiet(1) + clip("ls_6930_0000") + quiet(0.2)
    await listen(ear, audio)
    whole = ear._log.read(0, ear._log.end)
    gate = ear._gate
    assert gate is not None
    stream = np.concatenate(seen)[gate.start - gate.read_to :]
    assert len(stream) == gate.read_to - gate.start
    kept = stream[ear._log.start - gate.start :]
    assert np.array_equal(kept, whole[: len(kept)])
    assert (gate.read_to - gate.start) % WINDOW_SAMPLES == 0
    assert gate.start <= ear.turns._onset - PREROLL_SAMPLES + 16_000 * 0.5


async def test_silence_costs_no_model(detector):
    class Never:
        async def probabilities(self, state, windows, *, owner):
            raise AssertionError("Silero was asked about silence")

    ear = Ear(Never(), owner="test")
    ear.configure(ServerVad(), Format())
    assert await listen(ear, bytes(24_000 * 2 * 5)) == []


async def test_memory_stays_small_while_nobody_speaks(ear):
    await listen(ear, bytes(24_000 * 2 * 60))
    assert len(ear._log) < 16_000 * 2


async def test_turned_off_it_keeps_everything_for_a_commit(detector):
    ear = Ear(detector, owner="test")
    ear.configure(None, Format())
    audio = clip("ls_6930_0000")
    assert await listen(ear, audio) == []
    assert len(ear.commit()) == len(audio) // 2 * 2 // 3
    assert ear.buffered_ms == 0


async def judged(detector, end_of_turn: FakeEndOfTurn | None, **settings) -> list:
    ear = Ear(detector, owner="test", end_of_turn=end_of_turn)
    ear.configure(ServerVad(**settings), Format())
    return await listen(ear, SENTENCE, 480)


async def test_a_pause_that_the_model_calls_complete_ends_the_turn_soon(detector):
    events = await judged(detector, FakeEndOfTurn([1.0]))
    assert waited_ms(events) == pytest.approx(WAITS.heard.complete_ms, abs=20)


async def test_a_pause_that_the_model_calls_incomplete_lasts_long(detector):
    assert waited_ms(await judged(detector, FakeEndOfTurn([0.0]))) == WAITS.heard.incomplete_ms


async def test_without_a_model_or_an_answer_silence_ends_the_turn(detector):
    for end_of_turn in (None, FakeEndOfTurn([EndOfTurnError("out of order")])):
        assert waited_ms(await judged(detector, end_of_turn)) == WAITS.silence_ms


async def test_a_silence_that_was_set_is_kept_and_nobody_is_asked(detector):
    end_of_turn = FakeEndOfTurn([1.0])
    assert waited_ms(await judged(detector, end_of_turn, silence_duration_ms=700)) == 700
    assert end_of_turn.heard == []


async def test_the_model_hears_the_turn_up_to_the_pause(detector):
    end_of_turn = FakeEndOfTurn([1.0])
    events = await judged(detector, end_of_turn)
    [start] = [e.start for e in events if isinstance(e, SpeechStarted)]
    last = [e for e in events if isinstance(e, TurnPaused)][-1]
    assert len(end_of_turn.heard[-1]) == last.last_speech + 120 * 16 - start


async def test_of_a_long_turn_the_model_hears_the_last_8_s(detector):
    end_of_turn = FakeEndOfTurn([0.0])
    ear = Ear(detector, owner="test", end_of_turn=end_of_turn)
    ear.configure(ServerVad(), Format())
    await listen(ear, clip("lj001_0016") + clip("ls_6930_0000") + quiet(3), 480)
    assert len(end_of_turn.heard[-1]) == 8 * 16_000


async def test_audio_does_not_wait_for_a_verdict_and_silence_counts_meanwhile(detector):
    end_of_turn = FakeEndOfTurn([1.0], gate=asyncio.Event())
    assert waited_ms(await judged(detector, end_of_turn)) == WAITS.silence_ms


async def test_a_pause_that_is_over_is_judged_no_more(detector):
    end_of_turn = FakeEndOfTurn([1.0], gate=asyncio.Event())
    ear = Ear(detector, owner="test", end_of_turn=end_of_turn)
    ear.configure(ServerVad(), Format())
    await listen(ear, SENTENCE, 480)
    asking = ear._judging
    assert asking is not None
    await asyncio.wait({asking}, timeout=5)
    assert asking.cancelled()


async def test_once_it_is_closed_nobody_is_asked(detector):
    """What was waited for may still be told: that a draft's words will not be known."""
    end_of_turn = FakeEndOfTurn([1.0])
    ear = Ear(detector, owner="test", end_of_turn=end_of_turn)
    ear.configure(ServerVad(), Format())
    spoken = SENTENCE[: -int(2.8 * 24_000) * 2]
    for start in range(0, len(spoken), 960):
        for event in await ear.hear(spoken[start : start + 960]):
            if isinstance(event, TurnPaused):
                ear.turns.decide(event.last_speech, reading=True)
                paused = event.last_speech
    ear.close()
    ear.turns.decide(paused, reading=False)
    assert ear.turns.wants_sound
    ear.judge()
    await asyncio.sleep(0)
    assert end_of_turn.heard == []


async def test_closing_drops_a_pause_that_is_being_judged(detector):
    end_of_turn = FakeEndOfTurn([1.0], gate=asyncio.Event())
    ear = Ear(detector, owner="test", end_of_turn=end_of_turn)
    ear.configure(ServerVad(), Format())
    await listen(ear, SENTENCE[: -int(2.8 * 24_000) * 2], 480)
    asking = ear._judging
    assert asking is not None
    ear.close()
    await asyncio.wait({asking}, timeout=5)
    assert asking.cancelled()
