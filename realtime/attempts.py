"""Requests that show no key of the server: so many of an address, then it waits. Pure.

A bucket of tokens for each address. It is no defence against guessing, of which a key of 16
characters needs none, but keeps the work and the log of those who try small. Who shows a good key
takes no token, whatever others at that address do. Bound: `MAX_ADDRESSES` buckets; at that the one
that was not used for the longest time is forgotten, and its address begins anew.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

BURST = 20
EVERY_S = 3.0
"""A token comes back in so many seconds."""

MAX_ADDRESSES = 10_000


@dataclass
class Attempts:
    """Times are seconds of any one clock."""

    burst: int = BURST
    every_s: float = EVERY_S
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """By address: the tokens that were left, and when."""

    def failed(self, address: str, now_s: float) -> int:
        """One more: 0 if it is answered, else the seconds to wait. "" is this machine, which is
        never made to wait."""
        if not address:
            return 0
        left, at_s = self._buckets.pop(address, (float(self.burst), now_s))
        left = min(float(self.burst), left + (now_s - at_s) / self.every_s)
        waits = left < 1
        self._buckets[address] = (left if waits else left - 1, now_s)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return max(1, math.ceil((1 - left) * self.every_s)) if waits else 0
