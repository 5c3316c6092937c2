"""A line of the report, and the report: as text for people, as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """`warning`: the server starts, and somebody will be disappointed. `error`: it does not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What one check saw. Whatever is not `ok` says what to do about it."""

    level: Level
    subject: str
    seen: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.OK and not self.remedy:
            raise ValueError(f"{self.subject}: {self.level} without a remedy")

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.subject:<16} {self.seen}"
        return f"{line}\n{'':25} remedy: {self.remedy}" if self.remedy else line


def ok(subject: str, seen: str) -> Finding:
    return Finding(Level.OK, subject, seen)


def warning(subject: str, seen: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, subject, seen, remedy)


def error(subject: str, seen: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, subject, seen, remedy)


def grave(needed: bool) -> Level:
    """How bad it is that something does not work which the profile needs, or does not."""
    return Level.ERROR if needed else Level.WARNING


@dataclass(frozen=True)
class Report:
    """All findings about one machine and one set of settings."""

    profile: str
    findings: Sequence[Finding]

    @property
    def exit_status(self) -> int:
        """0 where nothing stands in the way of a start, else 1."""
        return 1 if self._count(Level.ERROR) else 0

    def as_text(self) -> str:
        return "\n".join([*map(str, self.findings), "", self._summary()])

    def as_json(self) -> str:
        """One object; `ok` says the same as the exit status."""
        return json.dumps(
            {
                "ok": self.exit_status == 0,
                "profile": self.profile,
                "errors": self._count(Level.ERROR),
                "warnings": self._count(Level.WARNING),
                "findings": [asdict(finding) for finding in self.findings],
            },
            indent=2,
        )

    def _summary(self) -> str:
        errors, warnings = self._count(Level.ERROR), self._count(Level.WARNING)
        counts = f"{_number(errors, 'error')}, {_number(warnings, 'warning')}"
        if errors:
            return f"{counts}: the profile {self.profile} would not start here, or not work."
        return f"{counts}: nothing stands in the way of the profile {self.profile}."

    def _count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
