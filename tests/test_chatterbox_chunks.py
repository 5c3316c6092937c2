"""Where a line is cut: nothing lost, nothing twice, and the same however its tokens come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from realtime.engines.chatterbox.chunks import (
    Chunk,
    Progress,
    Schedule,
    frames_at,
    next_chunk,
    position,
)

SCHEDULE = Schedule()


def all_chunks(
    length: int, *, stride: int = 1, appended: int = 0, speed: float = 1.0
) -> Iterator[Chunk]:
    """Of a line of `length` tokens, of which `stride` come at a time."""
    progress, known = Progress(), 0
    while True:
        final = known >= length
        chunk = next_chunk(
            SCHEDULE, progress, min(known, length), final=final, appended=appended, speed=speed
        )
        if chunk is None and final:
            return
        if chunk is None:
            known += stride
            continue
        yield chunk
        progress = chunk.after(progress)


def test_first_sound_needs_ten_tokens() -> None:
    assert next_chunk(SCHEDULE, Progress(), 9, final=False) is None
    first = next_chunk(SCHEDULE, Progress(), 10, final=False)
    assert first is not None
    assert (first.first, first.end, first.start, first.until) == (0, 10, 0, 10)
    assert first.sound_until == 10
    assert first.sound_end == 20


def test_chunks_grow_and_then_keep_their_shape() -> None:
    made = list(all_chunks(400))
    assert [chunk.end for chunk in made[:-1]] == [10, 30, 70, 145, 220, 295, 370]
    assert [chunk.tokens for chunk in made[3:-1]] == [105] * 4
    assert [chunk.sound_frames for chunk in made[3:-1]] == [175] * 4


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("appended", [0, 3])
def test_nothing_is_lost_and_nothing_comes_twice(appended: int, speed: float) -> None:
    for length in [0, 1, 2, 9, 10, 11, 12, 13, 29, 30, 31, 70, 144, 145, 146, 219, 333]:
        made = list(all_chunks(length, appended=appended, speed=speed))
        total = 2 * (length + appended)
        assert [chunk.last for chunk in made] == [False] * (len(made) - 1) + [True]
        assert made[-1].until == total
        assert made[-1].end == length + appended
        assert made[-1].sound_until == int(total / speed)
        starts, ends = [c.sound_start for c in made], [c.sound_until for c in made]
        assert starts == [0, *ends[:-1]]
        assert [c.start for c in made] == [0, *(c.until for c in made[:-1])]
        for chunk in made:
            assert chunk.first >= 0
            assert 2 * chunk.first <= chunk.start
            assert chunk.sound_left <= chunk.sound_start <= chunk.sound_until <= chunk.sound_end


@pytest.mark.parametrize("length", [9, 10, 13, 47, 146, 260])
def test_cuts_do_not_depend_on_how_tokens_come(length: int) -> None:
    one_by_one = list(all_chunks(length))
    assert list(all_chunks(length, stride=7)) == one_by_one
    assert list(all_chunks(length, stride=1_000)) == one_by_one


def test_last_chunks_of_many_lengths_share_few_shapes() -> None:
    """And those are never short of the context that other chunks have."""
    shapes = set()
    for length in range(150, 400):
        last = list(all_chunks(length, appended=3))[-1]
        assert last.start // 2 - last.first >= SCHEDULE.context
        assert last.sound_left >= SCHEDULE.left
        shapes.add((last.tokens, last.sound_frames))
    assert len(shapes) <= 12


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 3.0])
def test_frames_at_counts_what_lies_within(speed: float) -> None:
    for frames in range(1, 300):
        count = frames_at(frames, speed)
        assert count == 0 or position(count - 1, speed) <= frames - 1
        assert position(count, speed) > frames - 1
