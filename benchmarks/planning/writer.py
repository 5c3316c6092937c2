"""What writes the replies: an endpoint on others' machines, or an echo."""

from __future__ import annotations

from random import Random

import simpy

from benchmarks.planning.service import Spread


class Writer:
    """It is waited for, and however many ask, it is as quick. With a median of 0 it is the echo.

    The embedded language model is not told of: a machine that writes its own replies carries a few
    callers, which `realtime.capacity` measures at each start.
    """

    def __init__(self, env: simpy.Environment, first_words: Spread, random: Random) -> None:
        self._env, self._first_words, self._random = env, first_words, random

    def first_words(self) -> simpy.Event:
        """Comes when the first piece of a reply is written."""
        return self._env.timeout(self._first_words.seconds(self._random))
