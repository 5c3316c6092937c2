"""Little languages in which the tests tell their stories: seconds of silence, seconds of speech."""

from __future__ import annotations

from collections.abc import Iterable

from realtime.turns import SpeechStarted, SpeechStopped, TurnDetector, TurnEvent

FRAME = 320
RATE = 16_000


def silence(seconds: float) -> list[bool]:
    return [False] * round(seconds * RATE / FRAME)


def speech(seconds: float) -> list[bool]:
    return [True] * round(seconds * RATE / FRAME)


def tell(detector: TurnDetector, *story: Iterable[bool]) -> list[TurnEvent]:
    """Push a story frame by frame; returns all events."""
    return [e for part in story for frame in part for e in detector.push(FRAME, frame)]


def seconds(samples: int) -> float:
    return round(samples / RATE, 3)


def outline(events: list[TurnEvent]) -> list[tuple[str, float]]:
    """Events as ('start', seconds) and ('stop', seconds)."""
    found = []
    for event in events:
        if isinstance(event, SpeechStarted):
            found.append(("start", seconds(event.start)))
        elif isinstance(event, SpeechStopped):
            found.append(("stop", seconds(event.end)))
    return found
