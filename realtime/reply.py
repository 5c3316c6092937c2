"""One reply being made: the language model writes, pieces are cut, the voice speaks them at once.

Two tasks and a short queue between them: while the model writes the second sentence, the first is
being spoken. Cancelling the reply closes the model's stream and the voice's; what was queued is
dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import aclosing

from realtime.audio import WIRE_RATE_HZ, ms_to_samples
from realtime.conversation import Message
from realtime.engines import Engines
from realtime.response import Response
from realtime.sentences import SentenceCutter
from realtime.speakable import speakable

PIECES_AHEAD = 4
"""Pieces written but not yet spoken; the model's stream waits beyond that."""

DELTA_SAMPLES = ms_to_samples(200, WIRE_RATE_HZ)
"""Audio in one delta: small enough that dropping the rest at an interruption is quick."""


async def make_reply(
    response: Response,
    prompt: list[Message],
    engines: Engines,
    *,
    spoken: bool,
    speed: float,
    max_tokens: int,
    owner: Hashable,
) -> bool:
    """Write and speak one reply into `response`; True if the length limit cut it.

    Raises:
        StageError: a stage failed; what was said until then has been sent.
    """
    pieces: asyncio.Queue[str | None] = asyncio.Queue(PIECES_AHEAD if spoken else 0)
    try:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(
                _write(response, prompt, engines, pieces, spoken, max_tokens, owner)
            )
            if spoken:
                tasks.create_task(_speak(response, engines, pieces, speed, owner))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return writing.result()


async def _write(
    response: Response,
    prompt: list[Message],
    engines: Engines,
    pieces: asyncio.Queue[str | None],
    spoken: bool,
    max_tokens: int,
    owner: Hashable,
) -> bool:
    """The model's text into pieces; each is told to the client as it goes to the voice."""
    cutter = SentenceCutter()
    cut = said = False

    async def say(piece: str) -> None:
        nonlocal said
        if text := speakable(piece) if spoken else piece:
            response.say(f" {text}" if said else text)
            said = True
            await pieces.put(text)

    stream = engines.replier.reply(prompt, max_tokens=max_tokens, owner=owner)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            cut = cut or delta.cut
            for piece in cutter.push(delta.text):
                await say(piece)
    for piece in cutter.flush():
        # a sentence that the length limit broke off is worse than none, if something was said
        if not (cut and said and spoken):
            await say(piece)
    await pieces.put(None)
    return cut


async def _speak(
    response: Response,
    engines: Engines,
    pieces: asyncio.Queue[str | None],
    speed: float,
    owner: Hashable,
) -> None:
    """Pieces to audio, in order, sent as soon as it is made."""
    while (piece := await pieces.get()) is not None:
        stream = engines.voice.speak(piece, speed=speed, owner=owner)
        async with aclosing(stream) as chunks:
            async for audio in chunks:
                for start in range(0, len(audio), DELTA_SAMPLES):
                    await response.send(audio[start : start + DELTA_SAMPLES])
