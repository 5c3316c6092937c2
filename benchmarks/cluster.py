"""Pools on a Ray cluster: 16 callers, what the hop costs, what callers see of faults, scaling.

    python -m benchmarks.cluster hop --turns 6
    python -m benchmarks.cluster crowd --callers 16 --seconds 60
    python -m benchmarks.cluster faults --callers 8
    python -m benchmarks.cluster scale --callers 16

Each starts a head and two workers on this machine (`--network`: in network namespaces), front ends
and, but for `hop`, HAProxy before them.

    hop     one caller, engines here and on the cluster in turn, the same clips: the difference
    crowd   many callers through the balancer, spread over two front ends
    faults  during such a crowd one part after the other is killed: what callers saw of each
    scale   a pool of one to two replicas, little load, then much, then little
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from benchmarks.arrivals import endless, think_s
from benchmarks.balancer import started_balancer
from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.cpu import busy_seconds
from benchmarks.crowd import clips_of_length
from benchmarks.latency import STAGES, answered, converse, stage_spreads
from benchmarks.plot import Line, Panel, svg
from benchmarks.ray_cluster import Cluster, cluster, front_end
from benchmarks.report import Cell, emit, machine, spread, table
from benchmarks.server import Server, started_server
from benchmarks.turn import Turn, session_with, take_turn

FELT = "end of speech -> first audio"
LONG_LOOK_S = 120.0
"""After the head was killed: Ray's processes wait a minute for it."""

IDLE_S = 10.0
"""Before the callers come, while it is measured what the cluster takes of the machine at rest."""

SETTLE_S = 6.0
"""Between what is done to the cluster and the next."""


@dataclass(frozen=True)
class Said:
    """One turn of a crowd."""

    caller: int
    at_s: float
    """When its speech ended, from the begin of the run."""
    outcome: str
    wait_ms: float | None
    errors: tuple[str, ...]
    heard: str = ""


class Crowd:
    """Callers who talk, and call again when they are cut off, replaying what was said."""

    def __init__(self, url: Callable[[int], str], clips: list[Clip], seed: int) -> None:
        self.url, self.clips, self.seed = url, clips, seed
        self.said: list[Said] = []
        self.reconnects: list[tuple[int, float, str]] = []
        self.refused: Counter[str] = Counter()
        self.over = asyncio.Event()
        self.begun_at = time.perf_counter()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def now_s(self) -> float:
        return time.perf_counter() - self.begun_at

    def begin(self, callers: int) -> None:
        """So many more callers."""
        first = len(self._tasks)
        self._tasks += [asyncio.create_task(self._be(first + n)) for n in range(callers)]

    async def end(self) -> None:
        """Let turns under way finish."""
        self.over.set()
        _, late = await asyncio.wait(self._tasks, timeout=60)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _be(self, number: int) -> None:
        random = Random(f"{self.seed} {number}")
        clips = endless(self.clips, random)
        history: list[dict[str, Any]] = []
        await asyncio.sleep(random.uniform(0, 6))
        while not self.over.is_set():
            try:
                async with call(self.url(number), binary=True, session=session_with()) as caller:
                    for item in history[-6:]:
                        await caller.send("conversation.item.create", item=item)
                    while not self.over.is_set():
                        await self._turn(number, caller, next(clips), history, random)
            except aiohttp.WSServerHandshakeError as error:
                self.refused[str(error.status)] += 1
                await asyncio.sleep(1.0)
            except (aiohttp.ClientError, ConnectionError, TimeoutError, OSError) as error:
                if not self.over.is_set():
                    self.reconnects.append((number, round(self.now_s, 1), type(error).__name__))
                await asyncio.sleep(0.5)

    async def _turn(
        self,
        number: int,
        caller: Caller,
        clip: Clip,
        history: list[dict[str, Any]],
        random: Random,
    ) -> None:
        turn = await take_turn(caller, clip)
        events = caller.record.since(0, "error")
        errors = tuple(str(e.event["error"].get("code")) for e in events)
        cut_off = caller.close_code is not None
        outcome = "cut off" if cut_off and turn.outcome != "answered" else turn.outcome
        wait_ms = turn.stages_ms[FELT] if outcome == "answered" else None
        at_s = round(turn.end_of_speech_at - self.begun_at, 1)
        self.said.append(Said(number, at_s, outcome, wait_ms, errors, turn.heard))
        if cut_off:
            raise ConnectionError("the socket was closed")
        if outcome == "answered" and turn.response:
            history += [said("user", turn.heard), said("assistant", turn.response.transcript)]
        await caller.listen(turn.response.response_id if turn.response else "", think_s(random))
        caller.record.forget()


def said(role: str, text: str) -> dict[str, Any]:
    """An item of a conversation, to be replayed."""
    kind = "input_text" if role == "user" else "output_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


@asynccontextmanager
async def front_ends(made: Cluster, count: int, replier: str) -> AsyncIterator[list[Server]]:
    """So many, each with a link of its own and, with `network`, on a machine of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(front_end(made, n, replier, "--max-sessions", "64"))
            for n in range(count)
        ]


# --- what is measured ---------------------------------------------------------------------------


async def hop(args: argparse.Namespace, made: Cluster) -> dict[str, Any]:
    """Local and remote engines in turn, a server each that stays up all the time."""
    clips = in_seeded_order(load_clips(args.clips), args.turns, args.seed)
    turns: dict[str, list[Turn]] = {"local": [], "cluster": []}
    async with (
        started_server(args.replier) as local,
        front_end(made, 0, args.replier) as remote,
    ):
        for _ in range(args.rounds):
            for name, server in (("local", local), ("cluster", remote)):
                async with call(server.url, binary=True, session=session_with()) as caller:
                    turns[name] += await converse(caller, clips)
    stages = {name: stage_spreads(each) for name, each in turns.items()}
    rows: list[list[Cell]] = []
    for stage in STAGES:
        a, b = stages["local"][stage], stages["cluster"][stage]
        rows.append([stage, a["median"], b["median"], a["p95"], b["p95"]])
    print(table(["ms", "local p50", "cluster p50", "local p95", "cluster p95"], rows))
    pairs = paired_ms(turns["local"], turns["cluster"])
    print(f"\nthe same clip, cluster less local, {FELT}: {spread(pairs)}")
    return {
        "turns": {name: len(answered(each)) for name, each in turns.items()},
        "stages_ms": stages,
        "paired_difference_ms": spread(pairs),
    }


def paired_ms(local: list[Turn], remote: list[Turn]) -> list[float]:
    """For each clip: the median wait with remote engines, less that with local ones."""

    def medians(turns: list[Turn]) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for turn in answered(turns):
            if (wait := turn.stages_ms[FELT]) is not None:
                found.setdefault(turn.clip.name, []).append(wait)
        return {name: sorted(waits)[len(waits) // 2] for name, waits in found.items()}

    a, b = medians(local), medians(remote)
    return [b[name] - a[name] for name in a if name in b]


async def crowd(args: argparse.Namespace, made: Cluster) -> dict[str, Any]:
    """Many callers, spread over the front ends by the balancer."""
    async with front_ends(made, 2, args.replier) as servers, balanced(servers) as url:
        people = Crowd(lambda _: url, clips_of_length(load_clips(args.clips)), args.seed)
        idle_cores = await taken(busy_seconds, IDLE_S)
        people.begin(args.callers)
        caller_cores = await taken(time.process_time, args.seconds)
        await people.end()
        served = [(await s.status()).get("sessions", {}).get("served") for s in servers]
        replicas = await asyncio.to_thread(made.report)
    told = outcome_of(people.said)
    print(json.dumps(told), f"served by front end: {served}", sep="\n")
    return {
        "callers": args.callers,
        "seconds": args.seconds,
        "served": served,
        "idle_cores": idle_cores,
        "caller_cores": caller_cores,
        "replicas": {pool: len(p["replicas"]) for pool, p in replicas.get("pools", {}).items()},
        **told,
    }


async def taken(spent_s: Callable[[], float | None], seconds: float) -> float | None:
    """Cores that are taken in the next seconds, by a count of processor seconds."""
    before_s, begun_s = spent_s(), time.monotonic()
    await asyncio.sleep(seconds)
    after_s = spent_s()
    if before_s is None or after_s is None:
        return None
    return round((after_s - before_s) / (time.monotonic() - begun_s), 3)


def outcome_of(turns: list[Said]) -> dict[str, Any]:
    """Counts and waits of some turns."""
    return {
        "turns": len(turns),
        "outcomes": Counter(turn.outcome for turn in turns),
        "errors": Counter(code for turn in turns for code in turn.errors),
        "wait_ms": spread(turn.wait_ms for turn in turns),
    }


async def faults(args: argparse.Namespace, made: Cluster) -> dict[str, Any]:
    """Kill one part after the other under load."""
    windows: list[tuple[str, float, int, int]] = []
    async with front_ends(made, 2, args.replier) as servers, balanced(servers) as url:
        people = Crowd(lambda _: url, clips_of_length(load_clips(args.clips)), args.seed)
        people.begin(args.callers)
        await asyncio.sleep(20)
        kinds: dict[str, Callable[[], object] | None] = {
            "nothing": None,
            "a Whisper replica": lambda: kill_replica(made, "transcription"),
            "a voice replica": lambda: kill_replica(made, "voice"),
            "a worker node": lambda: kill_worker(made, args.cpus),
            "a front end": lambda: os.kill(servers[0].pid or 0, signal.SIGKILL),
            "the head": lambda: restart_head(made),
        }
        for name, kill in kinds.items():
            if args.only and name not in args.only:
                continue
            windows.append((name, people.now_s, len(people.reconnects), people.refused.total()))
            if kill:
                await asyncio.to_thread(kill)
            await asyncio.sleep(LONG_LOOK_S if name == "the head" else args.seconds)
        await people.end()  # with it come the turns that were waited for in vain
    windows.append(("", people.now_s, len(people.reconnects), people.refused.total()))
    rows: list[list[Cell]] = []
    told: dict[str, Any] = {}
    for (name, at_s, reconnects, refused), (_, until_s, *after) in pairwise(windows):
        since = [turn for turn in people.said if at_s - 5 <= turn.at_s < until_s]
        facts = outcome_of(since)
        facts["reconnects"], facts["refused"] = after[0] - reconnects, after[1] - refused
        facts["recovered_s"] = recovered_s(since, at_s)
        told[name] = facts
        outcomes, errors = facts["outcomes"], facts["errors"]
        rows.append(
            [
                name,
                facts["turns"],
                outcomes.get("answered", 0),
                ", ".join(f"{k} {v}" for k, v in outcomes.items() if k != "answered"),
                ", ".join(f"{k} {v}" for k, v in errors.items()),
                facts["reconnects"],
                facts["refused"],
                facts["recovered_s"],
                facts["wait_ms"]["median"],
            ]
        )
    headings = ["killed", "turns", "answered", "others", "error events", "reconnected", "refused"]
    print(table([*headings, "last lost after s", "wait ms"], rows))
    return {"callers": args.callers, "seconds_each": args.seconds, "faults": told}


def recovered_s(turns: list[Said], since_s: float) -> float | None:
    """How long after a fault the last turn ended that was not answered; None where all were."""
    lost = [turn.at_s for turn in turns if turn.outcome != "answered"]
    return round(max(lost) - since_s, 1) if lost else None


def kill_replica(made: Cluster, pool: str) -> None:
    os.kill(made.replicas(pool)[0]["pid"], signal.SIGKILL)


def kill_worker(made: Cluster, cpus: int) -> None:
    """One machine is gone, and comes back a little later."""
    made.nodes["worker0"].kill()
    time.sleep(SETTLE_S)
    made.start_worker(0, cpus=cpus)


def restart_head(made: Cluster) -> None:
    made.nodes["head"].kill()
    time.sleep(2.0)
    made.start_head(cpus=0)


async def scale(args: argparse.Namespace, made: Cluster) -> dict[str, Any]:
    """Little load, much, little; replicas and waits over time."""
    replicas: list[tuple[float, dict[str, int]]] = []
    async with front_ends(made, 1, args.replier) as servers:
        people = Crowd(lambda _: servers[0].url, clips_of_length(load_clips(args.clips)), args.seed)

        async def watch() -> None:
            while True:
                pools = ((await servers[0].status()).get("cluster") or {}).get("pools", {})
                replicas.append((people.now_s, {n: p["replicas"] for n, p in pools.items()}))
                await asyncio.sleep(2)

        watching = asyncio.create_task(watch())
        people.begin(2)
        await asyncio.sleep(args.seconds)
        more = Crowd(people.url, people.clips, args.seed + 1)
        more.begun_at = people.begun_at
        more.begin(args.callers - 2)
        await asyncio.sleep(2 * args.seconds)
        await more.end()
        await asyncio.sleep(2 * args.seconds)
        await people.end()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    turns = sorted([*people.said, *more.said], key=lambda turn: turn.at_s)
    if args.plot:
        args.plot.write_text(drawing(turns, replicas), encoding="utf-8")
    steps = [each for n, each in enumerate(replicas) if not n or each[1] != replicas[n - 1][1]]
    print("\n".join(f"{s:6.1f} s  {each}" for s, each in steps))
    return {"callers": args.callers, "steps": steps, **outcome_of(turns)}


def drawing(turns: list[Said], replicas: list[tuple[float, dict[str, int]]], bins: int = 30) -> str:
    """Replicas and the callers' p95 over time."""
    last_s = replicas[-1][0]
    edges = [last_s * n / bins for n in range(bins + 1)]
    p95: list[float | None] = []
    held: dict[str, list[float | None]] = {name: [] for name in ("transcription", "voice")}
    for first, last in pairwise(edges):
        p95.append(spread(t.wait_ms for t in turns if first <= t.at_s < last)["p95"])
        within = [each for s, each in replicas if first <= s < last]
        for name, line in held.items():
            line.append(float(within[-1].get(name, 0)) if within else None)
    panels = [
        Panel("replicas", [Line(name, line) for name, line in held.items()]),
        Panel("end of speech to first audio, ms (p95)", [Line("ms", p95)]),
    ]
    return svg(panels, [round(s) for s in edges[1:]], "seconds")


@asynccontextmanager
async def balanced(servers: list[Server]) -> AsyncIterator[str]:
    """HAProxy before them; its address."""
    async with started_balancer([server.url for server in servers]) as balancer:
        yield balancer.url


WHAT = {"hop": hop, "crowd": crowd, "faults": faults, "scale": scale}


async def run(args: argparse.Namespace) -> dict[str, Any]:
    about = machine()
    replicas = "1:2" if args.what == "scale" else args.replicas
    options = ["--whisper-replicas", replicas, "--voice-replicas", replicas]
    options += ["--whisper-cpus", "1", "--voice-cpus", "1"]
    if args.target:
        options += ["--whisper-target", str(args.target), "--voice-target", str(args.target)]
    options += ["--upscale-seconds", "4", "--downscale-seconds", "20", "--per-node", "1"]
    with cluster(workers=2, cpus=args.cpus, network=args.network, options=options) as made:
        told = await WHAT[args.what](args, made)
    return {"benchmark": f"cluster {args.what}", "machine": about, "network": args.network, **told}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pools on a Ray cluster.")
    parser.add_argument("what", choices=list(WHAT))
    add_clips_option(parser)
    parser.add_argument("--replier", default="echo")
    parser.add_argument("--replicas", default="2", help="of each pool (2)")
    parser.add_argument("--target", type=float, help="seconds queued beyond which a pool grows")
    parser.add_argument("--cpus", type=int, default=2, help="that a worker gives to replicas (2)")
    parser.add_argument("--network", action="store_true", help="a network namespace for each node")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2, help="A B, so often (2)")
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--only", nargs="*", metavar="FAULT", help="of the faults, such as 'the head'"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
