"""A whole recording through the recogniser: one window after the other, behind live callers.

A window goes when the one before it has been heard, and by the rank `FILE`, so that a file of an
hour takes no more of the recogniser at a time than one utterance, and that when no caller waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Hashable
from dataclasses import replace

from realtime.audio import EAR_RATE_HZ, Int16
from realtime.batching import FILE
from realtime.engines import Transcriber, Transcript, Utterance
from realtime.windowing import WindowCutter


async def hear_recording(
    blocks: AsyncIterable[Int16], transcriber: Transcriber, asked: Utterance, *, owner: Hashable
) -> AsyncGenerator[Transcript, None]:
    """The transcript of each window, with its passages where they are in the recording.

    `asked` is an utterance without audio that says how to hear it. A language that was found out in
    a window with words holds for all that follow.

    Raises:
        StageError: the recogniser failed.
        Exception: what `blocks` raises.
    """
    cutter, samples, language = WindowCutter(transcriber.reach.longest_s), 0, asked.language

    async def hear(window: Int16) -> Transcript:
        nonlocal samples, language
        utterance = replace(asked, audio=window, rank=FILE, language=language)
        heard = await transcriber.transcribe(utterance, owner=owner)
        if heard.text:
            language = language or heard.language
        start_s, samples = samples / EAR_RATE_HZ, samples + len(window)
        return replace(heard, passages=tuple(p.moved(start_s) for p in heard.passages))

    async for block in blocks:
        for window in cutter.push(block):
            yield await hear(window)
    for window in cutter.flush():
        yield await hear(window)
