"""What a turn costs this machine, measured at the start by one short turn through each engine.

The voice says a sentence of about five seconds, the ear listens to it, the recogniser transcribes
it, and the embedded language model writes a reply. Nobody else is there yet, so the process's CPU
time is the engine's. It takes half a second on two cores; on a slow machine the recogniser is asked
for one utterance only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import TypeVar

import numpy as np

from realtime.audio import EAR_RATE_HZ, VOICE_RATE_HZ, Int16
from realtime.capacity import CYCLE_S, FEWEST, Capacity, Cost, capacity_for
from realtime.ear import Ear
from realtime.engines import Line, Replier, SpeechDetector, Transcriber, Utterance, Voice
from realtime.engines.llm import EmbeddedReplier
from realtime.formats import Format, Resampler
from realtime.prompt import Message
from realtime.runtime import Runtime
from realtime.session_config import ServerVad
from realtime.threads import ThreadBudget, cores

log = logging.getLogger("banter.calibration")

SENTENCE = (
    "It was a bright cold day in April, and the clocks were striking thirteen "
    "as she crossed the empty square."
)
QUESTION = "Please tell me how clocks came to be on so many towers."
REPLY_TOKENS = 48
"""What a reply of the embedded language model costs, in tokens, with the history that is read ahead
of it: 12 callers who used 43 % of two cores cost that much a turn."""

WRITTEN_TOKENS = 16
"""So many are written to measure it."""

CHUNK_BYTES = VOICE_RATE_HZ // 50 * 2
"""20 ms, as a microphone sends it."""

AT_ONCE = 2
SLOW_S = 0.4
"""Where one utterance takes longer, the recogniser is not asked for `AT_ONCE` as well."""

OWNER = "calibration"

PAUSES = 2
"""In a turn, with its end, that the end-of-turn model is asked about at most."""

Result = TypeVar("Result")


async def calibrate(runtime: Runtime, instructions: str, budget: ThreadBudget) -> Capacity:
    """Measure, and tell how many sessions that makes; `FEWEST` where an engine fails at it."""
    begun_s = time.perf_counter()
    try:
        costs = await turn_costs(runtime, instructions, budget)
    except Exception:
        log.exception("the calibration failed; at most %d sessions are let in", FEWEST)
        return Capacity(FEWEST)
    capacity = capacity_for(costs, cores())
    log.info(
        "calibrated in %.2f s: at most %d sessions (--max-sessions) on %d cores; CPU of a turn: %s",
        time.perf_counter() - begun_s,
        capacity.sessions,
        cores(),
        ", ".join(f"{stage} {cost.cpu_s * 1e3:.0f} ms" for stage, cost in costs.items()),
    )
    return capacity


async def turn_costs(runtime: Runtime, instructions: str, budget: ThreadBudget) -> dict[str, Cost]:
    """The cost of one turn by stage; a language model that is elsewhere costs nothing here."""
    engines = runtime.engines
    voice_s, sound = await _cpu(_say(engines.voice))
    seconds = len(sound) / VOICE_RATE_HZ
    hearing_s, _ = await _cpu(_listen(engines.detector, sound))
    transcription_s = await _transcription_s(engines.transcriber, sound)
    costs = {
        "hearing": Cost(hearing_s / seconds * CYCLE_S),
        "transcription": Cost(transcription_s, budget.whisper),
        "voice": Cost(voice_s, budget.voice),
    }
    if model := engines.end_of_turn:
        pause_s, _ = await _cpu(model.complete(np.zeros(EAR_RATE_HZ, np.int16), owner=OWNER))
        costs["end_of_turn"] = Cost(PAUSES * pause_s)
    if isinstance(runtime.replier, EmbeddedReplier):
        costs["reply"] = Cost(await _reply_s(runtime.replier, instructions), budget.llm)
    return costs


async def _cpu(work: Awaitable[Result]) -> tuple[float, Result]:
    """The CPU seconds of doing something while nothing else is done here, and its result."""
    begun_s = time.process_time()
    result = await work
    return time.process_time() - begun_s, result


async def _say(voice: Voice) -> Int16:
    return np.concatenate([a async for a in voice.speak(Line(SENTENCE), owner=OWNER)])


async def _listen(detector: SpeechDetector, sound: Int16) -> None:
    """Speech is what costs an ear most; counted for the whole cycle, it pays for the socket too."""
    ear = Ear(detector, owner=OWNER)
    ear.configure(ServerVad(), Format("pcm", VOICE_RATE_HZ))
    data = sound.tobytes()
    for start in range(0, len(data), CHUNK_BYTES):
        await ear.hear(data[start : start + CHUNK_BYTES])


async def _transcription_s(transcriber: Transcriber, sound: Int16) -> float:
    """An utterance alone and, if that was quick, some at once: the mean of them all."""
    resampler = Resampler(VOICE_RATE_HZ, EAR_RATE_HZ)
    utterance = Utterance(np.concatenate((resampler.push(sound), resampler.flush())))

    async def transcribe(count: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for owner in range(count):
                tasks.create_task(transcriber.transcribe(utterance, owner=(OWNER, owner)))

    begun_s = time.perf_counter()
    alone_s, _ = await _cpu(transcribe(1))
    if time.perf_counter() - begun_s > SLOW_S:
        return alone_s
    together_s, _ = await _cpu(transcribe(AT_ONCE))
    return (alone_s + together_s) / (1 + AT_ONCE)


async def _reply_s(replier: Replier, instructions: str) -> float:
    """A typical reply, by the beginning of one."""

    async def write() -> int:
        prompt = [Message("system", instructions), Message("user", QUESTION)]
        deltas = replier.reply(prompt, max_tokens=WRITTEN_TOKENS, owner=OWNER)
        return len([delta async for delta in deltas])

    cpu_s, written = await _cpu(write())
    return cpu_s * REPLY_TOKENS / max(1, written)
