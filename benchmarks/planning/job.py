"""One thing asked of a pool: an utterance to hear, a piece of a reply to speak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from realtime.batching import FINAL

REFUSED, FAILED, MADE = "refused", "failed", "made"


@dataclass(eq=False)
class Job:
    """`over` is called once with what became of it; `sounds` with the seconds of each chunk.

    Nobody is called after `gone` is set: whoever asked does not want it any more.
    """

    owner: object
    audio_s: float
    """Heard or made, in seconds: what counts in queues."""
    weight: float
    """What it adds to the time of a run, in the engine's unit."""
    over: Callable[[str], None]
    sounds: Callable[[float], None] = lambda seconds: None
    rank: int = FINAL
    key: object = None
    gone: bool = False
    tries: int = 1
    begun: bool = False
    """Some of its sound is out."""
    again: Callable[[], None] = lambda: None
    """Sends it to another replica."""
    replica: Any = field(default=None, repr=False)
    """Where it waits or runs."""
    counted: bool = False
    """It is part of what its replica has queued."""
    asked_s: float = 0.0
    """When its replica got it."""
