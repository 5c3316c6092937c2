"""What a voice that is made in chunks does next: pure decisions, by the clock it is given.

A voice's thread has three kinds of work: begin a new line, take one step of the decoder for all
lines at once, turn the tokens of some lines into their next chunk of sound. In this order:

1. the chunk of a caller who is about to have nothing more to hear, the earliest first;
2. begin a line that waits for a place, so that it shares the next steps;
3. what a caller waits for who has nothing more to hear, or soon: his chunk, or steps, where the
   tokens of it are not there. Steps only as long as a gap can be prevented: who is in silence
   already waits like those who have heard nothing yet;
4. the first chunk of a line, which somebody is waiting for, and the last, after which that caller's
   next line can begin;
5. a step;
6. chunks that nobody needs yet.

With a chunk go all others of the same shape, up to `MOST_TOGETHER`: one run for several costs
little more than for one. So chunks that are not urgent gather while the decoder steps.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

URGENT_S = 0.5
"""Sound that a listener should always have in hand. A chunk takes a tenth of it where a voice
carries several callers."""

MOST_TOGETHER = 8


@dataclass(frozen=True)
class Chunk:
    """Sound that can be made now: its tokens are there."""

    line: Hashable
    shape: Hashable
    """Chunks of one shape are made in one run."""
    since_s: float
    """When its line was asked for."""
    runs_dry_s: float | None
    """When its listener has heard all there is; None: hears nothing yet."""
    last: bool = False


class Work(Enum):
    """What is done if not chunks."""

    BEGIN = "begin"
    STEP = "step"
    WAIT = "wait"


def next_work(
    chunks: Sequence[Chunk],
    now_s: float,
    *,
    can_begin: bool,
    can_step: bool,
    step_by_s: float | None = None,
) -> Work | list[Chunk]:
    """The next piece of work; chunks come in the order of their need, all of one shape.

    `can_begin`: a line waits and there is a place for it. `can_step`: the decoder has lines, and
    one of them has to step from `step_by_s` on for its listener not to hear a gap.
    """
    order = sorted(chunks, key=lambda chunk: _need(chunk, now_s))
    step_by_s = float("inf") if step_by_s is None or not can_step else step_by_s
    urgent = order and _need(order[0], now_s)[0] == 0
    if can_begin and not (urgent and _need(order[0], now_s)[1] > now_s):
        return Work.BEGIN
    if urgent:
        return Work.STEP if step_by_s < _need(order[0], now_s)[1] else _together(order)
    if step_by_s - now_s <= URGENT_S:
        return Work.STEP
    if order and _need(order[0], now_s)[0] == 1:
        return _together(order)
    if can_step:
        return Work.STEP
    return _together(order) if order else Work.WAIT


def step_by(listeners: Iterable[tuple[float, int]], now_s: float, step_s: float) -> float | None:
    """When steps must begin for nobody to hear a gap; None where no step can prevent one.

    `listeners`: when each has heard all there is, and the tokens that his next chunk lacks.
    """
    by_s = [
        dry_s - lacking * step_s for dry_s, lacking in listeners if lacking > 0 and dry_s > now_s
    ]
    return min(by_s, default=None)


def _need(chunk: Chunk, now_s: float) -> tuple[int, float]:
    """Its class, and its place within that."""
    if chunk.runs_dry_s is not None and chunk.runs_dry_s - now_s <= URGENT_S:
        return 0, chunk.runs_dry_s
    if chunk.runs_dry_s is None:
        return 1, chunk.since_s
    # behind the first ones: its listener has something in hand
    return (1, chunk.runs_dry_s + URGENT_S) if chunk.last else (2, chunk.runs_dry_s)


def _together(order: Sequence[Chunk]) -> list[Chunk]:
    return [chunk for chunk in order if chunk.shape == order[0].shape][:MOST_TOGETHER]
