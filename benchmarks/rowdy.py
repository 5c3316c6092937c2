"""What callers do who do not behave, a few seconds of it each; `soak.py` draws from it at random.

Whatever they do, some of it has to be answered: a committed utterance gets its words, a response
its end, a wrong key its refusal. `Rowdy.owed` counts what had to be answered and was not.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp
import numpy as np
import soundfile

from benchmarks.caller import Caller, bearer, call, realtime_url
from benchmarks.clips import SAMPLE_RATE_HZ, Clip
from benchmarks.record import AUDIO_DELTA
from benchmarks.troublemakers import (
    Trouble,
    bare_call,
    go_silent,
    leave_in_mid_frame,
    leave_when,
    tiled,
    voiced_middle,
)
from benchmarks.turn import NOT_TRANSCRIBED, TRANSCRIBED, session_with

ANSWERED_WITHIN_S = 60.0
UPDATES: list[dict[str, Any]] = [
    {"audio": {"input": {"turn_detection": None}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}},
    {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
    {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24_000}}}},
    {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
    {"output_modalities": ["text"]},
    {"output_modalities": ["audio"]},
    {"instructions": "Answer in one word. " * 200},
    {"audio": {"input": {"turn_detection": {"threshold": 7}}}},
    {"tools": "none"},
]
GARBAGE = [
    "nonsense",
    "[]",
    '{"type":7}',
    '{"type":"session.destroy"}',
    '{"type":"response.create","response":{"input":[{"type":"message"}]}}',
    '{"type":"conversation.item.create","item":{"type":"message","role":"nobody"}}',
    '{"type":"input_audio_buffer.append","audio":"***"}',
    '{"type":"conversation.item.truncate","item_id":"nobody","audio_end_ms":1e300}',
    "[" * 5_000,
    '{"type":"session.update","session":{"instructions":"' + "x" * 300_000 + '"}}',
]


@dataclass
class Rowdy:
    """Where the trouble is made, and what came of it."""

    url: str
    key: str
    clips: list[Clip]
    made: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """What the server said to it."""
    owed: Counter[str] = field(default_factory=Counter)
    """Answers that had to come and did not."""
    broken: Counter[str] = field(default_factory=Counter)
    """How calls ended that nobody here ended."""

    async def make(self, kind: str, random: Random) -> None:
        """One trouble, to its end."""
        self.made[kind] += 1
        try:
            async with asyncio.timeout(3 * ANSWERED_WITHIN_S):
                await KINDS[kind](self, random)
        except (aiohttp.ClientError, ConnectionError) as error:
            status = getattr(error, "status", "")
            self.broken[f"{kind}: {type(error).__name__} {status}".rstrip()] += 1
        except TimeoutError:
            self.owed[f"{kind}: an end"] += 1

    def owes(self, what: str, answer: object) -> bool:
        """Count an answer, or that there is none; whether there was one."""
        if answer is None:
            self.owed[what] += 1
        return answer is not None


async def interrupt(rowdy: Rowdy, random: Random) -> None:
    """Speak over the reply, again and again; the last thing said has to be answered."""
    async with call(rowdy.url, session=session_with(), key=rowdy.key) as caller:
        for _ in range(random.randint(1, 3)):
            after = len(caller.record.events)
            caller.microphone.say(random.choice(rowdy.clips).pcm)
            if await caller.record.first(AUDIO_DELTA, after, ANSWERED_WITHIN_S) is None:
                rowdy.answers["interrupt: no audio to speak over"] += 1
                return
            await asyncio.sleep(random.uniform(0.0, 1.5))
        after = len(caller.record.events)
        pcm = random.choice(rowdy.clips).pcm
        await caller.microphone.sent(caller.microphone.say(pcm) + pcm.size - 1)
        words = await caller.record.first(TRANSCRIBED, after, ANSWERED_WITHIN_S)
        rowdy.owes("interrupt: the words of the interruption", words)


async def vanish(rowdy: Rowdy, random: Random) -> None:
    """Be gone at once, at any stage of a turn."""
    clip = random.choice(rowdy.clips)
    stages = {
        "in mid-turn": None,
        "while transcribing": "input_audio_buffer.speech_stopped",
        "at the first words": "response.created",
        "while answered": AUDIO_DELTA,
    }
    if random.random() < 0.2:
        return await leave_in_mid_frame(rowdy.url, rowdy.key)
    stage, event = random.choice(list(stages.items()))
    await leave_when(rowdy.url, clip, Trouble(), stage, event, rowdy.key)


async def fall_silent(rowdy: Rowdy, random: Random) -> None:
    """Stop sending in mid-turn: not even silence comes. The turn has to end anyway."""
    trouble = Trouble()
    await go_silent(rowdy.url, rowdy.clips, trouble, rowdy.key)
    left_open = trouble.counts["turn left open"]
    rowdy.owes("silent: the end of the turn", None if left_open else True)


async def read_slowly(rowdy: Rowdy, random: Random) -> None:
    """Ask for replies and read none of them for a while; then read on, or be gone."""
    async with (
        aiohttp.ClientSession(headers=bearer(rowdy.key), read_bufsize=1024) as http,
        http.ws_connect(realtime_url(rowdy.url), max_msg_size=0) as socket,
    ):
        for _ in range(random.randint(1, 20)):
            await socket.send_json({"type": "response.create"})
            await asyncio.sleep(random.uniform(0.0, 1.0))
        await asyncio.sleep(random.uniform(2.0, 8.0))
        if random.random() < 0.5:
            return
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT and "response.done" in message.data:
                rowdy.answers["slow reader: read on"] += 1
                return


async def flood(rowdy: Rowdy, random: Random) -> None:
    """Much at once: speech, silence, or thousands of small messages."""
    kind = random.choice(("speech", "silence", "messages"))
    async with call(rowdy.url, session=session_with(), key=rowdy.key) as caller:
        if kind == "speech":
            await caller.microphone.send_at_once(tiled(rowdy.clips, 20 * SAMPLE_RATE_HZ))
            done = await caller.record.first("response.done", 0, ANSWERED_WITHIN_S)
            rowdy.owes("flood of speech: a response", done)
        elif kind == "silence":
            await caller.microphone.send_at_once(np.zeros(7_000_000, np.int16))
            await acknowledged(rowdy, caller, "flood of silence")
        else:
            for n in range(2_000):
                await caller.send("input_audio_buffer.append", audio="AAAA")
                if n % 50 == 0:
                    await caller.send("input_audio_buffer.commit")
                    await caller.send("conversation.item.retrieve", item_id="nobody")
            await acknowledged(rowdy, caller, "flood of messages")


async def send_garbage(rowdy: Rowdy, random: Random) -> None:
    """Messages that cannot be followed; each is told so, and the session lives."""
    async with call(rowdy.url, session=session_with(), key=rowdy.key) as caller:
        sent = [random.choice(GARBAGE) for _ in range(random.randint(1, 30))]
        for text in sent:
            await caller.send_text(text)
        await acknowledged(rowdy, caller, "garbage")
        errors = list(caller.record.since(0, "error"))
        harmless = sum("truncate" in text for text in sent)
        rowdy.owes("garbage: an error each", len(errors) + harmless >= len(sent) or None)
    if random.random() < 0.3:
        await break_the_protocol(rowdy, random)


async def break_the_protocol(rowdy: Rowdy, random: Random) -> None:
    """Frames that no WebSocket has: the server closes the connection."""
    frames = (
        b"\x83\x80\0\0\0\0",  # of a kind that is not defined
        b"\xf1\x81\0\0\0\0x",  # with reserved bits
        b"\x81\x82\0\0\0\0\xff\xfe",  # a text that is not UTF-8
    )
    reader, writer = await bare_call(rowdy.url, rowdy.key)
    try:
        writer.write(random.choice(frames) * 3)
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            while await reader.read(65_536):
                pass
        rowdy.answers["broken frames: closed"] += 1
    finally:
        writer.close()


async def try_keys(rowdy: Rowdy, random: Random) -> None:
    """A wrong key, then one for a short time, which opens sessions, more than once."""
    async with aiohttp.ClientSession() as http:
        for headers in ({}, bearer("no-such-key-of-this-server")):
            async with http.get(f"{rowdy.url}/v1/realtime", headers=headers) as answer:
                refused = True if answer.status in (401, 429) else None
                rowdy.owes("keys: the refusal of a wrong one", refused)
        # two: the server may not have noticed the end of the first when the second begins
        asked = {"expires_after": {"anchor": "created_at", "seconds": 30}, "sessions": 2}
        async with http.post(
            f"{rowdy.url}/v1/realtime/client_secrets", json=asked, headers=bearer(rowdy.key)
        ) as answer:
            rowdy.answers[f"keys: {answer.status} for a new one"] += 1
            if answer.status != 200:
                return
            key = (await answer.json())["value"]
    for _ in range(2):
        async with call(rowdy.url, session=session_with(), key=key) as caller:
            clip = min(rowdy.clips, key=lambda clip: clip.seconds)
            await caller.microphone.sent(caller.microphone.say(clip.pcm) + voiced_middle(clip))


async def upload(rowdy: Rowdy, random: Random) -> None:
    """A file to be transcribed: a good one, one that is none, or one that breaks off."""
    clip, sink = random.choice(rowdy.clips), io.BytesIO()
    soundfile.write(sink, clip.pcm, SAMPLE_RATE_HZ, format=random.choice(("FLAC", "WAV")))
    body, kind = sink.getvalue(), random.choice(("good", "good", "none", "half"))
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("model", "whisper-1")
    content: Any = random.randbytes(50_000) if kind == "none" else body
    form.add_field("file", half(body) if kind == "half" else content, filename="a.flac")
    url = f"{rowdy.url}/v1/audio/transcriptions"
    async with aiohttp.ClientSession(headers=bearer(rowdy.key)) as http:
        try:
            async with http.post(url, data=form) as answer:
                await answer.read()
                rowdy.answers[f"upload, {kind}: {answer.status}"] += 1
                bad = answer.status >= 500 and answer.status not in (503,)
                rowdy.owes(f"upload, {kind}: an answer that is no 500", None if bad else True)
        except (BrokenOff, aiohttp.ClientConnectionError):
            if kind != "half":
                raise
            rowdy.answers["upload, half: broken off"] += 1


class BrokenOff(Exception):
    """An upload ends in the middle, because it is meant to."""


async def half(body: bytes) -> Any:
    """The first half of a file, and no end."""
    yield body[: len(body) // 2]
    raise BrokenOff


async def push_to_talk(rowdy: Rowdy, random: Random) -> None:
    """Commit by hand and ask for the answer; both have to come."""
    by_hand = session_with()
    by_hand["audio"]["input"]["turn_detection"] = None
    async with call(rowdy.url, session=by_hand, key=rowdy.key) as caller:
        for _ in range(random.randint(1, 2)):
            after = len(caller.record.events)
            caller.microphone.mute()
            await caller.microphone.send_at_once(random.choice(rowdy.clips).pcm)
            if random.random() < 0.2:
                await caller.send("input_audio_buffer.clear")
                continue
            await caller.send("input_audio_buffer.commit")
            await caller.send("response.create")
            words = await first_of(caller, after, TRANSCRIBED, NOT_TRANSCRIBED)
            done = await caller.record.first("response.done", after, ANSWERED_WITHIN_S)
            rowdy.owes("push-to-talk: the words", words)
            rowdy.owes("push-to-talk: the response", done)
            await caller.send("input_audio_buffer.commit")  # nothing is left: an error


async def storm(rowdy: Rowdy, random: Random) -> None:
    """New settings, dozens a second, while somebody speaks; each has its answer."""
    async with call(rowdy.url, session=session_with(), key=rowdy.key) as caller:
        caller.microphone.say(random.choice(rowdy.clips).pcm)
        for _ in range(random.randint(20, 120)):
            await caller.send("session.update", session=random.choice(UPDATES))
            await asyncio.sleep(random.uniform(0.0, 0.05))
        await acknowledged(rowdy, caller, "storm of settings")


async def hold_the_line(rowdy: Rowdy, random: Random) -> None:
    """Call and say nothing; then hang up politely, or not."""
    async with call(rowdy.url, session=session_with(), key=rowdy.key) as caller:
        await asyncio.sleep(random.uniform(0.0, 6.0))
        if random.random() < 0.5:
            caller.vanish()


KINDS: dict[str, Callable[[Rowdy, Random], Awaitable[None]]] = {
    "interrupt": interrupt,
    "vanish": vanish,
    "fall silent": fall_silent,
    "read slowly": read_slowly,
    "flood": flood,
    "garbage": send_garbage,
    "keys": try_keys,
    "upload": upload,
    "push-to-talk": push_to_talk,
    "storm": storm,
    "hold the line": hold_the_line,
}


async def acknowledged(rowdy: Rowdy, caller: Caller, what: str) -> None:
    """All that was sent so far was read: a question that only now is asked is answered."""
    await caller.send("session.update", event_id="last", session={"instructions": "last"})
    updated = rowdy.owes(
        f"{what}: an answer to what came after it",
        await first_of(caller, 0, "session.updated", instructions="last"),
    )
    rowdy.answers[f"{what}: {'answered' if updated else 'no answer'}"] += 1


async def first_of(caller: Caller, after: int, *types: str, instructions: str = "") -> object:
    """The first event of these types; where `instructions` are given, of a session with them."""

    def look() -> object:
        for stamped in caller.record.since(after, *types):
            if not instructions or stamped.event["session"]["instructions"] == instructions:
                return stamped
        return None

    return await caller.record.news.until(look, ANSWERED_WITHIN_S)


def as_json(rowdy: Rowdy) -> dict[str, Any]:
    """The counts, for the JSON line."""
    told = {"made": rowdy.made, "answers": rowdy.answers, "owed": rowdy.owed}
    return json.loads(json.dumps({**told, "broken": rowdy.broken}))
