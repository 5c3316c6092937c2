"""Turns in two parts: a recording, cut between two words, with a pause of room tone in the cut.

A cut in mid-clause lies between two words with no mark between them, where it is quietest around
the place that Whisper's alignment gives. Room tone is noise with the spectrum of the recording's
own quietest stretch, so a pause sounds like the room and holds nothing that was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from faster_whisper import WhisperModel

from benchmarks.clips import EAR_RATE_HZ, Clip, Samples, frame_levels_db, to_ear

AFTER_S = 2.5
"""Room tone after every turn."""
PAUSE_S = (0.3, 1.0)
CUTS_A_CLIP = 3
"""In mid-clause; of sentence ends all are taken."""
WORDS_BEFORE, WORDS_AFTER = 2, 1
EARLIER_MS, LATER_MS = 80, 20
"""A cut may be moved by this to where it is quieter. Whisper's alignment tends to be late: cuts in
the middle of 60 ms to both sides had the beginning of the next word before them."""
FADE_SAMPLES = EAR_RATE_HZ // 100
QUIET_FRAMES = 12
"""10 ms frames of the stretch that room tone is made of."""

Cut = tuple[int, str]
"""A place between two words, and the word before it."""

MID_CLAUSE, SENTENCE_END, WHOLE = "mid-clause", "sentence end", "whole"


@dataclass(frozen=True)
class Joined:
    """A turn at 16 kHz, with a pause in it or none, and room tone after it."""

    clip: str
    name: str
    """The clip's, `#` and which of its turns it is."""
    before: str
    """The word before the pause."""
    kind: str
    audio: Samples
    pause: tuple[int, int] | None
    """Where room tone was put in."""
    last_voiced: int


def joined_turns(clips: Sequence[Clip], whisper: Path, seed: int = 7) -> list[Joined]:
    """Every clip whole, and with each of its cuts."""
    model = WhisperModel(str(whisper), device="cpu", compute_type="int8")
    random = Random(seed)
    return [turn for clip in clips for turn in _turns(clip, model, random)]


def _turns(clip: Clip, model: WhisperModel, random: Random) -> list[Joined]:
    heard = to_ear(clip.pcm)
    last = clip.last_voiced_sample * EAR_RATE_HZ // 24_000
    heard = heard[: last + EAR_RATE_HZ // 4]
    tone = RoomTone(heard, random.getrandbits(32))
    mid, ends = cuts(heard, model)
    mid = sorted(random.sample(mid, min(CUTS_A_CLIP, len(mid))))
    after = tone.of(int(AFTER_S * EAR_RATE_HZ))
    made = [Joined(clip.name, f"{clip.name}#0", "", WHOLE, _joined(heard, after), None, last)]
    for kind, places in ((MID_CLAUSE, mid), (SENTENCE_END, ends)):
        for place, before in places:
            pause = tone.of(int(random.uniform(*PAUSE_S) * EAR_RATE_HZ))
            audio = _joined(heard[:place], pause, heard[place:], after)
            span = (place, place + pause.size)
            name = f"{clip.name}#{len(made)}"
            made.append(Joined(clip.name, name, before, kind, audio, span, last + pause.size))
    return made


def cuts(heard: Samples, model: WhisperModel) -> tuple[list[Cut], list[Cut]]:
    """Places between words: without a mark before them, and after the end of a sentence."""
    segments, _ = model.transcribe(heard, language="en", beam_size=5, word_timestamps=True)
    words = [word for segment in segments for word in segment.words or ()]
    levels = frame_levels_db(heard)
    mid: list[Cut] = []
    ends: list[Cut] = []
    for n in range(WORDS_BEFORE - 1, len(words) - WORDS_AFTER):
        word = words[n].word.strip()
        place = _quietest(levels, words[n].end, words[n + 1].start)
        if word[-1:] in ".?!":
            ends.append((place, word))
        elif word[-1:].isalnum() and words[n + 1].word.strip()[:1].isalnum():
            mid.append((place, word))
    return mid, ends


def _quietest(levels: Samples, end_s: float, start_s: float) -> int:
    """The sample in the middle of the quietest 10 ms between two words."""
    first = max(0, int(end_s * 100) - EARLIER_MS // 10)
    last = min(levels.size, max(int(start_s * 100) + LATER_MS // 10, first + 1))
    frame = first + int(np.argmin(levels[first:last])) if first < last else levels.size - 1
    return frame * EAR_RATE_HZ // 100 + EAR_RATE_HZ // 200


class RoomTone:
    """Noise with the spectrum of the quietest stretch of a recording."""

    def __init__(self, heard: Samples, seed: int) -> None:
        levels = frame_levels_db(heard)
        mean = np.convolve(levels, np.ones(QUIET_FRAMES) / QUIET_FRAMES, "valid")
        start = int(np.argmin(mean)) * EAR_RATE_HZ // 100
        stretch = heard[start : start + QUIET_FRAMES * EAR_RATE_HZ // 100]
        self._spectrum = np.abs(np.fft.rfft(stretch * np.hanning(stretch.size)))
        self._rms = float(np.sqrt(np.mean(np.square(stretch))))
        self._noise = np.random.default_rng(seed)

    def of(self, samples: int) -> Samples:
        """So many samples at 16 kHz."""
        bins = samples // 2 + 1
        known = np.linspace(0, 1, self._spectrum.size)
        shape = np.interp(np.linspace(0, 1, bins), known, self._spectrum)
        phases = np.exp(2j * np.pi * self._noise.random(bins))
        tone = np.fft.irfft(shape * phases, samples)
        level = float(np.sqrt(np.mean(np.square(tone)))) or 1.0
        return np.asarray(tone * (self._rms / level), np.float32)


def _joined(*parts: Samples) -> Samples:
    """One after the other, each faded in and out for 10 ms so that no cut clicks."""
    ramp = np.linspace(0, 1, FADE_SAMPLES, dtype=np.float32)
    faded = []
    for part in parts:
        part = part.copy()
        if part.size >= 2 * FADE_SAMPLES:
            part[:FADE_SAMPLES] *= ramp
            part[-FADE_SAMPLES:] *= ramp[::-1]
        faded.append(part)
    return np.concatenate(faded)
