"""Which replica gets a job: the one with the least queued audio, as far as is known. Pure.

A replica tells its load with every answer and about once a second otherwise; what this link sent
there since is added. Other links' jobs are seen when it tells again, so two links may choose the
same one for a moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

AVOIDED_S = 3.0
"""A replica that did not answer is left alone for so long, unless there is no other."""


@dataclass(frozen=True)
class Load:
    """What a replica told."""

    queued_s: float = 0.0
    """Seconds of callers' audio that wait there or are worked on."""
    spare: bool = True
    free: bool = True
    voices: frozenset[str] = frozenset()
    """Voices that it has; none where it does not matter."""


def load_of(told: Mapping[str, Any]) -> Load:
    """From plain values; what is missing is taken for idle."""
    return Load(
        float(told.get("queued_s", 0.0)),
        bool(told.get("spare", True)),
        bool(told.get("free", True)),
        frozenset(told.get("voices", ())),
    )


@dataclass
class _Replica:
    load: Load = field(default_factory=Load)
    told: Mapping[str, Any] = field(default_factory=dict)
    """What Serve passed on last. It does so with the same old values whenever any replica has news,
    and what a replica told with an answer is newer."""
    unseen: dict[int, float] = field(default_factory=dict)
    """Seconds of the jobs that went there since it told its load."""
    under_way: set[int] = field(default_factory=set)
    answered_s: float = float("-inf")
    avoided_until_s: float = float("-inf")

    @property
    def queued_s(self) -> float:
        return self.load.queued_s + sum(self.unseen.values())


@dataclass
class LoadBook:
    """The replicas of one pool, by name. The caller passes the clock's seconds in."""

    _replicas: dict[str, _Replica] = field(default_factory=dict)
    _sent: dict[int, str] = field(default_factory=dict)
    """Where each job under way is."""

    def __len__(self) -> int:
        return len(self._replicas)

    @property
    def names(self) -> list[str]:
        return list(self._replicas)

    def running(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """These take jobs now. One that is gone may still answer what it has."""
        self._replicas = {name: self._replicas.get(name, _Replica()) for name in told}
        for name, load in told.items():
            replica = self._replicas[name]
            if load and load != replica.told:
                replica.told, replica.load = load, load_of(load)

    def tell(self, name: str, load: Load, now_s: float = 0.0) -> None:
        """A replica told its load, with an answer."""
        if replica := self._replicas.get(name):
            replica.load, replica.answered_s = load, now_s
            replica.unseen.clear()

    def answered_since(self, name: str, since_s: float) -> bool:
        """Whether it answered anything after that moment."""
        replica = self._replicas.get(name)
        return replica is not None and replica.answered_s > since_s

    def sent(self, job: int, name: str, seconds: float) -> None:
        """A job went there."""
        self.done(job)
        self._sent[job] = name
        if replica := self._replicas.get(name):
            replica.unseen[job] = seconds
            replica.under_way.add(job)

    def done(self, job: int) -> None:
        """It is over, however it ended."""
        name = self._sent.pop(job, "")
        if replica := self._replicas.get(name):
            replica.unseen.pop(job, None)
            replica.under_way.discard(job)

    def where(self, job: int) -> str | None:
        """The replica that has it."""
        return self._sent.get(job)

    def avoid(self, name: str, now_s: float) -> None:
        """It did not answer."""
        if replica := self._replicas.get(name):
            replica.avoided_until_s = now_s + AVOIDED_S

    def order(self, *, now_s: float, voice: str = "", at: str = "") -> list[str]:
        """Names, the one to try first first; with `at` that one alone, if it is there."""
        if at:
            return [at] if at in self._replicas else []
        return sorted(self._replicas, key=lambda name: self._rank(name, now_s, voice))

    def _rank(self, name: str, now_s: float, voice: str) -> tuple[bool, bool, float, int]:
        replica = self._replicas[name]
        has_voice = not (voice and replica.load.voices) or voice in replica.load.voices
        return (
            replica.avoided_until_s > now_s,
            not has_voice,
            round(replica.queued_s, 1),
            len(replica.under_way),
        )

    @property
    def queued_s(self) -> float:
        """Seconds of audio in all replicas."""
        return sum(r.queued_s for r in self._replicas.values())

    @property
    def spare(self) -> bool:
        """Whether some replica has time for words of a turn that goes on."""
        return any(r.load.spare and not r.under_way for r in self._replicas.values())

    @property
    def free(self) -> bool:
        """Whether some replica would keep no final waiting for a speculation."""
        return any(r.load.free for r in self._replicas.values())

    def voices(self) -> list[str]:
        """Those that some replica has."""
        names: Iterable[str] = (v for r in self._replicas.values() for v in r.load.voices)
        return sorted(set(names))


BOOKS: defaultdict[str, LoadBook] = defaultdict(LoadBook)
"""Of this process, by the name of the deployment. Serve copies its router's own globals, so the
router reaches these through the module."""
