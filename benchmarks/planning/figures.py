"""What a run in simulated time came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.planning.caller import Turn
from benchmarks.report import percentile, spread

HEARD_S = 0.05
"""Silence within a reply that is shorter is not heard as a gap."""


@dataclass
class Figures:
    """What came of a run, from `begun_s` on."""

    turns: list[Turn]
    begun_s: float
    seconds: float
    came: int
    refused: int
    open: float
    counts: dict[str, int]
    """Of the window: drafts, hits, partials, interrupted."""
    batches: list[int]
    gpu_busy: float
    queued_s: dict[str, float]
    """By pool: audio in each replica, on average."""
    sizes: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    failovers: int = 0

    @property
    def answered(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.answered]

    def percentile_ms(self, percent: float) -> float:
        """Of the wait from the end of speech to the first audio."""
        return 1e3 * percentile((turn.waited_s for turn in self.answered), percent)

    def told(self) -> dict[str, Any]:
        """For tables and JSON."""
        turns = self.answered
        return {
            "turns": len(self.turns),
            "answered": len(turns),
            "wait_ms": spread(1e3 * turn.waited_s for turn in turns),
            "decided_ms": spread(1e3 * turn.decided_s for turn in turns),
            "dry_percent": round(100 * self.dry_share, 2),
            "refused_percent": round(100 * self.refused / self.came, 2) if self.came else 0.0,
            "conversations": round(self.open, 1),
            "gpu_busy_percent": round(100 * self.gpu_busy, 1),
            "utterances_a_run": round(sum(self.batches) / max(1, len(self.batches)), 2),
            "queued_s": {pool: round(mean_s, 2) for pool, mean_s in self.queued_s.items()},
            **self.counts,
        }

    @property
    def dry_share(self) -> float:
        """Of the replies that are over, those with a gap in them."""
        over = [turn.dry_s for turn in self.turns if turn.dry_s is not None]
        return sum(dry_s > HEARD_S for dry_s in over) / max(1, len(over))
