"""Progress that a person can watch: a bar on a terminal, a line of the log now and then elsewhere.

The volume's state file is told as often as the log, so that a probe sees that something moves.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from bootstrap import disk
from bootstrap.state import State

LINE_S = 5.0
BAR_S = 0.1
RATE_WINDOW_S = 10.0
BAR_COLUMNS = 24

log = logging.getLogger("banter.bootstrap")


class Progress:
    """Of one piece of work of known size, of which an earlier run may have done some."""

    def __init__(
        self,
        what: str,
        total_bytes: int,
        state: State,
        activity: str,
        *,
        begun_bytes: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total_bytes = total_bytes
        self._state = state
        self._activity = activity
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._drawn_at = self._lined_at = clock()
        self._width = 0
        self._note(begun_bytes)

    def update(self, done_bytes: int) -> None:
        """Tell, if it is time to. Called as often as one likes."""
        now = self._clock()
        if not self._seen or now > self._seen[-1][0]:
            self._seen.append((now, done_bytes))
        while self._seen[0][0] < now - RATE_WINDOW_S:
            self._seen.popleft()
        if self._stream.isatty() and now - self._drawn_at >= BAR_S:
            self._drawn_at = now
            self._draw(self._bar(done_bytes))
        if now - self._lined_at >= LINE_S:
            self._lined_at = now
            self._note(done_bytes)
            if not self._stream.isatty():
                log.info("%s: %s", self._what, self.words(done_bytes))

    def words(self, done_bytes: int) -> str:
        """`12.0 MB of 80.0 MB, 4.0 MB/s, 17 s left`."""
        amount = f"{disk.megabytes(done_bytes)} of {disk.megabytes(self._total_bytes)}"
        rate = self._rate()
        if rate <= 0:
            return amount
        left_s = max(0, self._total_bytes - done_bytes) / rate
        return f"{amount}, {disk.megabytes(int(rate))}/s, {duration(left_s)} left"

    def clear(self) -> None:
        """Take the bar away: something else is about to be written, or the work is over."""
        if self._width:
            self._draw("")
            self._width = 0

    def _note(self, done_bytes: int) -> None:
        """Tell the state file."""
        self._state.say(
            self._activity, what=self._what, done_bytes=done_bytes, total_bytes=self._total_bytes
        )

    def _rate(self) -> float:
        """Bytes a second, of the last seconds."""
        if len(self._seen) < 2:
            return 0.0
        (begun, begun_bytes), (ended, ended_bytes) = self._seen[0], self._seen[-1]
        return (ended_bytes - begun_bytes) / (ended - begun)

    def _bar(self, done_bytes: int) -> str:
        share = min(1.0, done_bytes / self._total_bytes) if self._total_bytes else 1.0
        filled = int(share * BAR_COLUMNS)
        bar = "#" * filled + "." * (BAR_COLUMNS - filled)
        return f"[{bar}] {share:4.0%} {self.words(done_bytes)}"

    def _draw(self, text: str) -> None:
        """Over what was drawn before, and never onto a second row of the terminal."""
        text = text[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._width) + ("" if text else "\r"))
        self._stream.flush()
        self._width = len(text)


def duration(seconds: float) -> str:
    """For people: `8 s`, `3 min`, `2 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
