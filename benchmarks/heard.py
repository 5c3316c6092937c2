"""A reply is talked over at ten moments: does the history keep what the caller really heard?

    python -m benchmarks.heard --rounds 10

The caller plays the reply at real pace and falls silent at `speech_started`, as a browser does.
What it played until then is read back by Whisper and its words counted; so are the words that the
server kept, once by its own model of playback (`response.done`) and once after the caller's report
(`truncate`).
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path

from faster_whisper import WhisperModel

from benchmarks.caller import Caller, call
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.conversation import default_whisper, read_back
from benchmarks.interruption import REPLY_WITHIN_S, running_reply, without_head
from benchmarks.playout import Reply
from benchmarks.report import Cell, emit, machine, spread, spread_rows, table
from benchmarks.server import add_server_options, server_for
from benchmarks.turn import session_with, take_turn
from benchmarks.words import normalise

LONG_S = 6.0
"""Clips whose echo is long enough to be talked over at any of the moments."""


@dataclass
class Round:
    """One interruption, and the words on both sides of it."""

    question: str
    played_ms: int
    reply: Reply
    by_model: str
    by_report: str
    played: str = ""

    def surplus(self, kept: str) -> int:
        """Words in the history beyond those that were played; negative where some are missing."""
        return len(normalise(kept).split()) - len(normalise(self.played).split())


async def play_round(caller: Caller, question: Clip, over: Clip, after_s: float) -> Round | None:
    """Ask, listen for a while, talk over the reply; None where there was nothing to talk over."""
    record = caller.record
    created = await running_reply(caller, question)
    if created is None:
        return None
    reply = record.reply(created.event["response"]["id"])
    await asyncio.sleep(after_s)
    caller.microphone.hush()
    at = len(record.events)
    await take_turn(caller, over)
    done = await record.first("response.done", at, REPLY_WITHIN_S)
    if done is None or reply.stopped_at is None or reply.item_id is None:
        return None
    if done.event["response"]["id"] != reply.response_id:
        return None
    await caller.send("conversation.item.retrieve", item_id=reply.item_id)
    kept = await record.first("conversation.item.retrieved", at, REPLY_WITHIN_S)
    if kept is None:
        return None
    return Round(
        question.name,
        reply.heard_ms(reply.stopped_at),
        reply,
        _transcript(done.event["response"]["output"][0]),
        _transcript(kept.event["item"]),
    )


def _transcript(item: dict[str, list[dict[str, str]]]) -> str:
    return "".join(part.get("transcript") or "" for part in item["content"])


def listen_again(rounds: list[Round], whisper: Path) -> None:
    """Read back what each caller really played."""
    model = WhisperModel(str(whisper), device="cpu", compute_type="int8")
    for played in rounds:
        samples = played.played_ms * SAMPLE_RATE_HZ // 1000
        played.played = read_back(model, played.reply.pcm[:samples])


def row(played: Round) -> list[Cell]:
    return [
        played.question,
        played.played_ms,
        played.surplus(played.by_model),
        played.surplus(played.by_report),
        played.played[-30:],
        played.by_model[-30:],
    ]


async def run(args: argparse.Namespace) -> tuple[list[Round], dict[str, object]]:
    facts = machine()
    clips = [c for c in load_clips(args.clips) if c.seconds >= LONG_S]
    tries = 2 * args.rounds  # a clip with a long pause interrupts its own reply: no round
    chosen = in_seeded_order(clips, tries, args.seed)
    overs = [without_head(c) for c in in_seeded_order(clips, tries, args.seed + 1)]
    rounds = []
    async with (
        server_for(args) as server,
        call(server.url, binary=args.binary, session=session_with()) as caller,
    ):
        for question, over in zip(chosen, overs, strict=True):
            after_s = 0.2 + 0.25 * len(rounds)
            if played := await play_round(caller, question, over, after_s):
                rounds.append(played)
            if len(rounds) == args.rounds:
                break
            await asyncio.sleep(2.0)
    return rounds, {"benchmark": "heard", "machine": facts, "rounds": len(rounds)}


def main() -> None:
    parser = argparse.ArgumentParser(description="What is remembered of a reply talked over.")
    add_server_options(parser, replier="echo")
    add_clips_option(parser)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--binary", action="store_true", help="audio in binary frames")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    parser.add_argument("--whisper-dir", type=Path, help="the recogniser that reads back")
    args = parser.parse_args()
    rounds, result = asyncio.run(run(args))
    listen_again(rounds, args.whisper_dir or default_whisper())
    headings = ["question", "played ms", "model", "report", "heard …", "kept by the model …"]
    print(table(headings, map(row, rounds)), end="\n\n")
    words = {
        "surplus words, by the model": spread(r.surplus(r.by_model) for r in rounds),
        "surplus words, after the report": spread(r.surplus(r.by_report) for r in rounds),
    }
    print(table(["words", "n", "median", "p95", "max"], spread_rows(words)))
    for name, kept in (("model", "by_model"), ("report", "by_report")):
        surplus = [r.surplus(getattr(r, kept)) for r in rounds]
        missing = [max(0, -s) for s in surplus]
        result[f"{name}_too_much_max"] = max(surplus, default=0)
        result[f"{name}_too_few_mean"] = sum(missing) / len(missing) if missing else None
    emit(result, args.json)


if __name__ == "__main__":
    main()
