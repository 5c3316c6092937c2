"""Somebody speaks over a running reply: how fast it falls silent, and whether the new turn counts.

    python -m benchmarks.interruption --rounds 10

Each round says one clip, waits until its reply has begun to come, and speaks a second clip over it.
Times are counted from the moment the second clip's first voiced sample was sent.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.caller import Caller, call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.record import AUDIO_DELTA, Stamped
from benchmarks.report import Cell, emit, machine, spread, spread_rows, table
from benchmarks.server import add_server_options, server_for
from benchmarks.turn import Response, between_ms, response_of, session_with, take_turn

STARTED = "input_audio_buffer.speech_started"
TRUNCATED = "conversation.item.truncated"
REPLY_WITHIN_S = 40.0
SESSION = session_with(instructions="Tell long stories of twenty sentences. Never stop early.")
"""A reply has to be long to be still on its way when a voice comes in."""
TAIL = (
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
)
"""How a cancelled response ends: in this order, after speech_started."""


@dataclass
class Round:
    """One interruption; times in ms from the interrupter's first voiced sample."""

    question: str
    interrupter: str
    happened: str
    """"interrupted", or what came instead."""
    noticed_ms: float | None = None
    """Arrival of speech_started: a browser falls silent here."""
    last_stale_ms: float | None = None
    """Arrival of the interrupted response's last audio; negative if it came before the voice."""
    done_ms: float | None = None
    stale_samples: int = 0
    """Audio of the interrupted response that came after speech_started."""
    faults: list[str] = field(default_factory=list)
    answer: str = "-"


def of_response(stamped: Stamped, response_id: str, item_id: str | None) -> bool:
    """Whether an event tells of a response: by its id, or by that of the item it makes."""
    event = stamped.event
    if stamped.type == "response.done":
        return bool(event["response"]["id"] == response_id)
    if stamped.type == "conversation.item.done":
        return bool(event["item"]["id"] == item_id)
    return event.get("response_id") == response_id


def order_faults(events: list[Stamped], response_id: str, item_id: str | None) -> list[str]:
    """What is wrong in the order of events around an interrupted response; nothing if all is right.

    Right is: speech_started, then the response's tail in its order, nothing of it after its end.
    """
    kinds = [e.type for e in events if e.type == STARTED or of_response(e, response_id, item_id)]
    if "response.done" not in kinds:
        return ["no response.done"]
    done = kinds.index("response.done")
    tail = [kind for kind in kinds[:done] if kind in TAIL] + ["response.done"]
    faults = [f"{kind} after response.done" for kind in kinds[done + 1 :] if kind != STARTED]
    if tail != list(TAIL):
        faults.append("the tail was " + ", ".join(tail))
    before_tail = kinds[: kinds.index(tail[0])]
    if STARTED not in before_tail:
        faults.append("the tail came before speech_started")
    elif AUDIO_DELTA in kinds[kinds.index(STARTED) : done]:
        faults.append("audio after speech_started")
    return faults


def verdict(old: Response, noticed_at: float | None) -> str:
    """What became of the reply that was spoken over."""
    if old.status == "cancelled":
        reason = "" if old.reason == "turn_detected" else f", cancelled as {old.reason}"
        return f"interrupted{reason}"
    if old.done_at is None or (noticed_at is not None and old.done_at > noticed_at):
        return f"went on ({old.status})"
    return "was complete before"


async def running_reply(caller: Caller, question: Clip) -> Stamped | None:
    """Say a clip and wait for the first audio of the reply to it; gives response.created."""
    record, microphone = caller.record, caller.microphone
    await microphone.sent(microphone.say(question.pcm) + question.last_voiced_sample)
    after = len(record.events)
    created = await record.first("response.created", after, REPLY_WITHIN_S)
    if created is None:
        return None
    response_id = created.event["response"]["id"]
    audio = await record.first(AUDIO_DELTA, after, REPLY_WITHIN_S, response_id=response_id)
    return created if audio else None


async def play_round(caller: Caller, question: Clip, interrupter: Clip, after_s: float) -> Round:
    """A reply is begun, spoken over, and the interrupter answered."""
    record = caller.record
    after = len(record.events)
    created = await running_reply(caller, question)
    if created is None:
        return Round(question.name, interrupter.name, "no reply to interrupt")
    await asyncio.sleep(after_s)
    caller.microphone.hush()
    over = len(record.events)
    turn = await take_turn(caller, interrupter)
    old = response_of(record, after, created)
    noticed_at = turn.utterances[0].started_at if turn.utterances else None
    played = Round(question.name, interrupter.name, verdict(old, noticed_at), answer=turn.outcome)
    played.noticed_ms = between_ms(turn.start_of_speech_at, noticed_at)
    played.last_stale_ms = between_ms(turn.start_of_speech_at, old.last_audio_at)
    played.done_ms = between_ms(turn.start_of_speech_at, old.done_at)
    if noticed_at is not None:
        reply = record.reply(old.response_id)
        played.stale_samples = sum(p.pcm.size for p in reply.pieces if p.arrived_at > noticed_at)
        if played.happened.startswith("interrupted"):
            played.faults = order_faults(record.events[over:], old.response_id, reply.item_id)
        if not any(e.event["item_id"] == reply.item_id for e in record.since(over, TRUNCATED)):
            played.faults.append("no conversation.item.truncated")
    await caller.listen(turn.response.response_id if turn.response else "", 0.5)
    return played


def pairs(clips: list[Clip], rounds: int, seed: int) -> list[tuple[Clip, Clip]]:
    """Clips to ask with, and others, without the silence at their heads, to interrupt with."""
    questions = in_seeded_order(clips, rounds, seed)
    interrupters = map(without_head, in_seeded_order(clips, rounds, seed + 1))
    return list(zip(questions, interrupters, strict=True))


def without_head(clip: Clip) -> Clip:
    """A clip from its first voiced sample on: a reply might be over before a silent head is."""
    first = clip.first_voiced_sample
    last = clip.last_voiced_sample - first
    return replace(clip, pcm=clip.pcm[first:], first_voiced_sample=0, last_voiced_sample=last)


def round_row(played: Round) -> list[Cell]:
    return [
        played.question,
        played.interrupter,
        played.noticed_ms,
        played.last_stale_ms,
        played.done_ms,
        played.stale_samples,
        "; ".join(played.faults) or "right",
        played.happened,
        played.answer,
    ]


def print_rounds(rounds: list[Round], spreads: dict[str, dict[str, float | int | None]]) -> None:
    """A line for each round, then the spreads; in ms from the interrupter's first voiced sample."""
    headings = ["question", "interrupter", "noticed", "last audio", "done", "stale samples"]
    headings += ["order", "old reply", "interrupter was"]
    print(table(headings, map(round_row, rounds)), end="\n\n")
    print(table(["ms", "n", "median", "p95", "max"], spread_rows(spreads)))


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Play the rounds and print the tables; gives the JSON line."""
    chosen = pairs(load_clips(args.clips), args.rounds, args.seed)
    facts = machine()
    async with (
        server_for(args) as server,
        call(server.url, binary=args.binary, session=SESSION) as caller,
    ):
        rounds = [await play_round(caller, *pair, args.after_s) for pair in chosen]
    cut = [played for played in rounds if played.happened.startswith("interrupted")]
    spreads = {
        "voice -> speech_started": spread(played.noticed_ms for played in rounds),
        "voice -> last stale audio": spread(played.last_stale_ms for played in cut),
        "voice -> response.done": spread(played.done_ms for played in cut),
    }
    print_rounds(rounds, spreads)
    return {
        "benchmark": "interruption",
        "machine": facts,
        "replier": None if args.url else args.replier,
        "rounds": len(rounds),
        "old_reply": Counter(played.happened for played in rounds),
        "answer": Counter(played.answer for played in rounds),
        "order_faults": Counter(fault for played in rounds for fault in played.faults),
        "stale_samples_max": max(played.stale_samples for played in rounds),
        "spreads_ms": spreads,
        "errors": [e.event["error"] for e in caller.record.since(0, "error")],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A second voice over a running reply.")
    add_server_options(parser, replier="embedded")
    add_clips_option(parser)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--after-s", type=float, default=0.2, help="after the reply's first audio")
    parser.add_argument("--binary", action="store_true", help="audio in binary frames")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
