"""What the child process is told to fetch, as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootstrap.cache import Snapshot, snapshot_from_json
from bootstrap.plan import HubRepository, PlannedFile


@dataclass(frozen=True)
class Item:
    """One repository."""

    source: HubRepository
    known: Snapshot | None
    """What an earlier run found to be the files; None: ask the hub."""


@dataclass(frozen=True)
class Order:
    """All repositories that a volume lacks."""

    volume: Path
    items: tuple[Item, ...]
    reserve_bytes: int
    """To be left free on the disk."""
    attempts: int
    """Failures in a row, without one new byte, that end the run."""
    delay_s: float
    """Before the second attempt; doubled before each further one."""
    workers: int
    """Files at once."""

    def as_line(self) -> str:
        """Without a line break inside."""
        items = [
            {"source": asdict(item.source), "known": item.known.as_json() if item.known else None}
            for item in self.items
        ]
        return json.dumps({**self.__dict__, "volume": str(self.volume), "items": items}) + "\n"


def order_from_line(line: bytes) -> Order:
    """The other way."""
    read = json.loads(line)
    items = tuple(_item(item) for item in read.pop("items"))
    return Order(**{**read, "volume": Path(read["volume"]), "items": items})


def _item(read: dict[str, Any]) -> Item:
    source = read["source"]
    files = tuple(PlannedFile(**file) for file in source.pop("files"))
    patterns, required = tuple(source.pop("patterns")), tuple(source.pop("required"))
    repository = HubRepository(**source, files=files, patterns=patterns, required=required)
    return Item(repository, snapshot_from_json(read["known"]) if read["known"] else None)
