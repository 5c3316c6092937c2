"""The server without words of a turn that goes on: to see whether these cost finals time."""

from __future__ import annotations

from realtime.__main__ import main
from realtime.engines.whisper import WhisperTranscriber


def never(recogniser: WhisperTranscriber) -> bool:
    """In the place of `spare`."""
    return False


if __name__ == "__main__":
    WhisperTranscriber.spare = property(never)  # type: ignore[method-assign,assignment]
    main()
