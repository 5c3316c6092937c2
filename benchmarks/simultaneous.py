"""Callers who all stop speaking at nearly the same moment, over real sockets at real pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.arrivals import Arrival
from benchmarks.caller import Caller, call
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, voiced_frames
from benchmarks.crowd import clips_of_length
from benchmarks.report import spread
from benchmarks.server import Server
from benchmarks.turn import Turn, between_ms, session_with, take_turn

STEADY_MS = 300
SETTLES_S = 1.0
FELT = "end of speech -> first audio"


def is_steady(clip: Clip) -> bool:
    """Whether no pause in a clip is long enough to be taken for its end."""
    gaps = np.diff(np.flatnonzero(voiced_frames(clip.pcm)))
    return bool(gaps.size) and int(gaps.max()) * 10 < STEADY_MS


def steady_clips(clips: list[Clip]) -> list[Clip]:
    """The clips of 3 to 6 s that are one utterance each."""
    steady = [clip for clip in clips_of_length(clips) if is_steady(clip)]
    if not steady:
        raise ValueError(f"every clip holds a pause of {STEADY_MS} ms")
    return steady


@dataclass(frozen=True)
class Burst:
    """One round: every caller's turn, and what the server counted meanwhile."""

    turns: list[Turn]
    encodes: int
    late_ms: float
    """The worst lateness of any caller's microphone."""

    def facts(self) -> dict[str, Any]:
        """For the table and the JSON line."""
        ended = [turn.end_of_speech_at for turn in self.turns]
        decided = [turn.decided_at for turn in self.turns if turn.decided_at is not None]
        stages = [turn.stages_ms for turn in self.turns if turn.outcome == "answered"]
        return {
            "encodes": self.encodes,
            "utterances": sum(len(turn.utterances) for turn in self.turns),
            "answered": len(stages),
            "ended_within_ms": between_ms(min(ended), max(ended)),
            "decided_within_ms": between_ms(min(decided), max(decided)) if decided else None,
            "transcript_ms": spread(each["decision -> transcript"] for each in stages),
            "felt_ms": spread(each[FELT] for each in stages),
            "late_ms": round(self.late_ms, 1),
            "outcomes": sorted({turn.outcome for turn in self.turns}),
            "each_transcript_ms": [each["decision -> transcript"] for each in stages],
        }


async def ends_at(caller: Caller, clip: Clip, at: float) -> Turn:
    """Say a clip so that its last voiced sample is sent at a given time, within a chunk's 20 ms."""
    begin_at = at - clip.last_voiced_sample / SAMPLE_RATE_HZ
    await asyncio.sleep(max(0.0, begin_at - time.perf_counter()))
    return await take_turn(caller, clip)


async def burst_of_callers(
    server: Server, trace: Sequence[Arrival], clips: Sequence[Clip]
) -> Burst:
    """One round: a caller for each arrival, whose speech ends at the arrival's time."""
    async with AsyncExitStack() as calls:
        callers = [
            await calls.enter_async_context(call(server.url, binary=True, session=session_with()))
            for _ in trace
        ]
        longest_s = max(clips[a.which].last_voiced_sample for a in trace) / SAMPLE_RATE_HZ
        before = await server.status()
        zero = time.perf_counter() + SETTLES_S + longest_s
        turns = await asyncio.gather(
            *(
                ends_at(caller, clips[arrival.which], zero + arrival.at_s)
                for caller, arrival in zip(callers, trace, strict=True)
            )
        )
        after = await server.status()
        late_ms = max(ms for caller in callers for ms in caller.microphone.late_ms)
    encodes = _encodes(after) - _encodes(before)
    return Burst(turns, encodes, late_ms)


def _encodes(status: dict[str, Any]) -> int:
    return int(status.get("counts", {}).get("transcription.encodes", 0))
