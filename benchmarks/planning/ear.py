"""The ears of one front end: one thread that hears all its callers, in ticks of one message.

All that a caller costs a front end while he is connected is done there: the socket, voice
detection, the turn. Where the tick's work takes longer than the tick, the ear falls behind, and
pauses are noticed as much later.
"""

from __future__ import annotations

import simpy

from benchmarks.planning.device import Device
from benchmarks.planning.service import FrontEnd

TICK_S = 0.02


class Ear:
    """`open` and `speaking` are counted by whoever calls."""

    def __init__(self, env: simpy.Environment, device: Device, front: FrontEnd) -> None:
        self.open = self.speaking = 0
        self.lag_s = 0.0
        """How far it is behind."""
        self._env, self._device, self._front = env, device, front
        if front.caller_cores or front.ear_cores:
            env.process(self._listen())

    @property
    def cores(self) -> float:
        """What it needs now."""
        return self._front.caller_cores * self.open + self._front.ear_cores * self.speaking

    def _listen(self) -> simpy.events.ProcessGenerator:
        due_s = self._env.now
        while True:
            due_s += TICK_S
            if due_s > self._env.now:
                yield self._env.timeout(due_s - self._env.now)
            if work_s := TICK_S * self.cores:
                yield self._device.run(work_s).done
            self.lag_s = max(0.0, self._env.now - due_s)
