"""Many callers at once: each says clips, hears each reply to its end and thinks; told in JSON.

    python -m benchmarks.crowd --url http://127.0.0.1:8000 --callers 16 --seconds 60

A process of its own, so that its processor time and its lateness can be told from the server's;
`concurrency.py` runs it. Callers begin one after the other during a ramp; then it says "begun" on a
line, and "over" when the measured window has passed. Turns under way then are still brought to
their end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random

import aiohttp
import uvloop

from benchmarks.arrivals import endless, think_s
from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, load_clips
from benchmarks.report import percentile
from benchmarks.turn import Turn, session_with, take_turn

CLIP_SECONDS = (3.0, 6.0)
GOES_ON_S = 3.0
"""Callers begin new turns for so long after the window, so that its last turns are not helped by
others' silence."""


@dataclass(frozen=True)
class Said:
    """One turn, as the crowd tells of it."""

    caller: int
    clip: str
    outcome: str
    ended_s: float
    """End of speech, in seconds from the begin of the window; negative during the ramp."""
    stages_ms: dict[str, float | None]
    """Empty for a turn that was not answered."""
    utterances: int
    heard: str
    dry_ms: float


@dataclass
class Crowd:
    """What all callers share: where they call, for how long, and what came of it."""

    url: str
    clips: list[Clip]
    begin_at: float
    """perf_counter when the window begins."""
    seconds: float
    seed: int
    binary: bool
    said: list[Said] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    """Calls that were refused or broke, with the turn that was under way, by reason."""
    errors: Counter[str] = field(default_factory=Counter)
    """Error events of the server, by code."""

    @property
    def stop_at(self) -> float:
        return self.begin_at + self.seconds + GOES_ON_S

    def tell(self, number: int, turn: Turn) -> None:
        """Keep what is worth knowing of a turn."""
        self.said.append(
            Said(
                number,
                turn.clip.name,
                turn.outcome,
                round(turn.end_of_speech_at - self.begin_at, 3),
                turn.stages_ms if turn.outcome == "answered" else {},
                len(turn.utterances),
                turn.heard,
                round(turn.dry_ms, 1),
            )
        )


async def be_one(number: int, crowd: Crowd, ramp_s: float) -> None:
    """One caller, from somewhere in the ramp to the end."""
    random = Random(f"{crowd.seed} {number}")
    await asyncio.sleep(random.uniform(0, ramp_s))
    try:
        async with call(crowd.url, binary=crowd.binary, session=session_with()) as caller:
            try:
                await converse(number, caller, crowd, random)
            finally:
                crowd.late_ms += caller.microphone.late_ms
                for event in caller.record.since(0, "error"):
                    crowd.errors[str(event.event["error"].get("code"))] += 1
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        crowd.lost[f"{type(error).__name__}: {error}"] += 1


async def converse(number: int, caller: Caller, crowd: Crowd, random: Random) -> None:
    """Turns until it is over; the last reply is not listened to."""
    clips = endless(crowd.clips, random)
    while time.perf_counter() < crowd.stop_at:
        turn = await take_turn(caller, next(clips))
        crowd.tell(number, turn)
        if time.perf_counter() < crowd.stop_at:
            response_id = turn.response.response_id if turn.response else ""
            await caller.listen(response_id, think_s(random))


async def call_all(args: argparse.Namespace, clips: list[Clip]) -> dict[str, object]:
    """The crowd's life; gives the JSON line."""
    begin_at = time.perf_counter() + args.ramp_s
    binary = args.encoding == "binary"
    crowd = Crowd(args.url, clips, begin_at, args.seconds, args.seed, binary)
    async with asyncio.TaskGroup() as tasks:
        for number in range(args.callers):
            tasks.create_task(be_one(number, crowd, args.ramp_s))
        await asyncio.sleep(args.ramp_s)
        print("begun", flush=True)
        await asyncio.sleep(args.seconds)
        print("over", flush=True)
    late = {f"p{q}": round(percentile(crowd.late_ms or [0.0], q), 1) for q in (50, 95, 99)}
    return {
        "said": [asdict(said) for said in crowd.said],
        "late_ms": {**late, "max": round(max(crowd.late_ms, default=0.0), 1)},
        "lost": crowd.lost,
        "errors": crowd.errors,
    }


def clips_of_length(clips: list[Clip]) -> list[Clip]:
    """Those of 3 to 6 s."""
    shortest_s, longest_s = CLIP_SECONDS
    fitting = [clip for clip in clips if shortest_s <= clip.seconds <= longest_s]
    if not fitting:
        raise ValueError(f"no clip is between {shortest_s} and {longest_s} s long")
    return fitting


def add_crowd_options(parser: argparse.ArgumentParser) -> None:
    """What one level is like, besides the number of callers."""
    parser.add_argument("--seconds", type=float, default=60.0, help="measured, after the ramp")
    parser.add_argument("--ramp-s", type=float, default=12.0, help="callers begin within this time")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--encoding", choices=("binary", "base64"), default="binary")
    add_clips_option(parser)


def main() -> None:
    parser = argparse.ArgumentParser(description="Many callers in one process.")
    parser.add_argument("--url", required=True, help="http://host:port of a running server")
    parser.add_argument("--callers", type=int, required=True)
    add_crowd_options(parser)
    args = parser.parse_args()
    clips = clips_of_length(load_clips(args.clips))
    sys.setswitchinterval(0.001)
    print(json.dumps(uvloop.run(call_all(args, clips))), flush=True)


if __name__ == "__main__":
    main()
