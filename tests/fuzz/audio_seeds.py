"""Stories for the audio's corpus: every command, every format, turns of several kinds."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.client import ear_audio

RAW, LOUD, SOFT, FORMAT, DETECTION, COMMIT, CLEAR, QUIET, VERDICT, GARBAGE = range(10)

TURN = bytes((LOUD, 50, SOFT, 60))

STORIES = {
    "turns": TURN * 3,
    "resumed": bytes((LOUD, 40, SOFT, 8, LOUD, 30, SOFT, 70)),
    "clicks": bytes((LOUD, 2, SOFT, 10, LOUD, 3, SOFT, 99)),
    "formats": b"".join(bytes((FORMAT, n)) + TURN for n in range(6)),
    "by_hand": bytes((DETECTION, 0)) + TURN + bytes((COMMIT, LOUD, 9, COMMIT, CLEAR, COMMIT)),
    "again": bytes((DETECTION, 0)) + TURN + bytes((DETECTION, 1)) + TURN,
    "detections": b"".join(bytes((DETECTION, n)) + TURN for n in range(1, 6)),
    "quiet": bytes((LOUD, 60, QUIET, LOUD, 20, QUIET)) + TURN,
    "cleared": bytes((LOUD, 60, CLEAR, LOUD, 60, COMMIT, SOFT, 50)),
    "verdicts": bytes((VERDICT, 255)) + TURN + bytes((VERDICT, 128)) + TURN + bytes((VERDICT, 0)),
    "garbage": bytes((GARBAGE, 12, 0x82, 0xFE, 1, 0, 1, 2, 3, 4, 9, 9, 9, 9)) + TURN,
}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Each story under several circumstances, and some of a real voice."""
    for name, story in STORIES.items():
        for flags in (0, 11, 0xFF):
            yield f"{name}_{flags}", bytes((flags,)) + story
    voice = ear_audio("jfk")[8_000:12_000].astype("<i2").tobytes()
    pieces = [voice[n : n + 1_000] for n in range(0, 4_000, 1_000)]
    told = b"".join(bytes((RAW, len(piece) // 4)) + piece for piece in pieces)
    yield "voice", struct.pack("BBB", 2, FORMAT, 1) + told + bytes((SOFT, 90))
