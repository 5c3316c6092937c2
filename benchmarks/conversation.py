"""The official OpenAI client talks to the server: what was understood, and what was said back.

    python -m benchmarks.conversation --turns 20 --replier embedded

Real clips at real pace over one session. The words that the server heard are compared with the
clips' transcripts; each reply's audio is read back by Whisper once the session is over, and
compared with the transcript that the server gave for it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from faster_whisper import WhisperModel
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeSessionCreateRequestParam

from benchmarks.clips import Clip, Pcm, add_clips_option, in_seeded_order, load_clips, to_ear
from benchmarks.microphone import Microphone
from benchmarks.record import Record
from benchmarks.report import Cell, emit, machine, table
from benchmarks.server import add_server_options, server_for
from benchmarks.turn import Turn, take_turn
from benchmarks.words import WordErrors, summed, word_errors

SESSION: RealtimeSessionCreateRequestParam = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}


class OfficialCaller:
    """The openai package's connection, with our microphone in front and our record behind."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.microphone = Microphone(self._append)
        self.record = Record()
        self.connection = connection

    async def receive(self) -> None:
        """Keep every event as the package decoded it."""
        async for event in self.connection:
            self.record.add(event.to_dict(mode="json"))
        self.record.news.end("the server closed the connection")

    async def _append(self, pcm: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())


@dataclass(frozen=True)
class Spoken:
    """A reply as the server wrote it and as Whisper heard it."""

    transcript: str
    read_back: str

    @property
    def errors(self) -> WordErrors:
        return word_errors(self.transcript, self.read_back)


@asynccontextmanager
async def official_call(url: str) -> AsyncIterator[OfficialCaller]:
    """A call through the package, with the microphone on."""
    client = AsyncOpenAI(api_key="x", base_url=f"{url}/v1")
    async with client, client.realtime.connect(model="local") as connection:
        caller = OfficialCaller(connection)
        tasks = [asyncio.create_task(caller.receive())]
        try:
            await connection.session.update(session=SESSION)
            if await caller.record.first("session.updated") is None:
                raise TimeoutError("no session.updated")
            tasks.append(asyncio.create_task(caller.microphone.run()))
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def converse(caller: OfficialCaller, clips: Iterable[Clip], think_s: float) -> list[Turn]:
    """One turn after the other; the replies are not played, so only a pause lies between."""
    turns = []
    for clip in clips:
        turns.append(await take_turn(caller, clip))
        await asyncio.sleep(think_s)
    return turns


def default_whisper() -> Path:
    """The folder of the Whisper model that the server itself uses."""
    import bootstrap

    volume = bootstrap.default_volume()
    return Path(asyncio.run(bootstrap.ensure(bootstrap.plan_for("embedded"), volume))["whisper"])


def read_back(model: WhisperModel, pcm: Pcm) -> str:
    """What Whisper hears in a reply."""
    segments, _ = model.transcribe(to_ear(pcm), language="en", beam_size=5)
    return " ".join(segment.text.strip() for segment in segments)


def spoken_replies(record: Record, whisper: Path) -> dict[str, Spoken]:
    """The completed responses with audio, by id, read back."""
    model = WhisperModel(str(whisper), device="cpu", compute_type="int8")
    transcripts = {
        done.event["response_id"]: done.event["transcript"]
        for done in record.since(0, "response.output_audio_transcript.done")
    }
    return {
        response_id: Spoken(transcripts[response_id], read_back(model, reply.pcm))
        for response_id, reply in record.replies.items()
        if reply.pieces and statuses(record).get(response_id) == "completed"
    }


def statuses(record: Record) -> dict[str, str]:
    """How each response ended, by id."""
    done = (event.event["response"] for event in record.since(0, "response.done"))
    return {response["id"]: response["status"] for response in done}


def percent(errors: WordErrors) -> float | None:
    return None if errors.rate is None else round(100 * errors.rate, 1)


def print_turns(turns: list[Turn], replies: dict[str, Spoken]) -> None:
    """A line for each turn, then the texts where words went wrong."""
    rows: list[list[Cell]] = []
    for turn in turns:
        spoken = replies.get(turn.response.response_id) if turn.response else None
        rows.append(
            [
                turn.clip.name,
                len(turn.utterances),
                percent(word_errors(turn.clip.transcript, turn.heard)),
                percent(spoken.errors) if spoken else None,
                round(turn.audio_s, 1),
                turn.outcome,
            ]
        )
    headings = ["clip", "utt.", "heard WER %", "read-back WER %", "reply s", "outcome"]
    print(table(headings, rows), end="\n\n")
    for turn in turns:
        if word_errors(turn.clip.transcript, turn.heard).wrong:
            print(f"{turn.clip.name}\n  said  {turn.clip.transcript}\n  heard {turn.heard}")
    for spoken in replies.values():
        if spoken.errors.wrong:
            print(f"reply\n  wrote {spoken.transcript}\n  heard {spoken.read_back}")


async def play(args: argparse.Namespace) -> tuple[list[Turn], Record]:
    """The session itself."""
    clips = in_seeded_order(load_clips(args.clips), args.turns, args.seed)
    async with (
        server_for(args) as server,
        official_call(server.url) as caller,
    ):
        return await converse(caller, clips, args.think_s), caller.record


def summary(turns: list[Turn], record: Record, replies: dict[str, Spoken]) -> dict[str, object]:
    """The figures of the JSON line."""
    heard = summed(word_errors(turn.clip.transcript, turn.heard) for turn in turns)
    spoken = summed(reply.errors for reply in replies.values())
    return {
        "turns": len(turns),
        "outcomes": Counter(turn.outcome for turn in turns),
        "responses": Counter(statuses(record).values()),
        "heard": {"wrong": heard.wrong, "words": heard.words, "wer_percent": percent(heard)},
        "read_back": {
            "replies": len(replies),
            "wrong": spoken.wrong,
            "words": spoken.words,
            "wer_percent": percent(spoken),
        },
        "audio_gaps": sum(reply.gaps for reply in record.replies.values()),
        "errors": [event.event["error"] for event in record.since(0, "error")],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A conversation through the openai package.")
    add_server_options(parser)
    add_clips_option(parser)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--think-s", type=float, default=0.5)
    parser.add_argument("--whisper-dir", type=Path, help="Whisper model to read replies back")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    whisper = args.whisper_dir or default_whisper()
    facts = machine()
    turns, record = asyncio.run(play(args))
    replies = spoken_replies(record, whisper)
    print_turns(turns, replies)
    figures = summary(turns, record, replies)
    replier = None if args.url else args.replier
    emit({"benchmark": "conversation", "machine": facts, "replier": replier, **figures}, args.json)


if __name__ == "__main__":
    main()
