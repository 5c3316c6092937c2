"""How a line of the log is written: for people, or as one JSON object for programs.

Both know whose work it is about: `log_context`. A record's `fields`, where it has some, are keys of
the object as they are.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

from realtime.log_context import context

FORMATS = ("text", "json")

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Contextual(logging.Filter):
    """Notes on a record where it was written; to be set on a handler, which is called there."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = context()
        return True


class TextFormatter(logging.Formatter):
    """`2026-11-30 10:00:00,000 INFO banter.server: … [session sess_1, item item_1]`; what the
    message says itself is not repeated."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        known = getattr(record, "context", {})
        unsaid = [f"{name} {id_}" for name, id_ in known.items() if id_ not in record.message]
        return super().formatMessage(record) + (f" [{', '.join(unsaid)}]" if unsaid else "")


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`; `session`, `item`,
    `response` and `key` where they are known; `error` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "context", {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def start_logging(level: str, style: str) -> None:
    """Write to stderr from now on. `level` and `style` are values of the settings."""
    handler = logging.StreamHandler()
    handler.addFilter(Contextual())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
