"""The engines, run alone with a clock beside: seconds and CPU seconds of runs by their weight.

Each function loads one engine, runs it, and gives the part of a file of service times that tells of
it. Nothing else should run meanwhile. An engine that rests between two runs is slower than one that
never does, since caches, clocks and the system's memory have turned to other things; so `in_server`
tells what runs take in a server with a few callers, and the figures are scaled to that.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.caller import call
from benchmarks.clips import SAMPLE_RATE_HZ, Clip, voiced_frames
from benchmarks.concurrency import level
from benchmarks.cpu import cpu_seconds
from benchmarks.planning.fitting import fitted, fitted_plane
from benchmarks.planning.service import Line
from benchmarks.recogniser import as_heard
from benchmarks.server import Server, room_for, started_server
from benchmarks.speech_shape import pieces
from realtime.audio import EAR_RATE_HZ
from realtime.recognition import TAIL_S

Facts = dict[str, Any]

BATCHES = (1, 2, 4, 8)
ROUNDS = 6
CALLERS = 3
FRAME = SAMPLE_RATE_HZ // 100
TYPICAL = 40.0, 3.5
"""Characters of a piece, and seconds of an utterance, partials included."""
SPEAK_S = 24
"""Of speech without a pause; a turn may last 28 s."""


class Clock:
    """Runs with their weights, and how wide they were."""

    def __init__(self) -> None:
        self.runs: list[tuple[float, float]] = []
        self._cpu_s = self._wall_s = 0.0

    def around(self, weight: float, work: Callable[[], object]) -> float:
        """Do some work; gives its seconds."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        work()
        return self._note(weight, wall_s, cpu_s)

    def _note(self, weight: float, wall_s: float, cpu_s: float) -> float:
        took_s = time.perf_counter() - wall_s
        self._cpu_s += time.process_time() - cpu_s
        self._wall_s += took_s
        self.runs.append((weight, took_s))
        return took_s

    @property
    def width(self) -> float:
        """CPU seconds a second."""
        return max(0.1, self._cpu_s / self._wall_s)

    def line(self, *, width: float | None = None) -> Facts:
        """What fits the runs."""
        return vars(fitted(self.runs, width=self.width if width is None else width))


def transcription(
    path: Path, clips: Sequence[Clip], windows_s: Sequence[float], *, device: str, threads: int
) -> Facts:
    """Whisper by batch and window, and its features by the seconds of an utterance."""
    from realtime.engines.features import LogMel
    from realtime.engines.whisper import MAX_WAITING_S
    from realtime.engines.whisper_model import WhisperModel, Window
    from realtime.fallback import Attempt
    from realtime.metrics import Metrics

    model, features = (
        WhisperModel(metrics=Metrics()),
        LogMel(max_waiting_s=MAX_WAITING_S, metrics=Metrics()),
    )
    model.load(path, threads=threads, device=device)
    features.load(model.extractor)
    heard = [as_heard(clip) for clip in clips]
    mel, computed = Clock(), [features.compute(audio) for audio in heard]
    for audio in heard[:16]:
        mel.around(
            len(audio) / EAR_RATE_HZ,
            lambda audio=audio: features.compute(audio),
        )
    clock, by_size, said = Clock(), [], []
    for window_s in windows_s:
        fitting = [
            (frames, len(audio) / EAR_RATE_HZ)
            for frames, audio in zip(computed, heard, strict=True)
            if len(audio) / EAR_RATE_HZ + TAIL_S <= window_s
        ]
        for size in BATCHES:
            took_s = []
            for n in range(ROUNDS + 1):
                chosen = [fitting[(n * size + k) % len(fitting)] for k in range(size)]
                batch = [
                    Window(frames, seconds, Attempt(window_s), "en") for frames, seconds in chosen
                ]
                if n:
                    took_s.append(clock.around(size * window_s, partial(model.run, batch)))
                    said.append(max(seconds for _, seconds in chosen))
                else:
                    model.run(batch)  # the first of a shape may be slower
            by_size.append({"window_s": window_s, "batch": size, "run_ms": _ms(took_s)})
    width = 1.0 if device == "cuda" else float(threads)  # its threads wait for each other
    runs = [(weight, long_s, s) for (weight, s), long_s in zip(clock.runs, said, strict=True)]
    line, said_s = fitted_plane(runs, width=width)
    return {
        "run": vars(line),
        "said_s": said_s,
        "features": mel.line(width=0.0 if device == "cuda" else None),
        "windows_s": [8.0, 15.0, 30.0],
        "measured": by_size,
    }


def embedded_voice(clips: Sequence[Clip]) -> Facts:
    """The embedded voice by characters of a piece."""
    from realtime.audio import VOICE_RATE_HZ
    from realtime.engines import Line
    from realtime.engines.embedded_voice import EmbeddedVoice
    from realtime.metrics import Metrics

    texts = [text for clip in clips for text in _texts(clip.transcript)][::4]

    async def measured() -> tuple[Clock, float]:
        voice, clock, audio_s = EmbeddedVoice(metrics=Metrics()), Clock(), 0.0
        voice.load()
        voice.warm()
        voice.start()
        for text in texts:
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            async for pcm in voice.speak(Line(text), owner="measuring"):
                audio_s += len(pcm) / VOICE_RATE_HZ
            clock._note(len(text), wall_s, cpu_s)
        await voice.close()
        return clock, audio_s

    clock, audio_s = asyncio.run(measured())
    s_per_char = round(audio_s / sum(len(text) for text in texts), 4)
    return {"kind": "pieces", "run": clock.line(), "s_per_char": s_per_char}


def end_of_turn(path: Path, clips: Sequence[Clip]) -> Facts:
    """The end-of-turn model by the number of pauses in a run."""
    from realtime.engines.end_of_turn import HEARD_SAMPLES, SmartTurn
    from realtime.metrics import Metrics

    judge, clock = SmartTurn(path, metrics=Metrics()), Clock()
    judge.load()
    judge.warm()
    heard = [as_heard(clip)[-HEARD_SAMPLES:] for clip in clips]
    for size in (1, 2, 3):
        for n in range(ROUNDS):
            batch = [heard[(n * size + k) % len(heard)] for k in range(size)]
            clock.around(size, partial(judge.run, batch))
    return clock.line()


async def front_end(clips: Sequence[Clip], *, callers: int = 12) -> Facts:
    """Cores that a caller takes of a server: while he is silent, and more while he speaks.

    A server is started whose engines have nothing to do meanwhile; its callers first say nothing
    and then speak without a pause.
    """
    voiced = [clip.pcm[: clip.pcm.size // FRAME * FRAME].reshape(-1, FRAME) for clip in clips]
    speech = np.concatenate(
        [
            frames[heard[: len(frames)]].ravel()
            for clip, frames in zip(clips, voiced, strict=True)
            for heard in [voiced_frames(clip.pcm)[: len(frames)]]
        ]
    )
    options = [*room_for(callers), "--speculation", "off", "--end-of-turn", "off"]
    async with started_server("echo", *options) as server, AsyncExitStack() as calls:
        sides = [
            await calls.enter_async_context(call(server.url, binary=True)) for _ in range(callers)
        ]
        await asyncio.sleep(3.0)
        silent = await _cores(server)
        for number, side in enumerate(sides):
            side.microphone.say(np.roll(speech, number * 50_000)[: SPEAK_S * SAMPLE_RATE_HZ])
        await asyncio.sleep(3.0)
        speaking = await _cores(server)
    return {
        "caller_cores": round(silent / callers, 4),
        "ear_cores": round(max(0.0, speaking - silent) / callers, 4),
    }


async def in_server(clips: Path, told: Facts) -> Facts:
    """What engines take in a server with a few callers, over what the lines of a file say of such
    runs: by stage, the median in ms and the factor."""
    args = argparse.Namespace(
        url=None,
        replier="echo",
        seconds=60.0,
        ramp_s=6.0,
        seed=7,
        encoding="binary",
        clips=clips,
        min_turns=3,
    )
    _, more = await level(args, CALLERS)
    series = more["window"]["status"]["series"]
    chars, seconds = TYPICAL
    heard = told["transcription"]
    line_s = {
        "end_of_turn": Line(**told["front_end"]["end_of_turn"]).at(1.0),
        "transcription": Line(**heard["run"]).at(heard["windows_s"][0]) + heard["said_s"] * seconds,
        "transcription.features": Line(**heard["features"]).at(seconds),
    }
    if "run" in told["voice"]:  # not Chatterbox's, which this server does not speak with
        line_s["voice"] = Line(**told["voice"]["run"]).at(chars)
    return {
        stage: {
            "run_ms": (ms := series[f"{stage}.run_ms"]["p50"]),
            "factor": round(ms / 1e3 / s, 2),
        }
        for stage, s in line_s.items()
    }


async def _cores(server: Server) -> float:
    """Of a server and its children, for a while."""
    begun_s, before = time.perf_counter(), cpu_seconds(server.pid) or 0.0
    await asyncio.sleep(SPEAK_S - 9.0)
    return ((cpu_seconds(server.pid) or 0.0) - before) / (time.perf_counter() - begun_s)


def _texts(words: str) -> list[str]:
    """A recording's words in the pieces of a reply, and whole."""
    lengths, at, texts = pieces(words), 0, []
    for length in lengths:
        texts.append(words[at : at + length].strip())
        at += length + 1
    return [text for text in [*texts, words[:250]] if text]


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _ms(seconds: Sequence[float]) -> list[float]:
    return [round(1e3 * each, 1) for each in seconds]
