"""A B A B: the same arrivals for the shipped policy and for a rival, and their latencies. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.recogniser import Heard
from benchmarks.report import ratio, spread

SHIPPED = "shipped"

Facts = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """One policy's part of A B A B."""

    policy: str
    rival: str
    """Which comparison it belongs to."""
    pair: int
    heard: list[Heard]
    encodes: int

    def facts(self) -> Facts:
        """For the table and the JSON line; latencies in ms."""
        felt = [each.latency_ms for each in self.heard if each.error is None]
        return {
            "rival": self.rival,
            "policy": self.policy,
            "pair": self.pair,
            "arrivals": len(self.heard),
            "errors": sum(each.error is not None for each in self.heard),
            "without_words": sum(each.error is None and not each.text for each in self.heard),
            "encodes": self.encodes,
            "latency_ms": spread(felt),
            "late_ms": spread(each.late_ms for each in self.heard),
        }


def pooled(blocks: list[Block], rival: str, policy: str) -> dict[str, float | int | None]:
    """The latencies of all blocks of a policy in a comparison."""
    mine = [block for block in blocks if (block.rival, block.policy) == (rival, policy)]
    return spread(h.latency_ms for block in mine for h in block.heard if h.error is None)


def versus(blocks: list[Block], rival: str) -> Facts:
    """A comparison: both sides' latencies, and how many times the shipped one's the rival's are."""
    ours, theirs = pooled(blocks, rival, SHIPPED), pooled(blocks, rival, rival)
    found: Facts = {"shipped_ms": ours, "rival_ms": theirs}
    for quantile in ("median", "p95"):
        found[f"{quantile}_ratio"] = ratio(theirs[quantile], ours[quantile])
    of_rival = [block for block in blocks if block.rival == rival]
    p95 = {(b.pair, b.policy): b.facts()["latency_ms"]["p95"] for b in of_rival}
    pairs = sorted({block.pair for block in of_rival})
    found["p95_ratio_of_each_pair"] = [ratio(p95[n, rival], p95[n, SHIPPED]) for n in pairs]
    return found
