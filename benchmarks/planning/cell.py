"""A cluster, or a representative part of one, in simulated time: built, run, and what came of it.

A part is a cell: some GPUs with their share of the conversations and front ends. Routing looks at
the cell's replicas alone; `capacity.py --agree` tells how far larger ones differ.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import simpy

from benchmarks.planning.answer import Stages
from benchmarks.planning.caller import Counts
from benchmarks.planning.cluster import Cluster
from benchmarks.planning.device import Device
from benchmarks.planning.doorway import Doorway
from benchmarks.planning.ear import Ear
from benchmarks.planning.figures import Figures
from benchmarks.planning.habits import Habits
from benchmarks.planning.job import Job
from benchmarks.planning.pool import Pool, Replica
from benchmarks.planning.replica import BatchReplica, PieceReplica, RecogniserReplica
from benchmarks.planning.scaling import Autoscaler, Policy, failures
from benchmarks.planning.service import PieceVoice
from benchmarks.planning.streams import StreamReplica
from benchmarks.planning.writer import Writer
from realtime.batching import BatchQueue
from realtime.engines.end_of_turn import MAX_BATCH, MAX_BATCH_S, MAX_WAITING
from realtime.recognition import Windows

COUNTED = ("drafts", "hits", "partials", "interrupted")
LEFT_S = 15.0
"""After the window, for the answers to its last turns."""


def simulate(
    cluster: Cluster,
    habits: Habits,
    conversations: float,
    *,
    seconds: float,
    warm_s: float = 60.0,
    seed: int = 7,
    stay: bool = False,
    later: tuple[float, int] | None = None,
) -> Figures:
    """Run it for `warm_s` and then `seconds`, of which the figures are.

    With `stay` so many callers stay all the time; else they come and go, and so many are there on
    average. `later` tells of more who come at a moment and stay.
    """
    env = simpy.Environment()
    built = _Built(env, cluster, habits, conversations, Random(seed))
    doorway = built.doorway
    if stay:
        doorway.stay(round(conversations), within_s=min(12.0, warm_s))
    else:
        for _ in range(round(conversations)):
            doorway.enter(habits.call_s)
        comes = conversations / habits.call_s
        env.process(doorway.come(comes, habits.call_s))
    if later:
        at_s, more = later
        arrive = env.timeout(at_s)
        arrive.callbacks.append(lambda _: doorway.stay(more, within_s=12.0))  # type: ignore[union-attr]
    env.run(until=warm_s)
    before = built.tally()
    looks: list[tuple[int, float, float]] = []
    env.process(_looks(env, built, looks))
    batches = [len(replica.batches) for replica in built.recognisers]
    env.run(until=warm_s + seconds)
    tally = {name: value - before[name] for name, value in built.tally().items()}
    sizes = [
        size
        for replica, seen in zip(built.recognisers, batches, strict=False)
        for size in replica.batches[seen:]
    ]
    env.run(until=warm_s + seconds + LEFT_S)
    turns = [turn for turn in built.counts.turns if 0 <= turn.ended_s - warm_s < seconds]
    return Figures(
        turns=turns,
        begun_s=warm_s,
        seconds=seconds,
        came=int(tally["came"]),
        refused=int(tally["refused"]),
        open=_mean(looks, 0),
        counts={name: int(tally[name]) for name in COUNTED},
        batches=sizes,
        gpu_busy=tally["busy_s"] / tally["device_s"],
        queued_s={"transcription": _mean(looks, 1), "voice": _mean(looks, 2)},
        sizes={name: scaler.sizes for name, scaler in built.scalers.items()},
        failovers=int(tally["failovers"]),
    )


def _looks(
    env: simpy.Environment, built: _Built, looks: list[tuple[int, float, float]]
) -> simpy.events.ProcessGenerator:
    """Each second: conversations, and what each pool has queued for each of its replicas."""
    while True:
        queued = [
            pool.queued_s / max(1, len(pool.replicas)) for pool in (built.hearing, built.voice)
        ]
        looks.append((built.doorway.open, queued[0], queued[1]))
        yield env.timeout(1.0)


def _mean(looks: list[tuple[int, float, float]], column: int) -> float:
    return sum(look[column] for look in looks) / len(looks)


class _Built:
    """The parts of a cluster."""

    def __init__(
        self,
        env: simpy.Environment,
        cluster: Cluster,
        habits: Habits,
        conversations: float,
        random: Random,
    ) -> None:
        self._env, self._cluster, self._random = env, cluster, random
        machine, layout, front = cluster.machine, cluster.layout, cluster.front
        self.devices = [
            Device(env, machine.capacity, taken=cluster.taken)
            for _ in range(1 if cluster.one_machine else layout.gpus)
        ]
        on = self.devices * (layout.gpus if cluster.one_machine else 1)
        hears = on[: layout.both + layout.transcription]
        speaks = [*on[: layout.both], *on[layout.both + layout.transcription :]]
        if not (hears and speaks):
            raise ValueError(f"{layout} lacks one of the two engines")
        self.recognisers = [self._recogniser(device) for device in hears]
        self.hearing = self._pool([*self.recognisers], fails_over=True)
        self.voice = self._pool([self._speaker(device) for device in speaks], fails_over=False)
        self.scalers: dict[str, Autoscaler] = {}
        if cluster.grows:
            self._let_grow(cluster.grows)
        if cluster.fails_every_s:
            for pool in (self.hearing, self.voice):
                env.process(
                    failures(
                        env,
                        pool,
                        every_s=cluster.fails_every_s,
                        warm_s=machine.warm_s,
                        random=Random(random.getrandbits(64)),
                    )
                )
        self.counts = Counts()
        fronts = [
            self._front(
                habits,
                self.devices[0] if cluster.one_machine else Device(env, front.cores),
            )
            for _ in range(cluster.fronts)
        ]
        doors = Random(random.getrandbits(64))
        self.doorway = Doorway(env, fronts, self.counts, doors, places=cluster.places)

    def tally(self) -> dict[str, float]:
        """All that is counted from the beginning, so that a window of it can be told."""
        return {
            **{name: getattr(self.counts, name) for name in COUNTED},
            "came": self.doorway.came,
            "refused": self.doorway.refused,
            "failovers": self.hearing.failovers + self.voice.failovers,
            "busy_s": sum(device.busy_s for device in self.devices),
            "device_s": sum(self._env.now - device.since_s for device in self.devices),
        }

    def _recogniser(self, device: Device) -> RecogniserReplica:
        how = self._cluster.machine.recogniser
        return RecogniserReplica(self._env, device, how, Random(self._random.getrandbits(64)))

    def _speaker(self, device: Device) -> Replica:
        how, random = self._cluster.machine.voice, Random(self._random.getrandbits(64))
        if isinstance(how, PieceVoice):
            return PieceReplica(self._env, device, how, random)
        return StreamReplica(self._env, device, how, random)

    def _pool(self, replicas: list[Replica], *, fails_over: bool) -> Pool:
        cluster = self._cluster
        return Pool(
            self._env,
            replicas,
            hop_s=cluster.hop_s,
            told_every_s=cluster.told_every_s,
            fails_over=fails_over,
        )

    def _let_grow(self, policy: Policy) -> None:
        def one_more(make: Callable[[Device], Any]) -> Callable[[], Any]:
            def made() -> Any:
                device = Device(self._env, self._cluster.machine.capacity)
                self.devices.append(device)
                return make(device)

            return made

        for name, pool, make in (
            ("transcription", self.hearing, self._recogniser),
            ("voice", self.voice, self._speaker),
        ):
            self.scalers[name] = Autoscaler(
                self._env, pool, policy, one_more(make), warm_s=self._cluster.machine.warm_s
            )

    def _front(self, habits: Habits, device: Device) -> Stages:
        env, cluster = self._env, self._cluster
        queue: BatchQueue[Job] = BatchQueue(MAX_BATCH, MAX_WAITING, MAX_BATCH_S)
        line = cluster.front.end_of_turn
        random = Random(self._random.getrandbits(64))
        judge = BatchReplica(env, device, line, queue=queue, random=random)

        def judged(owner: object, told: Callable[[str], object]) -> Callable[[], None]:
            job = Job(owner, 1.0, 1.0, lambda fate: told(fate) and None)
            judge.submit(job)
            return lambda: judge.withdraw(job)

        return Stages(
            env,
            habits,
            self.hearing.link(),
            self.voice.link(),
            Writer(env, habits.replies.first_words, random),
            judged,
            Ear(env, device, cluster.front),
            Windows(cluster.machine.recogniser.windows_s),
            cluster.machine.voice.s_per_char,
        )
