"""What a listener hears of a reply, told in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clips import SAMPLE_RATE_HZ, Pcm
from benchmarks.playout import Reply


def silence(seconds: float) -> Pcm:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def sound(seconds: float, magnitude: int = 3000) -> Pcm:
    return np.full(round(seconds * SAMPLE_RATE_HZ), -magnitude, np.int16)


def reply_of(*pieces: tuple[float, Pcm]) -> Reply:
    reply = Reply("resp_1")
    for arrived_at, pcm in pieces:
        reply.add(arrived_at, pcm)
    return reply


def test_sound_at_the_head_is_heard_when_it_arrives() -> None:
    assert reply_of((10.0, sound(0.2))).first_audible_at == 10.0


def test_silence_at_the_head_is_waited_for() -> None:
    reply = reply_of((10.0, np.concatenate([silence(0.3), sound(0.2)])))
    assert reply.first_audible_at == pytest.approx(10.3)


def test_a_silent_piece_before_it_is_played_to_its_end_first() -> None:
    reply = reply_of((10.0, silence(0.5)), (10.1, np.concatenate([silence(0.1), sound(0.1)])))
    assert reply.first_audible_at == pytest.approx(10.6)


def test_a_piece_that_comes_late_is_heard_when_it_arrives() -> None:
    reply = reply_of((10.0, silence(0.5)), (12.0, sound(0.1)))
    assert reply.first_audible_at == 12.0


@pytest.mark.parametrize(("magnitude", "audible"), [(103, False), (104, True)])
def test_audible_is_over_minus_50_dbfs(magnitude: int, audible: bool) -> None:
    assert (reply_of((10.0, sound(0.1, magnitude))).first_audible_at is not None) is audible


def test_the_loudest_negative_sample_is_audible() -> None:
    assert reply_of((10.0, np.array([-32768], np.int16))).first_audible_at == 10.0


def test_playing_lasts_as_long_as_the_audio_and_the_gaps() -> None:
    reply = reply_of((10.0, sound(1.0)), (10.1, sound(1.0)), (12.5, sound(0.5)))
    assert reply.starts == pytest.approx([10.0, 11.0, 12.5])
    assert reply.played_until == pytest.approx(13.0)
    assert reply.dry_ms == pytest.approx(500)


def test_what_was_heard_leaves_out_what_had_not_come() -> None:
    reply = reply_of((10.0, sound(1.0)), (12.0, sound(1.0)))
    assert [reply.heard_ms(at) for at in (9.0, 10.25, 11.5, 12.5, 20.0)] == [
        0,
        250,
        1000,
        1500,
        2000,
    ]


def test_stopping_tells_what_was_heard_once() -> None:
    reply = reply_of((10.0, sound(1.0)))
    assert reply.stop(10.5) == 500
    assert reply.stop(10.6) is None


def test_what_is_over_or_was_never_begun_cannot_be_stopped() -> None:
    assert reply_of((10.0, sound(1.0))).stop(11.5) is None
    assert Reply("resp_1").stop(10.0) is None


def test_offsets_that_do_not_fit_are_counted() -> None:
    reply = Reply("resp_1")
    reply.add(10.0, sound(0.1), 0)
    reply.add(10.1, sound(0.1), 2400)
    assert reply.gaps == 0
    reply.add(10.2, sound(0.1), 9600)
    assert reply.gaps == 1
    assert reply.samples == 12_000


def test_a_reply_without_audio_is_never_heard() -> None:
    reply = Reply("resp_1")
    assert (reply.first_audible_at, reply.played_until, reply.dry_ms) == (None, None, 0.0)
    assert reply.pcm.size == 0
