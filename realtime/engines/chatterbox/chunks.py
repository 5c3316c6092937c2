"""Where a line's sound is cut into chunks: counts of tokens and frames. No torch, no clock.

S3Gen turns a token into two mel frames and the vocoder turns a frame into 480 samples. A chunk
reads tokens that are known and gives out frames up to a few before the last that it could make:

    tokens   [ left context | new tokens            | 3 of look-ahead ]
    frames                  [ given out | 4 held back | 6, as context  ]

The encoder reads three tokens ahead, so the frames of the last three are only good enough to be
the vocoder's context to the right. Four frames more are held back, because attention has seen
little to their right; the next chunk makes them again. Where cuts fall depends on nothing but the
number of the chunk and the length of the line: a line sounds the same however fast its tokens come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FRAMES = 2
"""Of mel for a token."""
HOP = 480
"""Samples for a frame, at 24 kHz."""

TOKEN_GRAIN = 15
FRAME_GRAIN = 35
"""Lengths that vary are rounded up to these, with more context to the left, so that more chunks
have one shape and run as one batch. The steady chunk, 105 tokens and 175 frames, is a multiple."""


@dataclass(frozen=True)
class Schedule:
    """How much is read before the next chunk is made, and with how much around it."""

    sizes: tuple[int, ...] = (10, 20, 40, 75)
    """Tokens that must have come since the last chunk; the last size repeats."""
    look_ahead: int = 3
    """Tokens; the encoder's own `pre_lookahead_len`."""
    held: int = 4
    """Frames."""
    context: int = 25
    """Tokens read again before those that are new: a second."""
    left: int = 15
    """Frames that the vocoder reads again: 14.3 can be heard in what comes after them (the kernels
    of its widest path, source to sound, added up)."""

    def needed(self, number: int) -> int:
        """Tokens that must be known for chunk `number`, counted from 0."""
        short = sum(self.sizes[: number + 1])
        return short + max(0, number + 1 - len(self.sizes)) * self.sizes[-1]


@dataclass(frozen=True)
class Progress:
    """How far a line's sound is."""

    number: int = 0
    """Chunks made."""
    frames: int = 0
    """Given out, before the speed is applied."""
    sounded: int = 0
    """Given out, after it: frames that have become samples."""
    ended: bool = False


@dataclass(frozen=True)
class Chunk:
    """What is read and made for one chunk. Positions count from the start of the line."""

    first: int
    """Token from which S3Gen reads."""
    end: int
    """And up to which, what is appended to the line included."""
    start: int
    """Frame from which on its frames are new."""
    until: int
    """Frame up to which they are given out."""
    sound_left: int
    """Frames, after the speed, that the vocoder reads again,"""
    sound_start: int
    """the first that becomes sound,"""
    sound_until: int
    """the first that does not yet,"""
    sound_end: int
    """and how far it reads."""
    last: bool

    @property
    def tokens(self) -> int:
        return self.end - self.first

    @property
    def sound_frames(self) -> int:
        """The length of what the vocoder reads."""
        return self.sound_left + self.sound_end - self.sound_start

    def after(self, progress: Progress) -> Progress:
        return Progress(progress.number + 1, self.until, self.sound_until, self.last)


def next_chunk(
    schedule: Schedule,
    progress: Progress,
    known: int,
    *,
    final: bool,
    appended: int = 0,
    speed: float = 1.0,
) -> Chunk | None:
    """The chunk that can be made with `known` tokens, `final` if no more come; None if none can.

    `appended` tokens of silence are added at the end of the line.
    """
    if progress.ended:
        return None
    needed = schedule.needed(progress.number)
    if known >= needed:
        end, last = needed, False
        until = FRAMES * (end - schedule.look_ahead) - schedule.held
        sound_until = frames_at(until, speed)
        sound_end = frames_at(FRAMES * end, speed)
    elif final:
        end, last = known + appended, True
        until = FRAMES * end
        sound_until = sound_end = int(until / speed)
    else:
        return None
    first = max(0, progress.frames // FRAMES - schedule.context)
    left = min(progress.sounded, schedule.left)
    if last:
        first = max(0, end - _rounded(end - first, TOKEN_GRAIN))
    if last or speed != 1.0:
        new = sound_end - progress.sounded
        left = min(progress.sounded, _rounded(left + new, FRAME_GRAIN) - new)
    return Chunk(
        first,
        end,
        progress.frames,
        until,
        left,
        progress.sounded,
        sound_until,
        sound_end,
        last,
    )


def _rounded(length: int, grain: int) -> int:
    return -(-length // grain) * grain


def position(frame: int, speed: float) -> float:
    """Where frame `frame` of the sped-up mel lies in the mel; middles are spaced."""
    return max(0.0, (frame + 0.5) * speed - 0.5)


def frames_at(frames: int, speed: float) -> int:
    """How many frames of the sped-up mel lie within the first `frames` of the mel."""
    if frames <= 0:
        return 0
    return max(0, math.floor((frames - 0.5) / speed - 0.5) + 1)
