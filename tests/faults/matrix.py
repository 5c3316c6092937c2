"""The fault matrix: six stages, six faults, and what each caller sees of each.

`CELLS` is the only place where it is written down: `test_matrix.py` makes each of them happen on a
server with a neighbour who talks, and `python -m tests.faults.matrix` prints the table of
`docs/reliability.md`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults import socket_faults, speech_faults, word_faults
from tests.faults.ward import Ward

STAGES = {
    "speech_detection": "speech detection",
    "transcription": "Whisper",
    "end_of_turn": "end of turn",
    "reply": "language model",
    "voice": "voice",
    "socket": "socket",
}
FAULTS = {
    "slow": "slow",
    "stuck": "stuck",
    "raises": "raises",
    "dies": "its thread dies",
    "memory": "out of memory",
    "gone": "client gone in the middle",
}


@dataclass(frozen=True)
class Cell:
    """What the caller whom it hits sees, and how it is made to happen and looked at."""

    seen: str
    trouble: Callable[[Ward], Awaitable[None]]


CELLS: dict[tuple[str, str], Cell] = {
    (stage, fault): Cell(seen, trouble)
    for module in (speech_faults, word_faults, socket_faults)
    for (stage, fault), (seen, trouble) in module.CELLS.items()
}


def table() -> str:
    """As Markdown: a row for each stage, a column for each fault."""
    rows = [
        "| stage | " + " | ".join(FAULTS.values()) + " |",
        "| --- |" + " --- |" * len(FAULTS),
    ]
    for stage, name in STAGES.items():
        cells = (CELLS[stage, fault].seen for fault in FAULTS)
        rows.append(f"| **{name}** | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
