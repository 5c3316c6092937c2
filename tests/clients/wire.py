"""What passed over the server's sockets, read back from the file that `serve.py` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUIET = (".delta", "input_audio_buffer.append")
"""Events of which a trace shows only the first of several in a row."""


@dataclass(frozen=True)
class Passed:
    """One event that passed."""

    socket: int
    sender: str
    event: dict[str, Any]
    size_bytes: int
    beta: bool

    @property
    def type(self) -> str:
        return str(self.event["type"])


class Wire:
    """The record from where it stood when this was made, or from its beginning."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._path = path
        self._start = 0 if whole else len(self._lines())

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    def opened(self) -> list[dict[str, Any]]:
        """The upgrades that were asked for: path, protocols, agent."""
        notes = [json.loads(line) for line in self._lines()[self._start :]]
        return [note["opened"] for note in notes if "opened" in note]

    def passed(self) -> list[Passed]:
        beta: dict[int, bool] = {}
        found = []
        for number, line in enumerate(self._lines()):
            note = json.loads(line)
            if "opened" in note:
                beta[note["socket"]] = note["opened"]["beta"]
            elif number >= self._start:
                found.append(
                    Passed(
                        note["socket"],
                        note["from"],
                        note["event"],
                        note.get("bytes", 0),
                        beta.get(note["socket"], False),
                    )
                )
        return found

    def sent(self, *types: str) -> list[dict[str, Any]]:
        """What the server said, of these types or all."""
        return self._events("server", types)

    def asked(self, *types: str) -> list[dict[str, Any]]:
        """What the client said, of these types or all."""
        return self._events("client", types)

    def _events(self, sender: str, types: tuple[str, ...]) -> list[dict[str, Any]]:
        passed = [p for p in self.passed() if p.sender == sender]
        return [p.event for p in passed if not types or p.type in types]

    def trace(self) -> str:
        """The order of events for a person to read, each cut short."""
        lines: list[str] = []
        last = ("", "")
        for p in self.passed():
            if last == (p.sender, p.type) and p.type.endswith(QUIET):
                continue
            last = p.sender, p.type
            fields = {k: v for k, v in p.event.items() if k not in ("type", "event_id")}
            lines.append(f"{p.socket} {p.sender[0].upper()} {p.type} {json.dumps(fields)[:300]}")
        return "\n".join(lines)
