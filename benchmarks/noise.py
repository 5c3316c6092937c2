"""Silence and noise through the whole path: is anything taken for speech, and is it answered?

    python -m benchmarks.noise --clips DIR --voices cafe crowd restaurant

Each clip of kind `noise` has a session of its own, at real pace, several at once, with silence
after it; so have digital silence and a faint hiss. Each further play of a clip begins at another,
seeded place within the microphone's 20 ms: what a detector makes of noise depends on where its
windows fall. Clips that `--voices` names hold voices in the background: they are told apart, since
to answer a voice is no mistake.

`--offline` hears them by the ear alone, faster than real time, at several levels and as telephone
audio: how often a turn begins, without what the recogniser makes of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp
import numpy as np

from benchmarks import false_turns
from benchmarks.caller import Caller, call
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, add_clips_option, load_clips, names_voices
from benchmarks.microphone import CHUNK_SAMPLES
from benchmarks.record import Record
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import Server, add_server_options, room_for, server_for
from benchmarks.turn import between_ms, session_with, utterances

SILENCE_S = 30
HISS_DBFS = -60.0
"""The noise of a quiet room and a cheap microphone."""
LEAD_S = 1.0
ENDS_WITHIN_S = 20.0
"""After the silence that follows a clip: a turn that began has to end, and its reply too."""
ANSWERS_AFTER_S = 1.0
"""A reply that starts comes this soon after the transcript."""


@dataclass(frozen=True)
class Reaction:
    """What the server made of one clip."""

    clip: str
    play: int
    seconds: float
    has_voices: bool
    started_s: list[float]
    """When speech_started came, from the clip's begin."""
    committed: int
    transcripts: list[str | None]
    """One for each turn; None where none came."""
    responses: int
    failure: str | None = None

    @property
    def verdict(self) -> str:
        if self.failure is not None:
            return "failed"
        if not self.responses:
            return "quiet"
        return "answered, has voices" if self.has_voices else "ANSWERED"


@dataclass(frozen=True)
class Play:
    """A clip to be played, and silence of less than a chunk before it."""

    clip: Clip
    number: int
    offset_samples: int
    has_voices: bool


def plays(
    clips: list[Clip], voices: list[str], times: int, seed: int, minutes: float = 0.0
) -> list[Play]:
    """Every clip so many times, the first time with no offset; one without voices as often as it
    takes to last so many minutes in all."""
    random = Random(seed)

    voiced = {clip.name: names_voices(clip, voices) for clip in clips}
    so_often = {
        clip.name: times if voiced[clip.name] else max(times, round(60 * minutes / clip.seconds))
        for clip in clips
    }
    return [
        Play(clip, n, random.randrange(CHUNK_SAMPLES) if n else 0, voiced[clip.name])
        for n in range(max(so_often.values()))
        for clip in clips
        if n < so_often[clip.name]
    ]


def reaction_of(record: Record, play: Play, begun_at: float) -> Reaction:
    """What a record holds of a clip."""
    turns = utterances(record)
    started = [between_ms(begun_at, turn.started_at) or 0.0 for turn in turns]
    return Reaction(
        play.clip.name,
        play.number,
        round(play.clip.seconds, 1),
        play.has_voices,
        [round(ms / 1000, 2) for ms in started],
        sum(1 for _ in record.since(0, "input_audio_buffer.committed")),
        [turn.transcript for turn in turns],
        sum(1 for _ in record.since(0, "response.created")),
    )


def is_settled(record: Record) -> bool:
    """Whether every turn has ended and has its words, and every response is done."""
    if any(t.decided_at is None or t.transcribed_at is None for t in utterances(record)):
        return False
    created = sum(1 for _ in record.since(0, "response.created"))
    return created == sum(1 for _ in record.since(0, "response.done"))


async def sound(caller: Caller, play: Play, after_s: float) -> float:
    """Silence, the clip, silence, and what it takes until nothing goes on; when the clip began."""
    microphone, record = caller.microphone, caller.record
    await microphone.sent(int(LEAD_S * SAMPLE_RATE_HZ))
    pcm = np.pad(play.clip.pcm, (play.offset_samples, 0))
    first_sample = microphone.say(pcm)
    begun_at = await microphone.sent(first_sample)
    await microphone.sent(first_sample + pcm.size + int(after_s * SAMPLE_RATE_HZ))
    await record.news.until(lambda: is_settled(record) or None, ENDS_WITHIN_S)
    await asyncio.sleep(ANSWERS_AFTER_S)
    await record.news.until(lambda: is_settled(record) or None, ENDS_WITHIN_S)
    return begun_at


async def react(server: Server, play: Play, after_s: float) -> Reaction:
    """A clip in a session of its own."""
    try:
        async with call(server.url, binary=True, session=session_with()) as caller:
            begun_at = await sound(caller, play, after_s)
            return reaction_of(caller.record, play, begun_at)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        failure = f"{type(error).__name__}: {error}"
        seconds = round(play.clip.seconds, 1)
        return Reaction(
            play.clip.name, play.number, seconds, play.has_voices, [], 0, [], 0, failure
        )


def without_voices() -> list[Clip]:
    """Digital silence and a faint hiss, 30 s each."""
    samples = SILENCE_S * SAMPLE_RATE_HZ
    scale = 32768 * 10 ** (HISS_DBFS / 20)
    hiss = np.random.default_rng(7).normal(0, scale, samples).astype(np.int16)
    made = {"silence": np.zeros(samples, np.int16), "faint hiss": hiss}
    return [Clip(name, "noise", "", pcm, 0, samples - 1) for name, pcm in made.items()]


def row(reaction: Reaction) -> list[Cell]:
    heard = " | ".join(repr(text) for text in reaction.transcripts)
    return [
        reaction.clip,
        reaction.play,
        reaction.seconds,
        len(reaction.started_s),
        reaction.committed,
        sum(bool(text) for text in reaction.transcripts),
        reaction.responses,
        reaction.verdict,
        heard[:60],
    ]


async def run(args: argparse.Namespace) -> dict[str, object]:
    """Play all clips and print the table; gives the JSON line."""
    about, clips = machine(), [*without_voices(), *load_clips(args.clips, "noise")]
    unknown = [name for name in args.voices if not any(names_voices(c, [name]) for c in clips)]
    if unknown:
        print(f"no clip here is named {', '.join(unknown)}", file=sys.stderr)
    if args.offline:
        found = await false_turns.offline(clips, args.plays, args.seed)
        voiced = {clip.name for clip in clips if names_voices(clip, args.voices)}
        false_turns.print_found(found, voiced)
        facts = false_turns.facts_of(found, voiced)
        return {"benchmark": "noise", "machine": about, "plays": args.plays, **facts}
    places = asyncio.Semaphore(args.at_once)

    async def in_turn(server: Server, play: Play) -> Reaction:
        async with places:
            return await react(server, play, args.after_s)

    async with server_for(args, *room_for(2 * args.at_once)) as server:
        all_plays = plays(clips, args.voices, args.plays, args.seed, args.minutes)
        reactions = await asyncio.gather(*(in_turn(server, play) for play in all_plays))
        status = await server.status()
    reactions = sorted(reactions, key=lambda r: (r.has_voices, r.clip, r.play))
    headings = ["clip", "play", "s", "started", "committed", "words", "responses", "verdict"]
    print(table([*headings, "heard"], map(row, reactions)), end="\n\n")
    for reaction in reactions:
        if reaction.failure is not None:
            print(f"failed: {reaction.clip}: {reaction.failure}")
    judged = [reaction for reaction in reactions if not reaction.has_voices]
    answered = [reaction.clip for reaction in judged if reaction.responses]
    print(f"{len(answered)} of {len(judged)} plays without voices started a response: {answered}")
    return {
        "benchmark": "noise",
        "machine": about,
        "plays": args.plays,
        "judged": len(judged),
        "answered_without_voices": answered,
        "failed": [reaction.clip for reaction in reactions if reaction.failure is not None],
        "turns_without_voices": sum(reaction.committed for reaction in judged),
        "counts": status.get("counts", {}),
        "each": [vars(reaction) for reaction in reactions],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Silence and noise through the whole path.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--voices", nargs="*", default=[], metavar="NAME", help="not judged")
    parser.add_argument("--offline", action="store_true", help="the ear alone, at several levels")
    parser.add_argument("--plays", type=int, default=1, help="of each clip")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="of each clip without voices, at least"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--at-once", type=int, default=6, help="sessions at the same time")
    parser.add_argument("--after-s", type=float, default=4.0, help="silence after each clip")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
