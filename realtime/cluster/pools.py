"""The front end's side of the link: keeps it running, numbers what is asked, hands answers out.

The link is another process because Ray ends its drivers when their node or its head is gone, and
sessions must outlive that. While it is away, or a pool has no replica, `outage` says why nobody can
be let in, and what is asked for fails at once with a `StageError` that the turn is told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess  # nosec B404
import sys
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from typing import Any

from realtime.cluster.tokens import token_variables
from realtime.cluster.wire import (
    POOLS,
    VOICE,
    Cancel,
    Failed,
    FromLink,
    Hear,
    PoolState,
    Say,
    Sound,
    ToLink,
    Trouble,
    Unpacker,
    from_link,
    packed,
)
from realtime.errors import BanterError, Saturated, StageError
from realtime.metrics import Metrics

log = logging.getLogger("banter.cluster")

JOINED_WITHIN_S = 540.0
"""For the link to join and both pools to have a replica, at the start: the nodes may have models to
fetch. Until then nothing listens."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
"""Before another link is started, doubled each time; anew after one that worked."""

MAX_UNSENT_BYTES = 16 * 2**20
"""That wait to be written to the link; beyond it what is asked for is refused (`Saturated`)."""

SECRETS = ("BANTER_API_KEYS", "BANTER_SHARED_SECRET", "BANTER_LLM_KEY")
REMEMBERED = 256
"""Owners with nothing under way whose names are kept; four times the places of a front end."""

READ_BYTES = 2**18
ENDED_WITHIN_S = 10.0

Answer = FromLink | StageError


class Pools:
    """Both pools, through one link. `start` and `close` it on the loop.

    A call's answers are bounded by what it asks for: one transcript, or the sound of one line.
    """

    def __init__(
        self,
        address: str,
        *,
        metrics: Metrics,
        token: str = "",
        command: Callable[[str, int], list[str]] | None = None,
    ) -> None:
        self._address, self._metrics, self._token = address, metrics, token
        self._command = command or link_command
        self._states: dict[str, PoolState] = {name: PoolState(name) for name in POOLS}
        self._calls: dict[int, tuple[str, asyncio.Queue[Answer]]] = {}
        self._next = 0
        self._owners = OwnerNames()
        self._writer: asyncio.StreamWriter | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._trouble = "the link to the cluster is being made"
        self._reason = ""
        """Of the link, why it cannot reach the cluster; kept until one can."""
        for name in POOLS:
            metrics.gauges[f"{name}.replicas"] = lambda name=name: self._states[name].replicas  # type: ignore[misc]
            metrics.gauges[f"{name}.audio_s"] = lambda name=name: self._states[name].queued_s  # type: ignore[misc]

    async def start(self, within_s: float = JOINED_WITHIN_S) -> None:
        """Start the link, and wait until both pools can work.

        Raises:
            BanterError: they cannot, within that time.
        """
        self._keeping = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(within_s):
                while self.outage:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            why = self.outage
            await self.close()
            raise BanterError(
                f"--engines (BANTER_ENGINES): {why}. Remedy: start the cluster first (banter "
                "cluster up --head), and see banter cluster status"
            ) from None

    async def close(self) -> None:
        """End the link."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    def state(self, name: str) -> PoolState:
        return self._states[name]

    @property
    def outage(self) -> str:
        """Why no turn can be answered now; empty while both pools have a replica."""
        if self._trouble:
            return self._trouble
        empty = [name for name, state in self._states.items() if not state.replicas]
        return f"no replica of {' and '.join(empty)} lives" if empty else ""

    def down(self, name: str) -> str:
        """Why this pool cannot be asked; empty while it can."""
        if self._trouble:
            return self._trouble
        return "" if self._states[name].replicas else f"no replica of {name} lives"

    def report(self) -> dict[str, Any]:
        """For `/status`."""
        return {
            "address": self._address,
            "outage": self.outage,
            "pools": {
                name: {"replicas": state.replicas, "queued_s": state.queued_s}
                for name, state in self._states.items()
            },
        }

    def hurry(self, pool: str, owner: Hashable, message: Callable[[str, str], ToLink]) -> None:
        """Tell the pool that what this owner has there is urgent now."""
        if self._writer and (name := self._owners.known(owner)):
            self._write(message(pool, name))

    async def ask(
        self, pool: str, owner: Hashable, message: Callable[[int, str], Hear | Say]
    ) -> AsyncGenerator[FromLink, None]:
        """Send a call, made of its number and its owner's name; its answers, the last included.

        Raises:
            StageError: the pool cannot be reached, or the call failed there.
            Saturated: the link does not keep up.
        """
        if why := self.down(pool):
            raise StageError(why, code="no_replica", stage=pool)
        number, self._next = self._next, self._next + 1
        answers: asyncio.Queue[Answer] = asyncio.Queue()
        with self._owners.named(owner) as name:
            self._calls[number] = (pool, answers)
            ended, writer = False, self._writer
            try:
                self._write(message(number, name))
                while not ended:
                    answer = await answers.get()
                    ended = not isinstance(answer, Sound)
                    if isinstance(answer, StageError):
                        raise answer
                    if isinstance(answer, Failed):
                        raise _error(answer)
                    yield answer
            finally:
                del self._calls[number]
                if not ended and pool == VOICE:
                    self._owners.forget(owner)
                if not ended and writer and writer is self._writer:
                    writer.write(packed(Cancel(number)))  # however full: it makes room

    def _write(self, message: ToLink) -> None:
        writer = self._writer
        if writer is None:
            raise StageError(self._trouble, code="no_replica")
        if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._metrics.count("cluster.refused")
            raise Saturated("cluster", "the link to the cluster does not keep up; try again later")
        writer.write(packed(message))

    # --- the link -------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Run one link after the other."""
        pause_s = FIRST_PAUSE_S
        while True:
            begun_s = time.monotonic()
            worked = False
            try:
                worked = await self._run()
            except Exception:
                log.exception("the link failed")
            if worked and time.monotonic() - begun_s > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            log.warning("the link to %s is started again in %g s", self._address, pause_s)
            self._metrics.count("cluster.link_restarts")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run(self) -> bool:
        """One link, until it ends; whether it ever reached the cluster."""
        ours, theirs = socket.socketpair()
        worked = False
        try:
            self._child = await asyncio.to_thread(self._spawn, theirs)
            theirs.close()
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
            self._writer, unpacker = writer, Unpacker(from_link)
            while data := await reader.read(READ_BYTES):
                for message in unpacker.push(data):
                    worked = worked or isinstance(message, PoolState)
                    self._take(message)
        finally:
            if self._writer:
                self._writer.close()
            else:
                ours.close()
            self._writer = None
            self._lose(self._reason or "the link to the cluster was lost")
            theirs.close()
            await self._reap()
        return worked

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # nosec B603
            self._command(self._address, theirs.fileno()),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is for the front end
            env={**_without_secrets(), **token_variables(self._token)},
        )

    async def _reap(self) -> None:
        """Its socket is closed, so it ends by itself; if not, it is ended."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            await asyncio.to_thread(_wait, child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # and what it started
            child.wait()

    def _take(self, message: FromLink) -> None:
        match message:
            case PoolState(name=name):
                self._trouble = self._reason = ""
                self._note(name, message)
            case Trouble(reason):
                self._trouble = self._reason = reason
                self._changed.set()
            case _:
                if call := self._calls.get(message.number):
                    call[1].put_nowait(message)

    def _note(self, name: str, state: PoolState) -> None:
        before = self._states[name].replicas
        self._states[name] = state
        if before != state.replicas:
            log.info("%s: %d replicas, %d before", name, state.replicas, before)
        self._changed.set()

    def _lose(self, why: str) -> None:
        """All that was under way fails."""
        self._trouble = why
        self._states = {name: PoolState(name) for name in POOLS}
        for pool, answers in self._calls.values():
            answers.put_nowait(StageError(why, code="link_lost", stage=pool))
        self._changed.set()


class OwnerNames:
    """Names for owners, which may be anything hashable. One who has nothing under way keeps his as
    long as few others come: between two lines of a reply a voice has to know that it is the same
    listener, who still hears the first. One who was cut off hears nothing, and comes as another."""

    def __init__(self) -> None:
        self._names: dict[Hashable, tuple[str, int]] = {}
        self._cut_off: set[Hashable] = set()
        self._idle: OrderedDict[Hashable, str] = OrderedDict()
        self._next = 0

    def known(self, owner: Hashable) -> str:
        """The name of an owner who has something under way; empty for any other."""
        return self._names.get(owner, ("", 0))[0]

    def forget(self, owner: Hashable) -> None:
        """His call was cut off: once nothing of his is under way, his name is gone."""
        if owner in self._names:
            self._cut_off.add(owner)

    @contextlib.contextmanager
    def named(self, owner: Hashable) -> Iterator[str]:
        name, uses = self._names.get(owner, ("", 0))
        if not uses and not (name := self._idle.pop(owner, "")):
            name, self._next = f"{self._next}", self._next + 1
        self._names[owner] = (name, uses + 1)
        try:
            yield name
        finally:
            uses = self._names[owner][1] - 1
            if uses:
                self._names[owner] = (name, uses)
            else:
                del self._names[owner]
                self._rest(owner, name)

    def _rest(self, owner: Hashable, name: str) -> None:
        """Nothing of his is under way any more."""
        if owner in self._cut_off:
            self._cut_off.remove(owner)
        else:
            self._idle[owner] = name
            if len(self._idle) > REMEMBERED:
                self._idle.popitem(last=False)


def link_command(address: str, fd: int) -> list[str]:
    """Starts a link whose end of the socket pair is `fd`."""
    return [sys.executable, "-m", "realtime.cluster.link", address, str(fd)]


def _without_secrets() -> dict[str, str]:
    """The environment without what only a front end needs: the link's Ray node hands its own on."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def _wait(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(ENDED_WITHIN_S)


def _error(failed: Failed) -> StageError:
    if failed.code == "saturated":
        return Saturated(failed.stage, failed.message)
    return StageError(failed.message, code=failed.code, stage=failed.stage)
