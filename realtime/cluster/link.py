"""The process between a front end and the cluster: the only one on a front end that imports Ray.

    python -m realtime.cluster.link ADDRESS FD     started by `pools.Pools`, never by hand

It reads what the front end asks for from the socket FD, calls the pools, and writes what comes
back. It ends when the front end closes the socket. When Ray ends it (a Ray driver does not outlive
its node), the front end starts another.

A call that a replica does not answer is made once more, at another one: a transcription always, a
line as long as no sound of it has been sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NoReturn

from realtime.batching import FINAL, PARTIAL
from realtime.cluster.access import (
    LINK_VARIABLES,
    VARIABLES,
    join_for_link,
    leave,
    prepare_environment,
)
from realtime.cluster.deployment import app_of
from realtime.cluster.loads import BOOKS, load_of
from realtime.cluster.wire import (
    POOLS,
    TRANSCRIPTION,
    VOICE,
    Cancel,
    Failed,
    FromLink,
    Hear,
    Heard,
    Hurry,
    PoolState,
    Said,
    Say,
    Sound,
    ToLink,
    Trouble,
    Unpacker,
    packed,
    to_link,
)
from realtime.errors import StageError

log = logging.getLogger("banter.cluster.link")

STATE_S = 0.2
"""Between two looks at the pools; what has not changed is not told."""

ANSWER_S = 10.0
"""For the first item of an answer, and between two: a replica or a node that is gone without a
word is noticed so. It may take longer by what waits before it, and by what is asked for: as long as
the audio for a recogniser, `VOICE_PACE` times that for a voice, which may have no GPU."""

VOICE_PACE = 4.0
PATIENT_S = 600.0
"""For words that nobody waits for (files, turns that go on): these give way to others."""

LOOK_S, LOOK_WITHIN_S, MISSED = 5.0, 5.0, 3
"""How often Serve is asked whether it is there; after so many times without an answer, and no call
that went well meanwhile, the link ends: it belongs to a cluster that is gone."""

FACTS_S = 5.0
HURRY_S = 2.0
READ_BYTES = 2**18
SAY_CHARS_PER_S = 15.0


class Lost(Exception):
    """A replica did not answer, or died over it."""


class Pool:
    """One deployment: its handle, and the book by which the router chooses."""

    def __init__(self, name: str) -> None:
        from ray import serve

        self.name, self.book = name, BOOKS[name]
        self.facts: dict[str, Any] = {}
        self._handle: Any = serve.get_deployment_handle(name, app_of(name))
        self._asking: asyncio.Task[None] | None = None
        self.answered_s = float("-inf")
        """When a call last went well."""
        self._ending: set[asyncio.Task[None]] = set()

    async def call(
        self, method: str, *args: Any, route: dict[str, Any], within_s: float
    ) -> AsyncGenerator[Any, None]:
        """The items of one answer.

        Raises:
            Lost: the replica is gone, or does not answer.
        """
        job, answered, begun_s = route["job"], False, time.monotonic()
        response = getattr(self._handle.options(stream=True), method).remote(*args, route=route)
        try:
            while not answered:
                try:
                    async with asyncio.timeout(within_s):
                        item = await anext(response)
                except StopAsyncIteration:
                    return
                answered = isinstance(item, dict)
                if answered:
                    self.answered_s = time.monotonic()
                    if where := self.book.where(job):
                        self.book.done(job)
                        self.book.tell(where, load_of(item.get("load", {})), self.answered_s)
                yield item
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            self._avoid(job, begun_s, error)
            raise Lost("cancelled over there") from error
        except Exception as error:
            self._avoid(job, begun_s, error)
            raise Lost(type(error).__name__) from error
        finally:
            self.book.done(job)
            if answered:
                self._keep(_read_out(response))
            else:
                _cancel(response)

    def _avoid(self, job: int, begun_s: float, error: BaseException) -> None:
        """Leave the replica alone for a while, unless it has only not come to this job."""
        where = self.book.where(job)
        log.warning("%s: replica %s did not answer: %r", self.name, where, error)
        slow = isinstance(error, TimeoutError)
        if where and not (slow and self.book.answered_since(where, begun_s)):
            self.book.avoid(where, time.monotonic())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Something short that nobody waits for."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def hurry(self, owner: str, jobs: list[int]) -> None:
        """Tell those replicas that have something of this owner."""
        for name in {where for job in jobs if (where := self.book.where(job))}:
            self._keep(_within(HURRY_S, self._handle.hurry.remote(owner, route={"at": name})))

    def state(self) -> PoolState:
        """What a front end is told; asks for the facts, which also wakes Serve's router."""
        book = self.book
        if not self.facts and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask())
        voices = book.voices()
        facts = {**self.facts, **({"voices": voices} if voices else {})}
        return PoolState(
            self.name,
            len(book) if self.facts else 0,
            round(book.queued_s, 1),
            book.spare,
            book.free,
            facts,
        )

    async def _ask(self) -> None:
        response = self._handle.facts.remote(route={})
        try:
            async with asyncio.timeout(FACTS_S):
                self.facts = await response
        except Exception as error:
            log.debug("%s has told nothing of itself: %r", self.name, error)
            response.cancel()


async def _read_out(response: Any) -> None:
    """Its last item has come; a call that is dropped before its end counts as cancelled."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ANSWER_S):
            async for _ in response:
                pass


async def _within(seconds: float, response: Any) -> None:
    try:
        async with asyncio.timeout(seconds):
            await response
    except Exception as error:
        log.debug("a call that nobody waits for: %r", error)
        response.cancel()


def _cancel(response: Any) -> None:
    """Cancel a call, also one that is just being given to a replica: Serve forgets those."""
    response.cancel()
    given = response._replica_result_future
    if given.done() and not given.cancelled() and given.exception() is None:
        given.result().cancel()


class Link:
    """Serves one front end. `send` writes to it."""

    def __init__(self, pools: dict[str, Pool], send: Callable[[FromLink], None]) -> None:
        self._pools, self._send = pools, send
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._owners: dict[int, tuple[str, str]] = {}
        """The pool and the owner of each job."""
        self._how: dict[int, dict[str, Any]] = {}
        """How each is to be done, until it is sent."""
        self._told: dict[str, PoolState] = {}
        self._name = f"{socket.gethostname()}-{os.getpid()}"

    def take(self, message: ToLink) -> None:
        """Begin what is asked for."""
        match message:
            case Hear() | Say():
                pool = TRANSCRIPTION if isinstance(message, Hear) else VOICE
                work = self._hear if isinstance(message, Hear) else self._say
                self._owners[message.number] = (pool, message.owner)
                how = message.how if isinstance(message, Hear) else message.line
                self._how[message.number] = how
                task = asyncio.create_task(self._carry_out(message, work))
                self._tasks[message.number] = task
            case Hurry(pool, owner):
                jobs = [n for n, mine in self._owners.items() if mine == (pool, owner)]
                for job in jobs:
                    if self._how[job].get("rank", FINAL) < PARTIAL:
                        self._how[job]["rank"] = FINAL  # for those that are not there yet
                self._pools[pool].hurry(self._owner(owner), jobs)
            case Cancel(number):
                if under_way := self._tasks.get(number):
                    under_way.cancel()

    def tell_states(self) -> None:
        """Each pool that has changed."""
        for name, pool in self._pools.items():
            state = pool.state()
            if state != self._told.get(name):
                self._told[name] = state
                self._send(state)

    async def close(self) -> None:
        """Cancel all that is under way, and wait for it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _owner(self, owner: str) -> str:
        return f"{self._name}/{owner}"

    async def _carry_out(self, message: Any, work: Callable[[Any], Any]) -> None:
        number = message.number
        try:
            await work(message)
        except StageError as error:
            self._send(Failed(number, error.stage, error.code, str(error)))
        except asyncio.CancelledError:
            pass  # nobody waits for it
        except BaseException as error:
            log.exception("a call failed")
            pool = self._owners[number][0]
            self._send(Failed(number, pool, f"{pool}_failed", f"the link: {type(error).__name__}"))
        finally:
            del self._tasks[number], self._owners[number], self._how[number]

    async def _hear(self, asked: Hear) -> None:
        seconds = len(asked.audio) / 32_000
        live = asked.how.get("rank", FINAL) < PARTIAL
        route = {"job": asked.number, "seconds": seconds if live else 0.0}
        args = (asked.audio, asked.how, self._owner(asked.owner))
        pool = self._pools[TRANSCRIPTION]
        for is_last in (False, True):
            self._need_replicas(pool)
            try:
                within_s = ANSWER_S + seconds + pool.book.queued_s if live else PATIENT_S
                async with contextlib.aclosing(
                    pool.call("hear", *args, route=route, within_s=within_s)
                ) as items:
                    async for item in items:
                        _raise_failure(item)
                        self._send(Heard(asked.number, item["transcript"]))
                        return
                raise Lost("no answer")
            except Lost as error:
                if is_last:
                    raise _lost(TRANSCRIPTION, error) from error

    async def _say(self, asked: Say) -> None:
        text = str(asked.line.get("text", ""))
        seconds = len(text) / SAY_CHARS_PER_S
        live = asked.line.get("rank", FINAL) < PARTIAL
        route = {
            "job": asked.number,
            "seconds": seconds if live else 0.0,
            "voice": asked.line.get("voice", ""),
        }
        pool, begun = self._pools[VOICE], False
        args = (asked.line, self._owner(asked.owner))
        for is_last in (False, True):
            self._need_replicas(pool)
            try:
                within_s = ANSWER_S + VOICE_PACE * (seconds + pool.book.queued_s)
                within_s = within_s if live else PATIENT_S
                async with contextlib.aclosing(
                    pool.call("speak", *args, route=route, within_s=within_s)
                ) as items:
                    async for item in items:
                        if isinstance(item, dict):
                            _raise_failure(item)
                            self._send(Said(asked.number))
                            return
                        begun = True
                        self._send(Sound(asked.number, item))
                raise Lost("it ended in mid-line")
            except Lost as error:
                if begun or is_last:
                    raise _lost(VOICE, error) from error

    def _need_replicas(self, pool: Pool) -> None:
        if not len(pool.book):
            raise StageError(f"no replica of {pool.name} lives", code="no_replica", stage=pool.name)


def _raise_failure(item: dict[str, Any]) -> None:
    if failed := item.get("failed"):
        raise StageError(failed["message"], code=failed["code"], stage=failed["stage"])


def _lost(stage: str, error: Lost) -> StageError:
    message = f"the replica that did the {stage} was lost ({error})"
    return StageError(message, code="replica_lost", stage=stage)


async def serve_front_end(address: str, sock: socket.socket) -> None:
    """Connect, then answer until the socket is closed."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)

    def send(message: FromLink) -> None:
        writer.write(packed(message))

    joining = asyncio.create_task(asyncio.to_thread(join_for_link, address))
    reading = asyncio.create_task(reader.read(READ_BYTES))
    await asyncio.wait({joining, reading}, return_when=asyncio.FIRST_COMPLETED)
    if not joining.done() and not reading.result():
        end(0)  # the front end is gone; the thread that joins cannot be stopped
    try:
        await joining
        pools = {name: Pool(name) for name in POOLS}
    except Exception as error:
        send(Trouble(f"the cluster at {address} cannot be used yet: {error}"))
        await writer.drain()
        raise
    link = Link(pools, send)
    asides = [asyncio.create_task(_tell(link)), asyncio.create_task(_look(pools))]
    unpacker = Unpacker(to_link)
    try:
        while data := await reading:
            for message in unpacker.push(data):
                link.take(message)
            reading = asyncio.create_task(reader.read(READ_BYTES))
    finally:
        for task in (*asides, reading):
            task.cancel()
        await link.close()


async def _tell(link: Link) -> None:
    while True:
        link.tell_states()
        await asyncio.sleep(STATE_S)


async def _look(pools: dict[str, Pool]) -> None:
    """End the process when Serve is gone for good."""
    from ray import serve

    missed = 0
    while missed < MISSED:
        await asyncio.sleep(LOOK_S)
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                await asyncio.to_thread(serve.status)
            missed, since_s = 0, time.monotonic()
        except Exception as error:
            missed += 1
            log.warning("Serve does not answer (%d of %d): %r", missed, MISSED, error)
            if missed == 1:
                since_s = time.monotonic()
            if missed == MISSED and any(p.answered_s > since_s for p in pools.values()):
                missed = 1  # the replicas answer all the same
    log.error("the cluster is gone")
    end(3)


def end(code: int) -> NoReturn:
    """Ray's threads take seconds to end, and nobody waits for them."""
    leave()
    logging.shutdown()
    os._exit(code)


def main() -> None:
    address, fd = sys.argv[1], int(sys.argv[2])
    logging.basicConfig(level=os.environ.get("BANTER_LOG_LEVEL", "info").upper())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front end decides when it is over
    prepare_environment(VARIABLES | LINK_VARIABLES)
    code = 0
    try:
        asyncio.run(serve_front_end(address, socket.socket(fileno=fd)))
    except (ConnectionError, BrokenPipeError):
        log.info("the front end is gone")
    except Exception:
        log.exception("the link ends")
        code = 1
    end(code)


if __name__ == "__main__":
    main()
