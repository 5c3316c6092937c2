"""Is the waterfall on the page true? Its numbers against a caller's, and against its own clock.

    python -m benchmarks.page_latency --clips tests/data --count 8

The same clips are said twice to the same server: by the caller of `latency.py`, who is also told
the server's figures of each turn, and by a headless Chromium through the page. Compared are the
server's figures with what that caller saw of the very same turn, the server's figures with what the
page saw of it, and the page's turns with the caller's turns on the same clips, by their medians. A
clip that was split by a pause counts with its last utterance. The caller's first audio is the first
that can be heard; the server's is the first that was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

from benchmarks.browser import add_browser_option, room, visit
from benchmarks.caller import call
from benchmarks.clips import Clip, add_clips_option, in_seeded_order, load_clips
from benchmarks.report import Cell, emit, machine, spread, table
from benchmarks.server import add_server_options, server_for
from benchmarks.turn import Turn, between_ms, session_with, take_turn
from benchmarks.words import normalise

TIMING = "banter.turn.timing"
STAGES = ("decision", "transcript", "text", "audio")
AGREES_MS = 30.0
THINK_S = 0.7
BEGINS_S = 3.0

Moments = dict[str, float | None]


def seen_by(turn: Turn) -> Moments:
    """What a caller saw of a turn, in ms after the end of speech."""
    last, response, from_ = turn.utterances[-1], turn.response, turn.end_of_speech_at
    return {
        "decision": between_ms(from_, last.decided_at),
        "transcript": between_ms(from_, last.transcribed_at),
        "text": between_ms(from_, response.first_text_at if response else None),
        "audio": between_ms(from_, turn.first_audio_at),
    }


def told_in(event: dict[str, Any]) -> Moments:
    """What the server told of a turn."""
    return {stage: event[f"{stage}_ms"] for stage in STAGES}


def minus(one: Moments, other: Moments) -> Moments:
    """The difference of each stage that both have."""
    pairs = ((stage, one.get(stage), other.get(stage)) for stage in STAGES)
    return {s: None if a is None or b is None else round(a - b, 1) for s, a, b in pairs}


def since_decision(moments: Moments) -> Moments:
    """The same counted from the decision."""
    begun = moments["decision"]
    return {s: None if m is None or begun is None else m - begun for s, m in moments.items()}


async def by_caller(url: str, clips: list[Clip]) -> list[tuple[str, Moments, Moments]]:
    """For each answered clip what the caller saw, and what the server told of the same turn."""
    found = []
    async with call(url, binary=True, session=session_with()) as caller:
        for clip in clips:
            after = len(caller.record.events)
            turn = await take_turn(caller, clip)
            response = turn.response
            await caller.listen(response.response_id if response else "", THINK_S)
            if turn.outcome != "answered":
                print(f"not answered: {clip.name}: {turn.outcome}")
                continue
            item_id = turn.utterances[-1].item_id
            told = [e.event for e in caller.record.since(after, TIMING)]
            mine = next((event for event in told if event["item_id"] == item_id), None)
            if mine:
                found.append((clip.name, seen_by(turn), told_in(mine)))
    return found


def clip_of(transcript: str, clips: list[Clip]) -> str:
    """The clip that most of these words are from."""
    said = set(normalise(transcript).split())
    return max(clips, key=lambda clip: len(said & set(normalise(clip.transcript).split()))).name


async def by_page(args: argparse.Namespace, url: str, clips: list[Clip]) -> dict[str, Any]:
    """By clip: what the server told, what the page saw by its own clock, and what was `played`."""
    said, at_s = [], BEGINS_S
    for clip in clips:
        said.append((at_s, clip))
        at_s += clip.seconds + args.gap
    async with visit(url, args.chromium, room(said, at_s + 5)) as visited:
        begun = time.perf_counter()
        await visited.talk()
        await asyncio.sleep(max(0.0, at_s - (time.perf_counter() - begun)))
        told = {each["event"]["item_id"]: each for each in await visited.events(TIMING)}
        heard = "conversation.item.input_audio_transcription.completed"
        words = {each["event"]["item_id"]: each for each in await visited.events(heard)}
        stopped = {
            each["event"]["item_id"]: each["at"]
            for each in await visited.events("input_audio_buffer.speech_stopped")
        }
        text: dict[str, float] = {}
        for each in await visited.events("response.output_audio_transcript.delta"):
            text.setdefault(each["event"]["response_id"], each["at"])
        kept = (await visited.saved())["latency"]
    played = {turn["itemId"]: turn["played"] for turn in kept}
    turns = {}
    for item_id, each in told.items():
        event, begun_at = each["event"], stopped[item_id]
        seen: Moments = {
            "decision": 0.0,
            "transcript": words[item_id]["at"] - begun_at if item_id in words else None,
            "text": text[event["response_id"]] - begun_at if event["response_id"] in text else None,
            "audio": each["at"] - begun_at,  # the event follows the first frame at once
        }
        name = clip_of(words[item_id]["event"]["transcript"], clips)
        turns[name] = {"told": told_in(event), "seen": seen, "played": played.get(item_id)}
    return turns


async def compare(args: argparse.Namespace) -> dict[str, object]:
    clips = in_seeded_order(load_clips(args.clips), args.count)
    async with server_for(args) as server:
        called = await by_caller(server.url, clips)
        paged = await by_page(args, server.url, clips)
    names = [name for name, _, _ in called if name in paged]
    rows: dict[str, list[Moments]] = {
        "server - caller, same turn": [minus(told, saw) for _, saw, told in called],
        "the same, from the decision on": [
            minus(since_decision(told), since_decision(saw)) for _, saw, told in called
        ],
        "server - page, same turn, from the decision on": [
            minus(since_decision(turn["told"]), turn["seen"]) for turn in paged.values()
        ],
        "page - caller, same clip": [
            minus(paged[name]["told"], saw) for name, saw, _ in called if name in paged
        ],
    }
    spreads = {
        title: {stage: spread(each[stage] for each in differences) for stage in STAGES}
        for title, differences in rows.items()
    }
    shown: list[list[Cell]] = [
        [title, stages["audio"]["n"], *(stages[stage]["median"] for stage in STAGES)]
        for title, stages in spreads.items()
    ]
    print(table(["median difference, ms", "n", *STAGES], shown))
    first_heard = [
        turn["played"] - turn["told"]["audio"]
        for turn in paged.values()
        if turn["played"] is not None and turn["told"]["audio"] is not None
    ]
    same_turn = spreads["server - caller, same turn"]
    agrees = {
        stage: same_turn[stage]["median"] is not None
        and abs(same_turn[stage]["median"] or 0.0) <= AGREES_MS
        for stage in STAGES
    }
    print(f"medians within {AGREES_MS:.0f} ms of the caller's: {agrees}")
    return {
        "benchmark": "page_latency",
        "machine": machine(),
        "replier": args.replier if not args.url else None,
        "clips": names,
        "differences_ms": spreads,
        "agrees_within_30_ms": agrees,
        "sent_to_played_ms": spread(first_heard),
        "called": called,
        "paged": paged,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_server_options(parser)
    add_clips_option(parser)
    add_browser_option(parser)
    parser.add_argument("--count", type=int, default=8, help="how many clips (8)")
    parser.add_argument("--gap", type=float, default=10.0, help="seconds between two clips (10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(compare(args)), args.json)


if __name__ == "__main__":
    main()
