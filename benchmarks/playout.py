"""A reply's audio with the time each piece arrived, and what a listener hears of it and when.

The listener's player has no buffer to fill: it starts with the first piece as soon as that arrives,
plays at real pace, and waits when it runs dry. Pure: times in seconds come in with the audio.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.clips import SAMPLE_RATE_HZ, Pcm

AUDIBLE_DBFS = -50.0
AUDIBLE_MAGNITUDE = 32768 * 10 ** (AUDIBLE_DBFS / 20)
"""A sample is audible over -50 dBFS: 104 of 32768."""


@dataclass(frozen=True)
class Piece:
    """Audio that came in one message; its offset is counted in samples from the reply's start."""

    arrived_at: float
    first_sample: int
    pcm: Pcm


@dataclass
class Reply:
    """All audio of one response, in order of arrival."""

    response_id: str
    item_id: str | None = None
    pieces: list[Piece] = field(default_factory=list)
    stopped_at: float | None = None
    """When the listener stopped it, because somebody began to speak."""

    def add(self, arrived_at: float, pcm: Pcm, first_sample: int | None = None) -> Piece:
        """Take in a piece; without an offset it goes on where the last one ended."""
        piece = Piece(arrived_at, self.samples if first_sample is None else first_sample, pcm)
        self.pieces.append(piece)
        return piece

    @property
    def samples(self) -> int:
        """Where the audio that arrived ends."""
        return self.pieces[-1].first_sample + self.pieces[-1].pcm.size if self.pieces else 0

    @property
    def pcm(self) -> Pcm:
        """The audio, one piece after the other."""
        return np.concatenate([np.zeros(0, np.int16), *(piece.pcm for piece in self.pieces)])

    @property
    def gaps(self) -> int:
        """Pieces that do not go on where the one before ended: always 0 with a sound server."""
        ends = [0, *(piece.first_sample + piece.pcm.size for piece in self.pieces)]
        return sum(p.first_sample != end for p, end in zip(self.pieces, ends, strict=False))

    @property
    def starts(self) -> list[float]:
        """When each piece starts to play: when it has arrived and the one before is over."""
        starts: list[float] = []
        free_at = float("-inf")
        for piece in self.pieces:
            starts.append(max(piece.arrived_at, free_at))
            free_at = starts[-1] + piece.pcm.size / SAMPLE_RATE_HZ
        return starts

    @property
    def first_audible_at(self) -> float | None:
        """First audio: when the first sample over -50 dBFS is played.

        That is the arrival of the piece that holds it, or the end of the silence before it in the
        reply where that is later, plus the silence at the piece's own head.
        """
        for piece, start in zip(self.pieces, self.starts, strict=True):
            audible = np.flatnonzero(np.abs(piece.pcm.astype(np.int32)) > AUDIBLE_MAGNITUDE)
            if audible.size:
                return start + int(audible[0]) / SAMPLE_RATE_HZ
        return None

    @property
    def played_until(self) -> float | None:
        """When the listener has heard all that arrived."""
        if not self.pieces:
            return None
        return self.starts[-1] + self.pieces[-1].pcm.size / SAMPLE_RATE_HZ

    @property
    def dry_ms(self) -> float:
        """How long the player had nothing to play in the midst of the reply."""
        if not self.pieces:
            return 0.0
        lasted_s = (self.played_until or 0.0) - self.starts[0]
        return max(0.0, (lasted_s - self.pcm.size / SAMPLE_RATE_HZ) * 1000)

    def heard_ms(self, at: float) -> int:
        """How much of the reply has been played at a given time."""
        heard_s = 0.0
        for piece, start in zip(self.pieces, self.starts, strict=True):
            heard_s += min(max(0.0, at - start), piece.pcm.size / SAMPLE_RATE_HZ)
        return int(heard_s * 1000)

    def stop(self, at: float) -> int | None:
        """Stop playing; gives what was heard in ms, or None where it was not being played."""
        if self.stopped_at is not None or not self.pieces or at >= (self.played_until or at):
            return None
        self.stopped_at = at
        return self.heard_ms(at)
