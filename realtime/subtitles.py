"""Segments to subtitles: SubRip and WebVTT. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from realtime.timing import Segment

_ARROW = re.compile("--+>")

LINE_CHARS = 42
"""Of a subtitle's line; longer text goes on two."""


def srt(segments: Iterable[Segment]) -> str:
    """SubRip: numbered, with a comma before the milliseconds. Empty for no segments."""
    cues = [
        f"{n}\n{_span(segment, ',')}\n{_lines(segment.text)}\n"
        for n, segment in enumerate(segments, 1)
    ]
    return "\n".join(cues)


def vtt(segments: Iterable[Segment]) -> str:
    """WebVTT; without segments its heading alone, which is a valid file."""
    cues = [f"{_span(segment, '.')}\n{_escaped(_lines(segment.text))}\n" for segment in segments]
    return "\n".join(["WEBVTT\n", *cues])


def stamp(seconds: float, mark: str) -> str:
    """`hh:mm:ss` and milliseconds after the mark; hours may pass 99."""
    ms = max(0, round(seconds * 1000))
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{mark}{ms % 1000:03}"


def _span(segment: Segment, mark: str) -> str:
    return f"{stamp(segment.start_s, mark)} --> {stamp(segment.end_s, mark)}"


def _lines(text: str) -> str:
    """Without an empty line, which would end the cue, or an arrow, which would begin a span."""
    said = _ARROW.sub("->", " ".join(text.split()))
    return "\n".join(textwrap.wrap(said, LINE_CHARS, break_long_words=False)) or said


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("->", "-&gt;")
