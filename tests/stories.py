"""Little languages in which the tests tell their stories: seconds of silence, seconds of speech."""

from __future__ import annotations

from collections.abc import Iterable

from realtime.turns import (
    SpeechStarted,
    SpeechStopped,
    TurnDetector,
    TurnEvent,
    TurnPaused,
    TurnResumed,
)

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
    """Starts and stops as ('start', seconds) and ('stop', seconds)."""
    return [event for event in score(events) if event[0] in ("start", "stop")]


def score(events: list[TurnEvent]) -> list[tuple[str, float]]:
    """All events by their first word, with pauses and what ends them, in seconds."""
    found = []
    for event in events:
        match event:
            case SpeechStarted(start):
                found.append(("start", seconds(start)))
            case TurnPaused(position):
                found.append(("pause", seconds(position)))
            case TurnResumed(position):
                found.append(("resume", seconds(position)))
            case SpeechStopped(end):
                found.append(("stop", seconds(end)))
    return found
