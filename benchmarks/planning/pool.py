"""Replicas of one engine, behind a network, and whom each front end asks.

A front end keeps the server's own book of their loads (`realtime.cluster.loads`): a replica tells
its load with every answer, and once in `told_every_s` otherwise, rounded then; other front ends'
calls are seen when it tells again. With `told_every_s` 0 everybody knows everything at once, as in
one process.

Queued is the audio of calls that somebody waits for, from their arrival to their end. A job travels
`hop_s` each way. A replica that fails loses what it has: an utterance, or a line of which nothing
was spoken yet, goes to another one, once; a line that is half-spoken fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

import simpy

from benchmarks.planning.job import FAILED, Job
from realtime.batching import PARTIAL
from realtime.cluster.loads import Load, LoadBook

ROUND_S = 0.5
"""What is told without an answer is rounded to this."""


class Replica(Protocol):
    """What a pool needs of one."""

    alive: bool

    @property
    def idle(self) -> bool: ...
    @property
    def spare(self) -> bool:
        """Whether there is time for the words of a turn that goes on."""

    @property
    def free(self) -> bool:
        """Whether a speculation would keep nobody waiting."""

    def submit(self, job: Job) -> None: ...
    def withdraw(self, job: Job) -> None: ...
    def promote(self, job: Job) -> None: ...
    def fail(self) -> list[Job]: ...
    def revive(self) -> None: ...


class Pool:
    """The replicas, and the way to them."""

    def __init__(
        self,
        env: simpy.Environment,
        replicas: list[Replica],
        *,
        hop_s: float = 0.0,
        told_every_s: float = 0.0,
        fails_over: bool = False,
    ) -> None:
        self.replicas = replicas
        self.failovers = 0
        self.env, self.hop_s, self.told_every_s = env, hop_s, told_every_s
        self._fails_over = fails_over
        self._live_s: defaultdict[int, float] = defaultdict(float)
        self._links: list[Link] = []
        if told_every_s:
            env.process(self._tell())

    def link(self) -> Link:
        """For one front end."""
        self._links.append(Link(self))
        return self._links[-1]

    @property
    def queued_s(self) -> float:
        """Seconds of audio in all of them, that somebody waits for."""
        return sum(self.live_s(replica) for replica in self.replicas)

    def live_s(self, replica: Replica) -> float:
        """The same of one."""
        return self._live_s[id(replica)]

    def arrive(self, job: Job, replica: Replica) -> None:
        """A job has come to a replica, unless it is not wanted any more."""
        if job.gone:
            return
        if job.rank < PARTIAL:
            job.counted = True
            self._live_s[id(replica)] += job.audio_s
        replica.submit(job)

    def leave(self, job: Job) -> None:
        """It is over, or nobody wants it."""
        if job.counted:
            job.counted = False
            self._live_s[id(job.replica)] -= job.audio_s

    def lose(self, replica: Replica) -> None:
        """A replica fails now."""
        for job in replica.fail():
            self.leave(job)
            if (self._fails_over or not job.begun) and job.tries < 2:
                job.tries += 1
                self.failovers += 1
                job.again()
            else:
                job.over(FAILED)
        self._live_s.pop(id(replica), None)

    def name(self, replica: Replica) -> str:
        """By which books know it."""
        return f"{id(replica)}"

    def _tell(self) -> simpy.events.ProcessGenerator:
        while True:
            yield self.env.timeout(self.told_every_s)
            loads = {
                self.name(replica): {
                    "queued_s": round(self.live_s(replica) / ROUND_S) * ROUND_S,
                    "spare": replica.spare,
                    "free": replica.free,
                }
                for replica in self.replicas
                if replica.alive
            }
            for link in self._links:
                link.book.running(loads)


class Link:
    """One front end's way into a pool: `ask`, `withdraw`, `promote`."""

    def __init__(self, pool: Pool) -> None:
        self.book = LoadBook()
        self._pool, self._env = pool, pool.env
        self.book.running({pool.name(replica): {} for replica in pool.replicas})

    @property
    def spare(self) -> bool:
        """Whether some replica has time for the words of a turn that goes on."""
        if self._pool.told_every_s:
            return self.book.spare
        return any(replica.spare for replica in self._pool.replicas)

    @property
    def free(self) -> bool:
        """Whether some replica would keep nobody waiting for a speculation."""
        if self._pool.told_every_s:
            return self.book.free
        return any(replica.free for replica in self._pool.replicas)

    def ask(self, job: Job) -> None:
        """Send a job; its `over` and `sounds` are called when the answers are back."""
        over, sounds = job.over, job.sounds

        def ended(fate: str) -> None:
            self._pool.leave(job)
            told, replica = self._load(job.replica), job.replica
            self._later(lambda: self._answered(job, replica, told))
            self._later(lambda: None if job.gone else over(fate))

        def again() -> None:
            self._done(job)
            self._send(job)

        job.over, job.again = ended, again

        def heard(seconds: float) -> None:
            job.begun = True
            self._later(lambda: None if job.gone else sounds(seconds))

        job.sounds = heard
        self._send(job)

    def withdraw(self, job: Job) -> None:
        """Nobody wants it any more."""
        job.gone = True
        replica = job.replica
        if replica is not None:
            self._done(job)
            self._later(lambda: self._withdrawn(job, replica))

    def promote(self, job: Job) -> None:
        """It is a final from now on."""
        job.rank = min(job.rank, 0)  # in case it is still on its way
        replica = job.replica
        if replica is not None:
            self._later(lambda: replica.promote(job))

    def _send(self, job: Job) -> None:
        job.replica = replica = self._least()
        if replica is None:
            job.over(FAILED)
            return
        seconds = job.audio_s if job.rank < PARTIAL else 0.0
        self.book.sent(id(job), self._pool.name(replica), seconds)
        self._later(lambda: self._pool.arrive(job, replica))

    def _least(self) -> Replica | None:
        alive = {self._pool.name(each): each for each in self._pool.replicas if each.alive}
        if self._pool.told_every_s:
            order = self.book.order(now_s=self._env.now)
            return next((alive[name] for name in order if name in alive), None)
        return min(
            alive.values(), key=lambda each: (self._pool.live_s(each), not each.idle), default=None
        )

    def _load(self, replica: Replica | None) -> Load | None:
        return replica and Load(self._pool.live_s(replica), replica.spare, replica.free)

    def _answered(self, job: Job, replica: Replica | None, load: Load | None) -> None:
        if replica is None or job.gone:
            return
        self._done(job)
        if load:
            self.book.tell(self._pool.name(replica), load, self._env.now)

    def _done(self, job: Job) -> None:
        self.book.done(id(job))

    def _withdrawn(self, job: Job, replica: Replica) -> None:
        self._pool.leave(job)
        replica.withdraw(job)

    def _later(self, do: Callable[[], object]) -> None:
        """After the way there, or at once where there is none."""
        if not self._pool.hop_s:
            do()
            return
        arrives = self._env.timeout(self._pool.hop_s)
        arrives.callbacks.append(lambda _: do())  # type: ignore[union-attr]
