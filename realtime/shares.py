"""A fair share of the places for each key, without ending anybody's session. Pure.

    share = places // keys that hold one, were refused one in the last minute, or ask now

A key may take any free place, but for those that are kept for others:

- from one at or above its share, one for each other key below it that was refused within `CLAIM_S`:
  the place that becomes free next is for that key, not for whoever asks most often;
- while the server has keys that are not here, an eighth of all (none of fewer than eight), from one
  that has as many as there would be for each key of the server.

So a key that is alone has all places but that eighth, and gives way, one ended session after the
other, to a key that comes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CLAIM_S = 60.0
KEPT_FREE = 8
"""One of so many places is kept for keys that are not here."""


@dataclass
class Shares:
    """The claims of keys that were refused. Bound: one a key."""

    _claims: dict[str, float] = field(default_factory=dict)
    """By key: until when."""

    def admits(
        self, key: str, held: Mapping[str, int], *, places: int, known: int, now_s: float
    ) -> bool:
        """Whether a place is free for this key. `held` are the places of each key that has some,
        `known` is how many keys there are."""
        self._claims = {k: until for k, until in self._claims.items() if until > now_s}
        free, own = places - sum(held.values()), held.get(key, 0)
        here = {*held, *self._claims, key}
        share = max(1, places // len(here))
        others = 0
        if own >= share:
            others += sum(k != key and held.get(k, 0) < share for k in self._claims)
        if known > len(here) and own >= max(1, places // known):
            others += places // KEPT_FREE
        return free > others

    def refused(self, key: str, now_s: float) -> None:
        """A key found no place, and is likely to ask again."""
        self._claims[key] = now_s + CLAIM_S

    def entered(self, key: str) -> None:
        """A key got the place that it waited for."""
        self._claims.pop(key, None)
