"""What the ear loses: turns in noise, quiet, clipped, shifted, from a telephone or across a room.

    python -m benchmarks.recall --clips DIR --voices cafe crowd restaurant

Offline, through the ear's own code and the real speech detector, faster than real time. Each clip
of speech is one turn, with background before and after it. A turn is found when the ear's turns
hold nine tenths of its voiced frames; it is ended when the last of them stops within
`ENDS_WITHIN_S` of its last voiced sample, as it must for anybody to be answered. With `--words` the
recogniser hears what the ear cut out. Noise is taken from clips of kind `noise` that `--voices`
does not name, in a seeded order; babble is made of four other clips of speech.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soxr

from benchmarks.clips import (
    EAR_RATE_HZ,
    SAMPLE_RATE_HZ,
    Clip,
    Samples,
    add_clips_option,
    load_clips,
    names_voices,
    to_float,
    to_pcm,
    voiced_frames,
)
from benchmarks.recogniser import model_path, recogniser
from benchmarks.report import emit, machine, spread, table
from benchmarks.words import WordErrors, summed, word_errors

LEAD_S, AFTER_S = 1.5, 2.5
ENDS_WITHIN_S = 1.5
FOUND_SHARE = 0.9
ROOM_DBFS = -65.0
MUSIC = ("music", "guitar")
BABBLE_VOICES = 4
FRAME = SAMPLE_RATE_HZ // 100


@dataclass(frozen=True)
class Condition:
    """What is done to a clip, in this order; decibels of noise are below the voiced frames."""

    level_dbfs: float | None = None
    """Of the voiced frames; the room's own hiss is not moved with them."""
    noise_db: float | None = None
    music_db: float | None = None
    babble_db: float | None = None
    far: bool = False
    gain_db: float = 0.0
    offset: float = 0.0
    telephone: bool = False


CONDITIONS = {
    "as recorded": Condition(),
    **{f"noise {db} dB": Condition(noise_db=db) for db in (20, 10, 5, 0)},
    **{f"music {db} dB": Condition(music_db=db) for db in (20, 10, 5)},
    **{f"babble {db} dB": Condition(babble_db=db) for db in (20, 10, 5)},
    **{f"at {db} dBFS": Condition(level_dbfs=db) for db in (-35, -45, -55, -60)},
    "at -45 dBFS, noise 10 dB": Condition(level_dbfs=-45, noise_db=10),
    "clipped by 20 dB": Condition(gain_db=20),
    "clipped by 30 dB": Condition(gain_db=30),
    "offset 0.05": Condition(offset=0.05),
    "offset 0.3": Condition(offset=0.3),
    "at -45 dBFS, offset 0.05": Condition(level_dbfs=-45, offset=0.05),
    "telephone": Condition(telephone=True),
    "telephone, noise 10 dB": Condition(noise_db=10, telephone=True),
    "across a room": Condition(level_dbfs=-40, far=True),
}


@dataclass(frozen=True)
class Scene:
    """A clip, and what can be mixed with it, as long as they are."""

    clip: Clip
    noise: Samples
    music: Samples
    babble: Samples
    voiced: Any
    """Frames of 10 ms of the clip that hold voice."""

    @property
    def level(self) -> float:
        """Mean power of the voiced frames."""
        frames = to_float(self.clip.pcm)[: len(self.voiced) * FRAME].reshape(-1, FRAME)
        chosen = frames[self.voiced[: len(frames)]]
        return float((chosen**2).mean()) if len(chosen) else 1e-9


@dataclass
class Heard:
    """What the ear made of one scene."""

    share: float
    """Of the voiced frames, that lie in a turn."""
    end_ms: float | None
    """From the last voiced sample to the end of the last turn; None where it did not end."""
    parts: int
    words: WordErrors | None = None

    @property
    def found(self) -> bool:
        return self.share >= FOUND_SHARE

    @property
    def ended(self) -> bool:
        return self.end_ms is not None and self.end_ms <= 1e3 * ENDS_WITHIN_S


def scenes(speech: Sequence[Clip], noises: Sequence[Clip], seed: int) -> list[Scene]:
    """Every clip with its own seeded background; music is what the clips' names call so."""
    random, made = Random(seed), []
    music = [n for n in noises if any(word in n.name for word in MUSIC)] or list(noises)
    plain = [n for n in noises if n not in music] or list(noises)
    for clip in speech:
        others = random.sample([c for c in speech if c is not clip], BABBLE_VOICES)
        longest = clip.pcm.size + int((LEAD_S + AFTER_S) * SAMPLE_RATE_HZ)
        voices = [to_float(c.pcm) / np.sqrt((to_float(c.pcm) ** 2).mean()) for c in others]
        made.append(
            Scene(
                clip,
                *(np.resize(to_float(random.choice(few).pcm), longest) for few in (plain, music)),
                np.sum([np.resize(voice, longest) for voice in voices], 0, dtype=np.float32),
                voiced_frames(clip.pcm),
            )
        )
    return made


def sound_of(scene: Scene, condition: Condition) -> Samples:
    """Room, clip, room, and what is done to them; 24 kHz."""
    gain = 1.0
    if condition.level_dbfs is not None:
        gain = 10 ** (condition.level_dbfs / 20) / np.sqrt(scene.level)
    sound = gain * np.pad(
        to_float(scene.clip.pcm),
        (int(LEAD_S * SAMPLE_RATE_HZ), int(AFTER_S * SAMPLE_RATE_HZ)),
    )
    if condition.far:
        sound = _far(sound)
    for other, db in (
        (scene.noise, condition.noise_db),
        (scene.music, condition.music_db),
        (scene.babble, condition.babble_db),
    ):
        if db is not None:
            power = float((other**2).mean()) + 1e-12
            sound = sound + other * np.sqrt(gain**2 * scene.level / power / 10 ** (db / 10))
    sound = sound + np.random.default_rng(5).normal(0, 10 ** (ROOM_DBFS / 20), len(sound))
    sound = np.clip(sound * 10 ** (condition.gain_db / 20), -1, 1) + condition.offset
    return np.asarray(np.clip(sound, -1, 1), np.float32)


def _far(sound: Samples) -> Samples:
    """Reverberation of half a second, as loud as what comes straight."""
    samples = SAMPLE_RATE_HZ // 2
    decay = np.random.default_rng(3).normal(0, 1, samples)
    decay *= 10 ** (-3 * np.arange(samples) / samples)
    decay /= np.sqrt((decay**2).sum())
    size = 1 << (len(sound) + samples).bit_length()
    tail = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(decay, size), size)[: len(sound)]
    return np.asarray((sound + tail) / np.sqrt(2), np.float32)


def on_the_wire(sound: Samples, condition: Condition) -> tuple[Any, bytes]:
    """The format that a caller declares, and what he sends: of a telephone 300 to 3,400 Hz."""
    from realtime.formats import Format

    if not condition.telephone:
        return Format(), to_pcm(sound).tobytes()
    narrow = np.asarray(soxr.resample(sound, SAMPLE_RATE_HZ, 8_000), np.float32)
    spectrum, hz = np.fft.rfft(narrow), np.fft.rfftfreq(len(narrow), 1 / 8_000)
    spectrum[(hz < 300) | (hz > 3_400)] = 0
    wire = Format("pcmu", 8_000)
    return wire, wire.encode(to_pcm(np.fft.irfft(spectrum, len(narrow)).astype(np.float32)))


async def listen(detector: Any, transcriber: Any, scene: Scene, condition: Condition) -> Heard:
    """One scene through an ear of its own; the recogniser hears the turns, if there is one."""
    from realtime.ear import Ear
    from realtime.engines import Utterance
    from realtime.session_config import ServerVad
    from realtime.turns import SpeechStarted, SpeechStopped

    wire, data = on_the_wire(sound_of(scene, condition), condition)
    ear = Ear(detector, owner=scene.clip.name)
    ear.configure(ServerVad(), wire)
    chunk = wire.rate_hz // 50 * wire.sample_bytes
    turns, start, texts = [], 0, []
    for place in range(0, len(data), chunk):
        for event in await ear.hear(data[place : place + chunk]):
            if isinstance(event, SpeechStarted):
                start = event.start
            elif isinstance(event, SpeechStopped):
                turns.append((start, event.end))
                if transcriber is not None:
                    said = Utterance(ear.turn_audio(event, start), language="en")
                    texts.append((await transcriber.transcribe(said, owner="recall")).text)
    if ear.turns.in_turn:
        turns.append((start, ear.turns.position))
    heard = _judged(scene, turns, in_turn=ear.turns.in_turn)
    if transcriber is not None:
        heard.words = word_errors(scene.clip.transcript, " ".join(texts))
    return heard


def _judged(scene: Scene, turns: Sequence[tuple[int, int]], *, in_turn: bool) -> Heard:
    begin_s = np.flatnonzero(scene.voiced) / 100 + LEAD_S
    spans = [(start / EAR_RATE_HZ, end / EAR_RATE_HZ) for start, end in turns]
    inside = [any(a <= s < b for a, b in spans) for s in begin_s]
    last_s = LEAD_S + scene.clip.last_voiced_sample / SAMPLE_RATE_HZ
    ended = not in_turn and bool(spans)
    return Heard(
        sum(inside) / max(1, len(inside)),
        1e3 * (spans[-1][1] - last_s) if ended else None,
        len(spans),
    )


def facts_of(heard: Sequence[Heard]) -> dict[str, Any]:
    """Of one condition."""
    words = [h.words for h in heard if h.words is not None]
    errors = summed(words) if words else None
    return {
        "turns": len(heard),
        "found_percent": round(100 * sum(h.found for h in heard) / len(heard), 1),
        "begun_percent": round(100 * sum(h.share > 0 for h in heard) / len(heard), 1),
        "share_percent": round(100 * sum(h.share for h in heard) / len(heard), 1),
        "ended_percent": round(100 * sum(h.ended for h in heard) / len(heard), 1),
        "end_ms": spread([h.end_ms for h in heard]),
        "parts": round(sum(h.parts for h in heard) / len(heard), 2),
        "wer_percent": round(100 * (errors.rate or 0.0), 1) if errors else None,
    }


HEADINGS = ["", "found %", "begun %", "voice %", "ended %", "end p50", "p95", "parts", "WER %"]


async def run(args: argparse.Namespace) -> dict[str, object]:
    """All conditions, or those named; the table, and the JSON line."""
    from realtime.engines.speech_detector import SileroDetector
    from realtime.metrics import Metrics

    about, speech = machine(), load_clips(args.clips)[: args.count]
    noises = [n for n in load_clips(args.clips, "noise") if not names_voices(n, args.voices)]
    made = scenes(speech, noises, args.seed)
    chosen = {n: c for n, c in CONDITIONS.items() if not args.only or n in args.only}
    detector = SileroDetector(Metrics())
    await asyncio.to_thread(detector.load)
    detector.start()
    rows: dict[str, dict[str, Any]] = {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(detector.close)
        transcriber = None
        if args.words:
            heard = await stack.enter_async_context(recogniser(await model_path(), {}))
            transcriber = heard.transcriber
        for name, condition in chosen.items():
            found = [await listen(detector, transcriber, scene, condition) for scene in made]
            rows[name] = facts_of(found)
            missed = [s.clip.name for s, h in zip(made, found, strict=True) if not h.found]
            rows[name]["not_found"] = missed
    print(table(HEADINGS, [_row(name, facts) for name, facts in rows.items()]), end="\n\n")
    return {"benchmark": "recall", "machine": about, "conditions": rows}


def _row(name: str, facts: dict[str, Any]) -> list[Any]:
    shares = [facts[f"{k}_percent"] for k in ("found", "begun", "share", "ended")]
    end = facts["end_ms"]
    return [name, *shares, end["median"], end["p95"], facts["parts"], facts["wer_percent"]]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the ear loses.")
    add_clips_option(parser)
    parser.add_argument("--voices", nargs="*", default=[], metavar="NAME", help="not used as noise")
    parser.add_argument("--only", nargs="*", default=[], metavar="CONDITION")
    parser.add_argument("--count", type=int, default=None, help="clips of speech, from the first")
    parser.add_argument("--words", action="store_true", help="count the wrong words too")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
