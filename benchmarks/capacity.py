"""How many GPUs for how many conversations, what does each wait, and what does an hour of one cost?

    python -m benchmarks.capacity --machine h100-assumed --gpu-price 2.50 --plot scaling.svg
    python -m benchmarks.capacity --machine mine.json --conversations 50 500
    python -m benchmarks.capacity --machine xeon-2-cores --one-machine --check measured.json
    python -m benchmarks.capacity --agree 2 4 16      # GPUs: a cell of them against the whole
    python -m benchmarks.capacity --surge 2       # so many times what is carried, all at once

A simulation (simpy; `planning/`): callers who speak, wait, listen and think, front ends, pools of
Whisper and voices behind a network. Queues, batches, chunks and waits are decided by the server's
own code; how long runs take is in `service/NAME.json`, which `service_times.py` writes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.planning import lines
from benchmarks.planning.cell import simulate
from benchmarks.planning.check import compared, read_measured
from benchmarks.planning.cluster import Cluster, Layout
from benchmarks.planning.doorway import fronts_for
from benchmarks.planning.habits import SPEECH, Habits, Replies, read_clips
from benchmarks.planning.scaling import Policy
from benchmarks.planning.service import Machine, Spread, named, read_front, read_machine
from benchmarks.planning.sizing import ANY_PLACES, Aim, Sizing, row
from benchmarks.plot import Line, Panel, svg
from benchmarks.report import Cell, emit, percentile, table
from realtime.endpointing import NOTHING_SET, SILENCE_MS, exactly

Facts = dict[str, Any]

CHECKED_CLIPS_S = 3.0, 6.0
"""What the callers of the runs to compare with say, as long as it takes; they speak over nothing,
and no network is between."""

SURGE_MINUTES, SURGE_AFTER, SURGE_GROWS = 12, 2, 4
"""How long, in which minute, and to how many times its size a pool may grow meanwhile."""

CURVE = {
    "conversations": "conversations",
    "gpus": "GPUs",
    "front_ends": "front ends",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "price_per_hour": "an hour",
    "price_per_conversation_hour": "a conversation's hour",
    "gpu_busy_percent": "GPUs busy %",
    "utterances_a_run": "utterances a run",
    "dry_percent": "dry %",
}
CHECKED = {
    "callers": "callers",
    "measured_turns": "turns",
    "measured_p50_ms": "p50 ms",
    "p50_ms": "simulated",
    "p50_error_percent": "error %",
    "measured_p95_ms": "p95 ms",
    "p95_ms": "simulated",
    "p95_error_percent": "error %",
}


def habits_of(args: argparse.Namespace, machine: Machine) -> Habits:
    """The callers, who are answered in the voice of this machine."""
    off = args.end_of_turn == "off"
    echo = args.replier == "echo"
    first_words = Spread(*(0.0 if echo else ms / 1e3 for ms in args.llm_ms))
    least_s, most_s = CHECKED_CLIPS_S if args.check else args.clip_s
    voice = machine.voice.kind
    return Habits(
        read_clips(args.speech, shortest_s=least_s, longest_s=most_s, voice=voice),
        waits=exactly(SILENCE_MS) if off else NOTHING_SET,
        asks=not off,
        replies=Replies(args.replier, first_words),
        speculates=args.speculation == "on",
        partials=args.partials == "on",
        barge_in=0.0 if args.check else args.barge_in,
        network_s=0.0 if args.check else args.network_ms / 1e3,
        call_s=args.call_s,
    )


def cluster_of(args: argparse.Namespace) -> Cluster:
    """What is rented, but for its size."""
    machine = read_machine(named(args.machine))
    front = read_front(named(args.machine if args.one_machine else args.front))
    return Cluster(
        machine,
        front,
        Layout(both=1),
        places=args.places,
        one_machine=args.one_machine,
        hop_s=args.hop_ms / 1e3,
        told_every_s=args.told_every_s,
        taken=args.taken,
        fails_every_s=args.fails_every_h * 3600,
    )


def sizing_of(args: argparse.Namespace, cluster: Cluster, habits: Habits) -> Sizing:
    return Sizing(
        cluster,
        habits,
        aim=Aim(args.adds_ms),
        voice_share=args.voice_share,
        cell=args.cell,
        seconds=args.seconds,
        seed=args.seed,
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )


def curve(args: argparse.Namespace, cluster: Cluster, habits: Habits) -> Facts:
    """The table of sizes; gives the JSON line's part."""
    sizing = sizing_of(args, cluster, habits)
    rows = []
    for conversations in args.conversations:
        rows.append(
            row(sizing, conversations, gpu_price=args.gpu_price, front_price=args.front_price)
        )
        print({k: rows[-1][k] for k in CURVE}, file=sys.stderr, flush=True)
    print(table(list(CURVE.values()), ([each[k] for k in CURVE] for each in rows)), end="\n\n")
    print(
        f"p95 where nobody waits for anybody: {sizing.floor_ms:.0f} ms; the cluster may add "
        f"{args.adds_ms:.0f}. A front end carries {sizing.places}. Prices of an hour: a GPU "
        f"{args.gpu_price:g}, a front end {args.front_price:g}.\n"
    )
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        args.plot.write_text(drawing(rows), encoding="utf-8")
    carried = {gpus: round(most, 1) for gpus, most in sizing.known.items()}
    floor_ms = round(sizing.floor_ms, 1)
    return {
        "floor_p95_ms": floor_ms,
        "floor_dry_percent": round(100 * sizing.floor.dry_share, 2),
        "front_end_carries": sizing.places,
        "carried": carried,
        "rows": rows,
    }


def drawing(rows: list[Facts]) -> str:
    """The curves as SVG."""

    def line(name: str, column: str, factor: float = 1.0) -> Line:
        return Line(name, [factor * each[column] for each in rows])

    a_hundred = [100 * each["gpus"] / each["conversations"] for each in rows]
    panels = [
        Panel("End of speech to first audio, ms", [line("p95", "p95_ms"), line("p50", "p50_ms")]),
        Panel("GPUs for a hundred conversations", [Line("GPUs", a_hundred)]),
        Panel(
            "Price of a conversation's hour, cents",
            [line("all", "price_per_conversation_hour", 100)],
        ),
    ]
    return svg(panels, [f"{each['conversations']:,}" for each in rows], "conversations at once")


def check(args: argparse.Namespace, cluster: Cluster, habits: Habits) -> Facts:
    """Measured runs against the simulation."""
    if spoken := [told for path in args.check if "stream" in (told := read_json(path))]:
        return check_voice(spoken)
    runs = [run for path in args.check for run in read_measured(path)]
    rows = compared(runs, cluster, habits, seconds=args.seconds)
    print(table(list(CHECKED.values()), ([each[k] for k in CHECKED] for each in rows)), end="\n\n")
    worst = max(abs(each["p50_error_percent"]) for each in rows)
    worst_p95 = max(abs(each["p95_error_percent"]) for each in rows)
    print(f"largest error: p50 {worst:.0f} %, p95 {worst_p95:.0f} %\n")
    return {"files": [path.name for path in args.check], "taken": args.taken, "rows": rows}


def check_voice(measured: list[Facts]) -> Facts:
    """What `chatterbox.py` measured against the simulation."""
    rows = [row for told in measured for row in lines.compared(told)]
    headings = ["streams", "", "measured", "simulated", "error %"]
    print(table(headings, (list(each.values()) for each in rows)), end="\n\n")
    return {"rows": rows}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def agree(args: argparse.Namespace, cluster: Cluster, habits: Habits) -> Facts:
    """A cell of some GPUs against twice as many and more, with the same load for each."""
    sizing = sizing_of(args, cluster, habits)
    a_gpu = args.load or sizing.most(args.cell) / args.cell
    rows = []
    for gpus in args.agree:
        figures = sizing.run(gpus, a_gpu * gpus)
        told = figures.told()
        wait = told["wait_ms"]
        rows.append({"gpus": gpus, "conversations": round(a_gpu * gpus), **told} | wait)
        print(rows[-1], file=sys.stderr, flush=True)
    headings = ["GPUs", "conversations", "turns", "p50 ms", "p95 ms", "busy %"]
    columns = ("gpus", "conversations", "turns", "median", "p95", "gpu_busy_percent")
    print(table(headings, ([each[k] for k in columns] for each in rows)), end="\n\n")
    return {"conversations_a_gpu": round(a_gpu, 1), "rows": rows}


def surge(args: argparse.Namespace, cluster: Cluster, habits: Habits) -> Facts:
    """More callers in one moment, with and without replicas that are added: p95 by the minute."""
    sizing = replace(sizing_of(args, cluster, habits), voice_share=0.5)
    gpus, minutes = args.cell, SURGE_MINUTES
    crowd = round(gpus * args.load if args.load else sizing.most(gpus))
    usual, after = max(1, crowd // 2), round(args.surge * crowd)
    alike = replace(
        cluster,
        layout=sizing.layout(gpus),
        fronts=fronts_for(after, sizing.places),
        places=ANY_PLACES,
    )
    told: Facts = {}
    for name, grows in (("fixed", None), ("grows", Policy(gpus // 2, SURGE_GROWS * gpus // 2))):
        figures = simulate(
            replace(alike, grows=grows),
            habits,
            usual,
            seconds=60.0 * minutes,
            seed=args.seed,
            stay=True,
            later=(60.0 * (1 + SURGE_AFTER), after - usual),
        )
        by_minute: list[list[float]] = [[] for _ in range(minutes)]
        for turn in figures.answered:
            by_minute[int(turn.ended_s // 60) - 1].append(1e3 * turn.waited_s)
        told[name] = {
            "p95_ms": [round(percentile(waits, 95)) if waits else None for waits in by_minute],
            "sizes": figures.sizes,
        }
    rows: list[list[Cell]] = [
        [minute + 1, *(told[name]["p95_ms"][minute] or "" for name in told)]
        for minute in range(minutes)
    ]
    print(table(["minute", "p95 ms, fixed", "p95 ms, grows"], rows), end="\n\n")
    return {"gpus": gpus, "usual": usual, "then": after, **told}


def main() -> None:
    parser = argparse.ArgumentParser(description="How many GPUs, how long a wait, what price.")
    add_options(parser)
    args = parser.parse_args()
    if args.one_machine and not args.check:
        parser.error("--one-machine is for --check: more of one machine is not to be had")
    cluster = cluster_of(args)
    habits = habits_of(args, cluster.machine)
    if args.check:
        what, told = "check", check(args, cluster, habits)
    elif args.agree:
        what, told = "agree", agree(args, cluster, habits)
    elif args.surge:
        what, told = "surge", surge(args, cluster, habits)
    else:
        what, told = "curve", curve(args, cluster, habits)
    given = {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items()}
    given.pop("json"), given.pop("plot"), given.pop("check")
    machine = cluster.machine
    about = {"machine": machine.name, "measured": machine.measured, **machine.about}
    result = {"benchmark": "capacity", "what": what, "service": about, "options": given}
    emit({**result, **told}, args.json)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them, with their defaults."""
    add = parser.add_argument
    add("--machine", default="h100-assumed", help="service times: a name in service/, or a file")
    add("--front", default="xeon-2-cores", help="those of the front ends' machine")
    add("--one-machine", action="store_true", help="all on --machine's cores, no network")
    add("--conversations", type=int, nargs="+", default=[10, 100, 1_000, 10_000, 100_000])
    add("--gpu-price", type=float, default=2.5, help="of an hour of a GPU")
    add("--front-price", type=float, default=0.1, help="of an hour of a front end's machine")
    add("--adds-ms", type=float, default=200.0, help="what GPUs may add to the p95 of an idle one")
    add("--voice-share", type=float, help="of the GPUs, the voice's own (default: each has both)")
    add("--places", type=int, default=64, help="of a front end, at most (fewer if it is too slow)")
    add("--hop-ms", type=float, default=5.0, help="front end to pool, each way")
    add("--told-every-s", type=float, default=1.0, help="how often replicas tell their load")
    add("--fails-every-h", type=float, default=0.0, help="each replica, on average; 0: never")
    add("--replier", choices=("endpoint", "echo"), default="endpoint")
    add("--llm-ms", type=float, nargs=2, default=[350.0, 800.0], metavar=("MEDIAN", "P95"))
    add("--speculation", choices=("on", "off"), default="on")
    add("--partials", choices=("on", "off"), default="on")
    add("--end-of-turn", choices=("auto", "off"), default="auto")
    add("--barge-in", type=float, default=0.1, help="share of the replies that are talked over")
    add("--network-ms", type=float, default=20.0, help="caller to front end, each way")
    add("--call-s", type=float, default=300.0, help="mean length of a conversation")
    add("--speech", type=Path, default=SPEECH, help="what is said")
    add("--clip-s", type=float, nargs=2, default=[1.0, 15.0], metavar=("LEAST", "MOST"))
    add("--taken", type=float, default=0.0, help="cores that others keep busy (--one-machine)")
    add("--cell", type=int, default=8, help="GPUs that are simulated where there are more")
    add("--seconds", type=float, default=120.0, help="simulated, after a minute of warming up")
    add("--seed", type=int, default=7)
    add("--load", type=float, help="conversations a GPU, for --agree and --surge")
    add("--check", type=Path, nargs="+", metavar="FILE", help="measured runs to compare with")
    add("--agree", type=int, nargs="+", metavar="GPUS", help="do cells and the whole agree?")
    add("--surge", type=float, metavar="TIMES", help="so many times what is carried, all at once")
    add("--plot", type=Path, metavar="FILE", help="the curve as SVG")
    add("--json", type=Path, metavar="FILE", help="write the JSON line there too")


if __name__ == "__main__":
    main()
