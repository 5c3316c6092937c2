"""More replicas when much is queued, fewer when little is: the policy, and the failures it meets.

The number wanted is `realtime.cluster.autoscale.wanted`'s, of the mean of the last `look_back_s`,
and the defaults are those of `banter cluster up`. More are asked for when more have been
wanted for `up_after_s`, and serve `warm_s` later; one is let go when fewer have been wanted for
`down_after_s`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import simpy

from benchmarks.planning.pool import Pool, Replica
from realtime.cluster import autoscale
from realtime.cluster.autoscale import TARGET_S
from realtime.cluster.deployment import DOWNSCALE_S, LOOK_BACK_S, UPSCALE_S

LOOK_S = 1.0


@dataclass(frozen=True)
class Policy:
    """When a pool grows and shrinks, and between which bounds."""

    least: int = 1
    most: int = 1
    target_s: float = TARGET_S
    look_back_s: float = LOOK_BACK_S
    up_after_s: float = UPSCALE_S
    down_after_s: float = DOWNSCALE_S


class Autoscaler:
    """Owns the number of a pool's replicas; `make` gives a new one, which has to warm up."""

    def __init__(
        self,
        env: simpy.Environment,
        pool: Pool,
        policy: Policy,
        make: Callable[[], Replica],
        *,
        warm_s: float,
    ) -> None:
        self.sizes: list[tuple[float, int]] = [(env.now, len(pool.replicas))]
        """When the pool had how many that serve."""
        self._env, self._pool, self._policy = env, pool, policy
        self._make, self._warm_s = make, warm_s
        self._coming = 0
        self._looks: deque[float] = deque(maxlen=math.ceil(policy.look_back_s / LOOK_S))
        self._above_s = self._below_s = 0.0
        env.process(self._look())

    def _look(self) -> simpy.events.ProcessGenerator:
        policy = self._policy
        while True:
            yield self._env.timeout(LOOK_S)
            self._looks.append(self._pool.queued_s)
            now = len(self._pool.replicas) + self._coming
            queued_s = sum(self._looks) / len(self._looks)
            least, most = policy.least, policy.most
            wanted = autoscale.wanted(
                queued_s, now, least=least, most=most, target_s=policy.target_s
            )
            self._above_s = self._above_s + LOOK_S if wanted > now else 0.0
            self._below_s = self._below_s + LOOK_S if wanted < now else 0.0
            if self._above_s >= policy.up_after_s:
                self._above_s = 0.0
                for _ in range(wanted - now):
                    self._coming += 1
                    self._env.process(self._grow())
            elif self._below_s >= policy.down_after_s and len(self._pool.replicas) > 1:
                self._below_s = 0.0
                self._pool.replicas.remove(min(self._pool.replicas, key=self._pool.live_s))
                self._note()  # it gets nothing more, and ends what it has

    def _grow(self) -> simpy.events.ProcessGenerator:
        yield self._env.timeout(self._warm_s)
        self._coming -= 1
        self._pool.replicas.append(self._make())
        self._note()

    def _note(self) -> None:
        self.sizes.append((self._env.now, len(self._pool.replicas)))


def failures(
    env: simpy.Environment, pool: Pool, *, every_s: float, warm_s: float, random: Random
) -> simpy.events.ProcessGenerator:
    """Each replica of a pool is lost once in `every_s` on average, and is back after `warm_s`."""
    while True:
        yield env.timeout(random.expovariate(len(pool.replicas) / every_s))
        alive = [replica for replica in pool.replicas if replica.alive]
        if alive:
            lost = random.choice(alive)
            pool.lose(lost)
            env.process(_back(env, lost, warm_s))


def _back(env: simpy.Environment, lost: Replica, warm_s: float) -> simpy.events.ProcessGenerator:
    yield env.timeout(warm_s)
    lost.revive()
