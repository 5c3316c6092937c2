"""Noise over running replies: does anything that nobody said interrupt one?

    python -m benchmarks.disturbed --minutes 5 --voices cafe crowd

Each clip of kind `noise` has a session of its own, several at once. The server says a long text
after the other, as an echo of what is typed, while the clip is played again and again; after so
many minutes it is over. A reply that ends in any other way than complete was interrupted. Clips
that `--voices` names hold voices, which may interrupt; they are left out. At the end a clip of
speech is played in the same way, which has to interrupt: else nothing was shown.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.caller import Caller, call
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, add_clips_option, load_clips, names_voices
from benchmarks.noise import without_voices
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import Server, add_server_options, room_for, server_for
from benchmarks.turn import session_with

TEXT = (
    "A bank of cloud had gathered over the hills since noon, and the swallows flew low. The miller "
    "looked up from his ledger and counted the sacks again. There were forty, as there had been in "
    "the morning, and yet the cart stood ready for forty one. He went out and asked the boy, who "
    "shrugged and pointed at the road. Far off a wagon was coming, drawn by two grey horses."
)
"""Some 25 s of speech."""

DONE_WITHIN_S = 90.0
CONTROL_MIN = 0.3
STARTED = "input_audio_buffer.speech_started"
WORDS = "conversation.item.input_audio_transcription.completed"


@dataclass
class Disturbed:
    """What became of the replies of one session."""

    clip: str
    minutes: float = 0.0
    """Of replies, that is of noise over them."""
    outcomes: dict[str, int] = field(default_factory=dict)
    started: int = 0
    """Turns that began."""
    heard: list[str] = field(default_factory=list)
    errors: int = 0

    @property
    def interrupted(self) -> int:
        return sum(n for outcome, n in self.outcomes.items() if outcome != "completed")


async def disturb(server: Server, clip: Clip, minutes: float) -> Disturbed:
    """Replies over noise, one after the other."""
    told = Disturbed(clip.name)
    async with call(server.url, binary=True, session=session_with()) as caller:
        playing = asyncio.create_task(repeat(caller, clip))
        begun_at = time.perf_counter()
        while time.perf_counter() - begun_at < minutes * 60:
            outcome = await one_reply(caller)
            told.outcomes[outcome] = told.outcomes.get(outcome, 0) + 1
        told.minutes = round((time.perf_counter() - begun_at) / 60, 2)
        playing.cancel()
        record = caller.record
        told.started = sum(1 for _ in record.since(0, STARTED))
        words = (e.event["transcript"] for e in record.since(0, WORDS))
        told.heard = [each for each in words if each]
        told.errors = sum(1 for _ in record.since(0, "error"))
    return told


async def repeat(caller: Caller, clip: Clip) -> None:
    """The clip again and again."""
    while True:
        first = caller.microphone.say(clip.pcm)
        await caller.microphone.sent(first + clip.pcm.size - SAMPLE_RATE_HZ // 10)


async def one_reply(caller: Caller) -> str:
    """Have the text said; how that ended."""
    after = len(caller.record.events)
    content = [{"type": "input_text", "text": TEXT}]
    item = {"type": "message", "role": "user", "content": content}
    await caller.send("conversation.item.create", item=item)
    await caller.send("response.create")
    done = await caller.record.first("response.done", after, DONE_WITHIN_S)
    if done is None:
        return "no end"
    response = done.event["response"]
    await caller.listen(response["id"])
    return str(response["status"])


def row(told: Disturbed) -> list[Cell]:
    words = " | ".join(told.heard)
    replies = sum(told.outcomes.values())
    return [told.clip, told.minutes, replies, told.interrupted, told.started, words]


async def run(args: argparse.Namespace) -> dict[str, object]:
    """All clips; prints the table and gives the JSON line."""
    about, clips = machine(), [*without_voices(), *load_clips(args.clips, "noise")]
    clips = [clip for clip in clips if not names_voices(clip, args.voices)]
    places = asyncio.Semaphore(args.at_once)

    async def in_turn(server: Server, clip: Clip) -> Disturbed:
        async with places:
            return await disturb(server, clip, args.minutes)

    async with server_for(args, *room_for(2 * args.at_once)) as server:
        told = await asyncio.gather(*(in_turn(server, clip) for clip in clips))
        status = await server.status()
        control = await disturb(server, load_clips(args.clips, "speech")[0], CONTROL_MIN)
    headings = ["clip", "minutes", "replies", "interrupted", "turns", "heard"]
    print(table(headings, map(row, [*told, control])))
    return {
        "benchmark": "disturbed",
        "machine": about,
        "clips": len(clips),
        "minutes": round(sum(each.minutes for each in told), 1),
        "replies": sum(sum(each.outcomes.values()) for each in told),
        "interrupted": sum(each.interrupted for each in told),
        "turns": sum(each.started for each in told),
        "errors": sum(each.errors for each in told),
        "speech_interrupted": control.interrupted,
        "counts": status.get("counts", {}),
        "each": [asdict(each) for each in told],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Noise over running replies.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--voices", nargs="*", default=[], metavar="NAME", help="left out")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each clip (5)")
    parser.add_argument("--at-once", type=int, default=6, help="sessions at the same time (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
