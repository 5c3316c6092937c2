"""Is the event loop free? A heartbeat measures it always; a thread names who holds it up, in debug.

All sockets of a server share one loop, so whatever runs on it for long is felt by every caller.
Three histograms tell what happened since the start (`/status`, `histograms`):

    loop.lag_ms    by how much a beat came late: what callers feel, whoever is to blame
    loop.busy_ms   CPU time of the loop's thread between two beats: no callback can have taken more
                   than that; what the machine did to us (other processes, threads that hold the
                   interpreter) is not in it
    loop.gc_ms     pauses of Python's garbage collector, in whichever thread: they stop them all

`loop.busy_ms` is an upper bound: what it shows for `BEAT_S` of many short callbacks is `BEAT_S`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections import Counter, deque
from types import FrameType

from realtime.metrics import Metrics

log = logging.getLogger("banter.watchdog")

BEAT_S = 0.005
BEATS_A_VALUE = 10
"""The series `loop.lag_ms`, whose percentiles are told, gets the worst of so many beats."""

LIMIT_MS = 10.0
"""Nothing on the loop may take longer; whoever makes a beat later than this is looked for."""

RECENT_BEATS = 100
POLL_S = 0.002
SAY_EVERY_S = 1.0
MAX_CULPRITS = 50
"""Different culprits that are counted by name; what comes after is counted as `others`."""

OTHERS = "others"
NOBODY = "no function of ours"

_LOOP = frozenset(("BaseEventLoop.run_forever", "BaseEventLoop._run_once", "Runner.run"))
"""Functions that run the loop: below them a stack says nothing of what the loop does."""


class Watchdog:
    """Started and stopped on the loop that it watches. `debug` None: as the logger's level says."""

    def __init__(self, metrics: Metrics, *, debug: bool | None = None) -> None:
        self._heart = Heartbeat(metrics)
        self._collections = CollectionClock(metrics)
        self._debug = debug
        self._sentry: Sentry | None = None

    @property
    def culprits(self) -> dict[str, int]:
        """How often each culprit held the loop up; empty unless debugging."""
        return dict(self._sentry.culprits.most_common()) if self._sentry else {}

    def start(self) -> None:
        self._heart.start()
        self._collections.start()
        if log.isEnabledFor(logging.DEBUG) if self._debug is None else self._debug:
            self._sentry = Sentry(self._heart)
            self._sentry.start()

    async def stop(self) -> None:
        self._heart.stop()
        self._collections.stop()
        if self._sentry:
            await asyncio.to_thread(self._sentry.stop)


class Heartbeat:
    """A timer on the loop that winds itself up again."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lag = metrics.histogram("loop.lag_ms")
        self._busy = metrics.histogram("loop.busy_ms")
        self._worst_ms = 0.0
        self._cpu_s = 0.0
        self.due_s = float("inf")
        """When the next beat is due, by `time.perf_counter`."""
        self.beats = 0
        self.thread = 0
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT_BEATS)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._cpu_s = time.thread_time()
        self._wind()

    def stop(self) -> None:
        self._timer.cancel()
        self.due_s = float("inf")

    @property
    def overdue_ms(self) -> float:
        """By how much the next beat is late already; negative while it is not due."""
        return (time.perf_counter() - self.due_s) * 1e3

    def after(self, beat: int) -> tuple[float, float]:
        """Lag and busy time, in ms, of the beat that came after `beat`, which is not long ago."""
        since = min(max(1, self.beats - beat), len(self._recent))
        return self._recent[-since] if since else (0.0, 0.0)

    def _wind(self) -> None:
        self.due_s = time.perf_counter() + BEAT_S
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        cpu_s = time.thread_time()
        lag_ms = max(0.0, self.overdue_ms)
        busy_ms, self._cpu_s = (cpu_s - self._cpu_s) * 1e3, cpu_s
        self._lag.add(lag_ms)
        self._busy.add(busy_ms)
        self._worst_ms = max(self._worst_ms, lag_ms)
        self._recent.append((lag_ms, busy_ms))
        self._wind()
        self.beats += 1
        if self.beats % BEATS_A_VALUE == 0:
            self._metrics.observe("loop.lag_ms", self._worst_ms)
            self._worst_ms = 0.0


class CollectionClock:
    """Times the garbage collector, by its own callbacks."""

    def __init__(self, metrics: Metrics) -> None:
        self._pauses = metrics.histogram("loop.gc_ms")
        self._begun_s = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._hear)

    def stop(self) -> None:
        gc.callbacks.remove(self._hear)

    def _hear(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun_s = time.perf_counter()
        else:
            self._pauses.add((time.perf_counter() - self._begun_s) * 1e3)


class Sentry:
    """A thread that looks at the loop's stack while a beat is late, and tells what it saw there.

    It wakes every `POLL_S`, which takes some of a core: for debugging only. A function that sleeps
    looks like one that was not given the processor; the CPU time that is told beside its name sets
    both apart from a function that works.
    """

    def __init__(self, heart: Heartbeat) -> None:
        self.culprits: Counter[str] = Counter()
        self._heart = heart
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="banter-watchdog", daemon=True)
        self._said_s = float("-inf")
        self._unsaid = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop and join the thread."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(POLL_S):
            beat = self._heart.beats
            if self._heart.overdue_ms > LIMIT_MS:
                where = self._look_while(beat)
                self._tell(where, *self._heart.after(beat))

    def _look_while(self, beat: int) -> str:
        """Where the loop is most of the time until it beats again."""
        seen = Counter([self._where()])
        while self._heart.beats == beat and not self._stopped.wait(POLL_S):
            seen[self._where()] += 1
        return seen.most_common(1)[0][0]

    def _where(self) -> str:
        return culprit(sys._current_frames().get(self._heart.thread))

    def _tell(self, where: str, lag_ms: float, busy_ms: float) -> None:
        """Count it, and log it unless something was logged less than `SAY_EVERY_S` ago."""
        first = where.partition(" < ")[0].partition(" (")[0]
        known = first in self.culprits or len(self.culprits) < MAX_CULPRITS
        self.culprits[first if known else OTHERS] += 1
        now_s = time.perf_counter()
        if now_s - self._said_s < SAY_EVERY_S:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more since the last such line)" if self._unsaid else ""
        self._said_s, self._unsaid = now_s, 0
        log.warning(
            "the loop was held up for %.1f ms, %.1f ms of CPU, by %s%s",
            lag_ms,
            busy_ms,
            where,
            more,
        )


def culprit(frame: FrameType | None, *, package: str = "realtime", depth: int = 3) -> str:
    """The innermost functions of ours on a stack, as `module:function:line`, innermost first.

    Where there is none, `NOBODY`: the loop waits to be run, by the machine or the interpreter, or
    does what is not written in Python.
    """
    ours: list[str] = []
    foreign = ""
    while frame is not None and frame.f_code.co_qualname not in _LOOP:
        module = frame.f_globals.get("__name__", "?")
        place = f"{module}:{frame.f_code.co_qualname}:{frame.f_lineno}"
        if module.split(".")[0] == package and module != __name__:
            ours.append(place)
        elif not ours and not foreign and module != __name__:
            foreign = f" (in {place})"
        frame = frame.f_back
    return " < ".join([(ours[0] if ours else NOBODY) + foreign, *ours[1:depth]])
