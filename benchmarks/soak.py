"""Half an hour of callers who speak, interrupt, vanish and misbehave: what grows, what is lost?

    python -m benchmarks.soak --minutes 30 --callers 16
    python -m benchmarks.soak --minutes 2 --replier echo

Half of the callers behave: they say a clip, hear the answer and think, some in one session all the
time and some in a new one every few turns. Their turns are what is measured. The others make one
trouble after the other (`rowdy.py`), drawn at random from `--seed`. First each trouble is made
once, so that what is begun on first use is there; then the server rests and is looked at, and again
when all have left. Ctrl-C ends the run early and tells what there is.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import secrets
import shlex
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from benchmarks.arrivals import endless, think_s
from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, load_clips
from benchmarks.cpu import cpu_seconds, family
from benchmarks.crowd import clips_of_length
from benchmarks.plot import Line, Panel, svg
from benchmarks.report import Cell, emit, machine, spread, table
from benchmarks.rowdy import KINDS, Rowdy, as_json
from benchmarks.server import Server, add_server_options, room_for, server_for
from benchmarks.thirds import Run, Sample, Spoken, third
from benchmarks.turn import session_with, take_turn

FELT = "end of speech -> first audio"
TURNS_A_CALL = (1, 6)
RESTS_WITHIN_S = 45.0
"""Longer than a heartbeat of the WebSocket, after which a connection that died is noticed."""

ENDS_WITHIN_S = 90.0
"""A turn or a trouble that is under way when the time is over may last so long."""

LOOKS = 8
"""Half a second between two. A look is a connection itself, and may be seen by the next one."""

POOL = 64
"""Files asked for at once; the pool of asyncio has at most 32 threads."""

UPLOADS = 8
"""Sound files sent at once, of which some are whole; the server decodes a few at a time."""

AT_REST = ("threads", "files", "tasks", "children")
BY_LOOKS = ("files", "tasks")
QUEUE = re.compile(r'^banter_queue_depth\{stage="([^"]+)"\} (\S+)', re.MULTILINE)
BUGS = ("Traceback", " ERROR ", " CRITICAL ")


class Soak:
    """What all callers share, and what comes of the run."""

    def __init__(self, args: argparse.Namespace, server: Server, clips: list[Clip]) -> None:
        self.args, self.server, self.clips = args, server, clips
        self.over = asyncio.Event()
        self.run = Run(args.minutes * 60)
        self.rowdy = Rowdy(server.url, server.key, clips)
        self.late_ms: list[float] = []
        self.errors: Counter[str] = Counter()
        """Error events that well-behaved callers were sent, by code."""
        self.refused: Counter[str] = Counter()
        self.begun_at = time.perf_counter()

    @property
    def now_s(self) -> float:
        return time.perf_counter() - self.begun_at

    # --- callers who behave ---------------------------------------------------------------------

    async def talk(self, number: int) -> None:
        """One caller, call after call; every other one stays in one call all the time."""
        random = Random(f"{self.args.seed} talker {number}")
        clips = endless(self.clips, random)
        await self.pause(random.uniform(0.0, 10.0))
        while not self.over.is_set():
            turns = random.randint(*TURNS_A_CALL) if number % 2 else sys.maxsize
            try:
                async with call(
                    self.server.url,
                    binary=number % 4 < 2,
                    session=session_with(),
                    key=self.server.key,
                ) as caller:
                    for _ in range(turns):
                        await self.turn(number, caller, next(clips), random)
                        if self.over.is_set():
                            break
                    self.late_ms += caller.microphone.late_ms
            except aiohttp.WSServerHandshakeError as error:
                self.refused[str(error.status)] += 1
                await self.pause(2.0)
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                if not self.over.is_set():
                    self.run.calls_broken[f"{type(error).__name__}: {error}"] += 1
                await self.pause(2.0)

    async def turn(self, number: int, caller: Caller, clip: Clip, random: Random) -> None:
        """Say a clip, hear the answer, think."""
        at_s = self.now_s
        turn = await take_turn(caller, clip)
        errors = [e.event["error"].get("code") for e in caller.record.since(0, "error")]
        self.errors.update(map(str, errors))
        failed = any(e.type.endswith(".failed") for e in caller.record.since(0))
        outcome = turn.outcome
        wait_ms = turn.stages_ms[FELT] if outcome == "answered" else None
        long = not number % 2
        spoken = Spoken(
            round(at_s, 1), outcome, wait_ms, bool(errors) or failed, clip.name, long_call=long
        )
        self.run.spoken.append(spoken)
        if spoken.lost:
            print(f"lost at {at_s:.0f} s: {clip.name}, {outcome}", file=sys.stderr, flush=True)
        await caller.listen(turn.response.response_id if turn.response else "")
        caller.record.forget()
        await self.pause(think_s(random))

    # --- callers who do not ---------------------------------------------------------------------

    async def misbehave(self, number: int) -> None:
        """One trouble after the other."""
        random = Random(f"{self.args.seed} rowdy {number}")
        kinds = endless(list(KINDS), random)
        await self.pause(random.uniform(0.0, 10.0))
        while not self.over.is_set():
            await self.rowdy.make(next(kinds), random)
            await self.pause(random.uniform(0.5, 2 * self.args.pause - 0.5))

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)

    # --- the run --------------------------------------------------------------------------------

    async def warm_up(self) -> None:
        """Each trouble once, four at a time, and a turn: threads and models are there then.

        The pools in which files are opened and sound is decoded get all their threads, by being
        asked for many at once: they grow to their bounds when they like, which is no leak.
        """
        random, four = Random(self.args.seed), asyncio.Semaphore(4)
        await asyncio.gather(*(self.server.text("/") for _ in range(POOL)))
        await asyncio.gather(*(self.rowdy.make("upload", random) for _ in range(UPLOADS)))

        async def one(kind: str) -> None:
            async with four:
                await self.rowdy.make(kind, random)

        async with call(self.server.url, session=session_with(), key=self.server.key) as caller:
            await take_turn(caller, self.clips[0])
        await asyncio.gather(*map(one, KINDS))

    async def rest(self) -> Sample:
        """What the server holds when nobody calls and nothing changes any more."""
        until, seen = self.now_s + RESTS_WITHIN_S, deque[Sample](maxlen=LOOKS)
        while self.now_s < until:
            seen.append(await self.sample())
            if len(seen) == LOOKS and still(seen):
                break
            await asyncio.sleep(0.5)
        return least(seen)

    async def sample(self) -> Sample:
        rss_mb, threads, files, children = process(self.server.pid)  # before what is asked here
        status = await self.server.status()
        if self.server.pid and not rss_mb:
            self.over.set()  # it is gone
        depths = QUEUE.findall(await self.metrics())
        return Sample(
            s=round(self.now_s, 1),
            rss_mb=rss_mb,
            threads=threads,
            files=files,
            tasks=status.get("tasks", 0),
            sessions=status.get("sessions", {}).get("open", 0),
            queues={stage: float(depth) for stage, depth in depths},
            children=children,
            cpu_s=cpu_seconds(self.server.pid),
        )

    async def metrics(self) -> str:
        with suppress(aiohttp.ClientError):
            return await self.server.text("/metrics")
        return ""

    async def watch(self) -> None:
        """A sample every few seconds, for ever; a line every minute."""
        while True:
            await asyncio.sleep(self.args.every)
            self.run.samples.append(sample := await self.sample())
            if sample.s // 60 != (sample.s - self.args.every) // 60:
                print(self.progress(sample), file=sys.stderr, flush=True)

    def progress(self, sample: Sample) -> str:
        spoken, waits = self.run.spoken, [x.wait_ms for x in self.run.spoken[-50:] if x.wait_ms]
        return (
            f"{sample.s / 60:4.0f} min: {sample.rss_mb:.0f} MB, {sample.threads} threads, "
            f"{sample.files} files, {sample.tasks} tasks, {sample.sessions} sessions; "
            f"{len(spoken)} turns, {len(self.run.lost())} lost, median of the last "
            f"{spread(waits)['median']} ms; {sum(self.rowdy.made.values())} troubles, "
            f"{sum(self.rowdy.owed.values())} owed"
        )

    async def all_call(self) -> None:
        """Everybody, until the time is over; turns and troubles under way are brought to an end."""
        self.begun_at = time.perf_counter()
        watching = asyncio.create_task(self.watch())
        talkers = [self.talk(n) for n in range(self.args.talkers)]
        others = [self.misbehave(n) for n in range(self.args.callers - self.args.talkers)]
        calling = [asyncio.create_task(each) for each in (*talkers, *others)]
        await self.pause(self.args.minutes * 60)
        self.run.seconds = min(self.run.seconds, self.now_s)
        self.over.set()
        watching.cancel()
        _, late = await asyncio.wait(calling, timeout=ENDS_WITHIN_S)
        for task in late:
            task.cancel()
        results = await asyncio.gather(*calling, watching, return_exceptions=True)
        for bug in results:
            if isinstance(bug, Exception):
                raise bug


def still(seen: Sequence[Sample]) -> bool:
    """Whether the server rests: nobody calls, and nothing but the looks comes and goes."""
    if any(each.sessions for each in seen):
        return False
    changes = {name: {getattr(each, name) for each in seen} for name in AT_REST}
    return all(max(each) - min(each) <= (name in BY_LOOKS) for name, each in changes.items())


def least(seen: Sequence[Sample]) -> Sample:
    """The last look, with the least that any of them saw held."""
    lows = {name: min(getattr(each, name) for each in seen) for name in AT_REST}
    return replace(seen[-1], **lows)


def process(pid: int | None) -> tuple[float, int, int, int]:
    """Resident MB, threads, open files and children of a process; zeros where nobody can say."""
    folder = Path(f"/proc/{pid}")
    if pid is None or not folder.is_dir():
        return 0.0, 0, 0, 0
    lines = (folder / "status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    files = len(list((folder / "fd").iterdir()))
    children = len(list(family(pid))) - 1
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"]), files, children


def descriptors(pid: int | None) -> Counter[str]:
    """What a process holds open, by name; sockets and pipes have no names but their kind."""
    found: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # it was closed while we looked
            found[re.sub(r"\d+", "N", str(link.readlink()))] += 1
    return found


def bugs_in(log: Path | None) -> list[str]:
    """Lines of a server's log that tell of a bug."""
    text = log.read_text(errors="replace") if log else ""
    return [line for line in text.splitlines() if any(mark in line for mark in BUGS)]


def clean_end(bugs: list[str], server: Server) -> dict[str, Any]:
    """Whether the server's log tells of no bug, and it stopped as it should; None for one that was
    not started here."""
    ok = None if server.pid is None else not bugs and server.exit_code == 0
    return {"ok": ok, "bugs": len(bugs), "exit_code": server.exit_code}


def drawing(run: Run) -> str:
    """Memory, what is held, and the waits of each minute or so."""
    step = max(1, len(run.samples) // 60)
    samples = run.samples[::step]
    waits: list[float | None] = []
    for first, last in zip([0.0, *(x.s for x in samples)], [x.s for x in samples], strict=False):
        known = [x.wait_ms for x in run.spoken if x.wait_ms and first <= x.s < last]
        waits.append(spread(known)["median"])
    return svg(
        [
            Panel("resident memory, MB", [Line("MB", [x.rss_mb for x in samples])]),
            Panel(
                "held",
                [
                    Line(name, [float(getattr(x, name)) for x in samples])
                    for name in ("tasks", "threads", "files", "sessions")
                ],
            ),
            Panel("end of speech to first audio, ms (median)", [Line("ms", waits)]),
        ],
        [round(x.s / 60) if n % 10 == 0 else "" for n, x in enumerate(samples)],
        "minutes",
    )


def print_run(soak: Soak, bugs: list[str]) -> None:
    """Thirds, then verdicts."""
    run = soak.run
    rows: list[list[Cell]] = []
    for n, name in enumerate(("first", "second", "last")):
        samples = [x for x in run.samples if third(x.s, run.seconds) == n]
        spoken = [x for x in run.spoken if third(x.s, run.seconds) == n]
        waits = spread(x.wait_ms for x in spoken)
        held_most = [max((getattr(x, k) for x in samples), default=None) for k in HELD]
        rows.append(
            [name, run.memory_mb()[n], *held_most, len(spoken), waits["median"], waits["p95"]]
        )
    print(table(["third", "MB", *HELD, "turns", "wait ms", "p95"], rows), end="\n\n")
    print("turns:", dict(Counter(x.outcome for x in run.spoken)), "errors:", dict(soak.errors))
    print("trouble:", dict(soak.rowdy.made))
    print("answers that did not come:", dict(soak.rowdy.owed))
    verdicts = {**run.verdicts(), "no bug, a clean end": clean_end(bugs, soak.server)}
    for verdict, facts in verdicts.items():
        said = {True: "yes", False: "NO", None: "not known"}[facts["ok"]]
        figures = {name: value for name, value in facts.items() if name != "ok"}
        print(f"{verdict}: {said}  {figures}")
    for line in bugs[:10]:
        print("in the log:", line)


HELD = ("threads", "files", "tasks", "sessions")


async def soak(args: argparse.Namespace) -> dict[str, Any]:
    """The whole run; gives the JSON line."""
    about, key = machine(), secrets.token_hex(16)
    clips = clips_of_length(load_clips(args.clips))
    options = [*room_for(2 * args.callers), "--api-keys", key, *shlex.split(args.options)]
    async with server_for(args, *options) as server:
        server.key = args.key if args.url else key
        run = Soak(args, server, clips)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.over.set)
        await run.warm_up()
        run.run.before = await run.rest()
        open_before = descriptors(server.pid)
        run.rowdy = Rowdy(server.url, server.key, clips)
        cpu = cpu_seconds(server.pid), resource.getrusage(resource.RUSAGE_SELF).ru_utime
        await run.all_call()
        took = cpu_seconds(server.pid), resource.getrusage(resource.RUSAGE_SELF).ru_utime
        run.run.after = await run.rest()
        opened = descriptors(server.pid) - open_before
        status = await server.status()
    bugs = bugs_in(server.log)
    print("open since the begin:", dict(opened))
    print_run(run, bugs)
    if args.plot and run.run.samples:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        args.plot.write_text(drawing(run.run), encoding="utf-8")
    told = run.run
    return {
        "benchmark": "soak",
        "machine": about,
        "replier": None if args.url else args.replier,
        "options": args.options,
        "minutes": round(told.seconds / 60, 1),
        "callers": args.callers,
        "talkers": args.talkers,
        "seed": args.seed,
        "verdicts": {**told.verdicts(), "no bug, a clean end": clean_end(bugs, server)},
        "outcomes": Counter(x.outcome for x in told.spoken),
        "wait_ms": spread(x.wait_ms for x in told.spoken),
        "errors": run.errors,
        "refused": run.refused,
        "trouble": as_json(run.rowdy),
        "bugs_in_log": bugs[:20],
        "cores": {
            "server": round(((took[0] or 0) - (cpu[0] or 0)) / (told.seconds or 1), 2),
            "callers": round((took[1] - cpu[1]) / (told.seconds or 1), 2),
        },
        "caller_late_ms": spread(run.late_ms),
        "loop_lag_ms": status.get("loop_lag_ms"),
        "capacity": status.get("capacity"),
        "at_rest": {
            "before": asdict(told.before) if told.before else None,
            "after": asdict(told.after) if told.after else None,
            "opened_since": opened,
        },
        "queues_most": {
            stage: max(x.queues.get(stage, 0.0) for x in told.samples)
            for stage in {stage for x in told.samples for stage in x.queues}
        },
        "exit_code": server.exit_code,
        "spoken": [asdict(x) for x in told.spoken],
        "samples": [asdict(x) for x in told.samples[:: max(1, len(told.samples) // 360)]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_server_options(parser, replier="embedded")
    add_clips_option(parser)
    parser.add_argument("--key", default="", help="of the server that --url names")
    parser.add_argument("--options", default="", help="more options of the server, as one text")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--callers", type=int, default=16, help="all together (16)")
    parser.add_argument("--talkers", type=int, help="of these behave (half)")
    parser.add_argument("--pause", type=float, default=3.0, help="s between troubles, mean (3)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples (5)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="the curves as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    args.talkers = args.callers // 2 if args.talkers is None else args.talkers
    emit(asyncio.run(soak(args)), args.json)  # not uvloop: it has no sockets to be reset


if __name__ == "__main__":
    main()
