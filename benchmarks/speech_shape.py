"""Where recordings are voiced and where they pause, for callers who are simulated (`capacity.py`).

    python -m benchmarks.speech_shape --clips DIR --json benchmarks/service/speech.json

Pauses are told from 40 ms on, in the sense of `clips.py`. `pieces` and `chunks` are the parts, in
characters, into which the words of a recording would be cut if they were a reply that is spoken
while it is written, by the embedded voice and by Chatterbox.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import SAMPLE_RATE_HZ, Clip, add_clips_option, load_clips, voiced_frames
from benchmarks.report import emit, percentile, table
from realtime.sentences import SentenceCutter
from realtime.speakable import speakable

FRAME_S = 0.01
SHORTEST_PAUSE = 4
"""Frames."""
CUTS = {"pieces": {"first_phrase_words": 5}, "chunks": {"shortest_chars": 12}}
"""How a reply is cut, by the kind of voice: the embedded one, Chatterbox."""


def stretches(voiced: Any) -> list[list[float]]:
    """Frames that are voiced or not -> seconds of voice and of the pause after it, at last 0."""
    frames = np.flatnonzero(voiced)
    if not frames.size:
        return []
    gaps = np.flatnonzero(np.diff(frames) > SHORTEST_PAUSE)
    begins = [int(frames[0]), *(int(frames[n + 1]) for n in gaps)]
    ends = [*(int(frames[n]) + 1 for n in gaps), int(frames[-1]) + 1]
    pauses = [begin - end for begin, end in zip(begins[1:], ends, strict=False)]
    return [
        [round((end - begin) * FRAME_S, 2), round(pause * FRAME_S, 2)]
        for begin, end, pause in zip(begins, ends, [*pauses, 0], strict=True)
    ]


def pieces(words: str, voice: str = "pieces") -> list[int]:
    """Characters of each piece of a reply, as it is cut for this kind of voice."""
    cutter = SentenceCutter(**CUTS[voice])
    cut = [piece for word in words.split(" ") for piece in cutter.push(f"{word} ")]
    return [len(said) for piece in [*cut, *cutter.flush()] if (said := speakable(piece))]


def shape(clip: Clip) -> dict[str, Any]:
    """What a file of speech holds of one clip."""
    return {
        "name": clip.name,
        "seconds": round(clip.seconds, 2),
        "lead_s": round(clip.first_voiced_sample / SAMPLE_RATE_HZ, 2),
        "stretches": stretches(voiced_frames(clip.pcm)),
        **{voice: pieces(clip.transcript, voice) for voice in CUTS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Voice and pauses of recordings.")
    add_clips_option(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    clips = [shape(clip) for clip in load_clips(args.clips)]
    clips = [clip for clip in clips if clip["stretches"] and clip["pieces"]]
    pauses = [pause for clip in clips for _, pause in clip["stretches"] if pause >= 0.06]
    rows = [
        [name, len(values), *(percentile(values, p) for p in (5, 50, 95))]
        for name, values in {
            "seconds of a clip": [clip["seconds"] for clip in clips],
            "pauses in it": [sum(p >= 0.06 for _, p in clip["stretches"]) for clip in clips],
            "seconds of a pause": pauses,
            "characters of a first piece": [clip["pieces"][0] for clip in clips],
            "the same for Chatterbox": [clip["chunks"][0] for clip in clips],
            "characters of a reply": [sum(clip["pieces"]) for clip in clips],
        }.items()
    ]
    print(table(["", "n", "p5", "p50", "p95"], rows), end="\n\n")
    emit({"benchmark": "speech_shape", "clips": clips}, args.json)


if __name__ == "__main__":
    main()
