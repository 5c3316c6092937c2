"""Callers who do not behave: one kind of trouble, again and again, until told to stop.

    python -m benchmarks.troublemakers flood --url http://127.0.0.1:8000

A process of its own, so that the load of making trouble is not felt by who is measured. It says
"ready" on a line, stops when its input ends, and then prints in JSON what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from benchmarks.caller import bearer, call, realtime_url
from benchmarks.clips import Clip, Pcm, add_clips_option, load_clips
from benchmarks.record import AUDIO_DELTA
from benchmarks.turn import between_ms, session_with

FLOOD_BYTES = 14 * 2**20
"""Five minutes of audio at 24 kHz, in one append."""
GIVES_UP_S = 40.0


@dataclass
class Trouble:
    """What came of the trouble: how often it was made, and what the server did about it."""

    counts: Counter[str] = field(default_factory=Counter)
    ended_after_ms: list[float] = field(default_factory=list)
    """For those who fell silent: from the last audio that was sent to the end of their turn."""


Troublemaker = Callable[[str, list[Clip], Trouble], Awaitable[None]]


async def go_silent(url: str, clips: list[Clip], trouble: Trouble, key: str = "") -> None:
    """Stop sending in the middle of a clip: not even silence comes. The turn has to end anyway."""
    clip = sorted(clips, key=lambda clip: clip.seconds)[len(clips) // 2]
    async with call(url, session=session_with(), key=key) as caller:
        microphone, record = caller.microphone, caller.record
        first_sample = microphone.say(clip.pcm)
        last_at = await microphone.sent(first_sample + voiced_middle(clip))
        microphone.mute()
        trouble.counts["fell silent"] += 1
        stopped = await record.first("input_audio_buffer.speech_stopped", 0, GIVES_UP_S)
        if stopped is None:
            if any(record.since(0, "input_audio_buffer.speech_started")):
                trouble.counts["turn left open"] += 1
            return
        trouble.counts["turn ended"] += 1
        trouble.ended_after_ms.append(between_ms(last_at, stopped.at) or 0.0)
        done = await record.first("response.done", 0, GIVES_UP_S)
        if done is not None:
            trouble.counts[f"answer {done.event['response']['status']}"] += 1


async def flood(url: str, clips: list[Clip], trouble: Trouble) -> None:
    """Five minutes of speech in one append, then wait for whatever comes of it."""
    async with call(url, session=session_with()) as caller:
        await caller.microphone.send_at_once(tiled(clips, FLOOD_BYTES // 2))
        trouble.counts["floods"] += 1
        done = await caller.record.first("response.done", 0, GIVES_UP_S)
        errors = list(caller.record.since(0, "error"))
        trouble.counts["errors"] += len(errors)
        trouble.counts["answered" if done else "not answered"] += 1


async def hang_up(url: str, clips: list[Clip], trouble: Trouble) -> None:
    """Disconnect without a word: in mid-frame, in mid-turn, while transcribing, while answered."""
    clip = min(clips, key=lambda clip: clip.seconds)
    await leave_in_mid_frame(url)
    trouble.counts["in mid-frame"] += 1
    await leave_when(url, clip, trouble, "in mid-turn", None)
    await leave_when(url, clip, trouble, "while transcribing", "input_audio_buffer.speech_stopped")
    await leave_when(url, clip, trouble, "while answered", AUDIO_DELTA)


TROUBLEMAKERS: dict[str, Troublemaker] = {"silent": go_silent, "flood": flood, "hangup": hang_up}


async def leave_when(
    url: str, clip: Clip, trouble: Trouble, stage: str, event: str | None, key: str = ""
) -> None:
    """Say a clip and vanish when an event comes, or in the middle of the clip."""
    async with call(url, session=session_with(), key=key) as caller:
        first_sample = caller.microphone.say(clip.pcm)
        if event is None:
            await caller.microphone.sent(first_sample + voiced_middle(clip))
        elif await caller.record.first(event, 0, GIVES_UP_S) is None:
            trouble.counts[f"no chance to leave {stage}"] += 1
            return
        caller.vanish()
        trouble.counts[stage] += 1


async def leave_in_mid_frame(url: str, key: str = "") -> None:
    """Send the head of a frame and half its body over a bare socket, then reset the connection."""
    _, writer = await bare_call(url, key)
    text_of_4000_masked = struct.pack(">BBHI", 0x81, 0x80 | 126, 4000, 0)
    writer.write(text_of_4000_masked + b" " * 2000)
    await writer.drain()
    writer.transport.abort()


async def bare_call(url: str, key: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that is upgraded, and no WebSocket library on this side of it."""
    address = urlsplit(realtime_url(url))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    nonce = base64.b64encode(os.urandom(16)).decode()
    shown = "".join(f"{name}: {value}\r\n" for name, value in bearer(key).items())
    writer.write(
        f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {nonce}\r\n{shown}"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the server closed it before an answer") from error
    return reader, writer


def voiced_middle(clip: Clip) -> int:
    """The sample half-way through what is said in a clip."""
    return (clip.first_voiced_sample + clip.last_voiced_sample) // 2


def tiled(clips: list[Clip], samples: int) -> Pcm:
    """The clips one after the other, again and again, up to a number of samples."""
    once = np.concatenate([clip.pcm for clip in clips])
    return np.resize(once, samples)


async def keep_on(kind: str, url: str, clips: list[Clip]) -> Trouble:
    """Make one kind of trouble until the input ends; what is under way then is finished."""
    trouble = Trouble()
    enough = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("ready", flush=True)
    while not enough.done():
        try:
            await TROUBLEMAKERS[kind](url, clips, trouble)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            trouble.counts[f"{type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0.5)
    return trouble


def main() -> None:
    parser = argparse.ArgumentParser(description="A caller who does not behave.")
    parser.add_argument("kind", choices=TROUBLEMAKERS)
    parser.add_argument("--url", required=True, help="http://host:port of a running server")
    add_clips_option(parser)
    args = parser.parse_args()
    clips = load_clips(args.clips)
    trouble = asyncio.run(keep_on(args.kind, args.url, clips))
    print(json.dumps(vars(trouble)), flush=True)


if __name__ == "__main__":
    main()
