"""Which disk a folder lies on, and whether that lasts: read from Linux's table of mounts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
MEMORY = frozenset({"tmpfs", "ramfs"})
LAYERS = frozenset({"overlay", "aufs", "fuse-overlayfs", "fuse.fuse-overlayfs"})
ANONYMOUS = re.compile(r"/volumes/[0-9a-f]{64}(/|$)")
"""Docker and Podman name a volume that nobody has named by a hash."""


@dataclass(frozen=True)
class Mount:
    """A line of the table."""

    point: str
    kind: str
    """Of the file system: `ext4`, `overlay`."""
    root: str
    """The folder of that file system which is mounted."""

    @property
    def is_memory(self) -> bool:
        return self.kind in MEMORY

    @property
    def is_layer(self) -> bool:
        """The upper layer of a container's image."""
        return self.kind in LAYERS

    @property
    def is_anonymous(self) -> bool:
        return ANONYMOUS.search(self.root) is not None


def parse(table: str) -> list[Mount]:
    """`id parent device root point options [tags] - kind source options`; a later line covers an
    earlier one. Lines that are none are left out."""
    mounts = []
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        words, kind = left.split(), right.split(maxsplit=1)
        if len(words) >= 5 and kind:
            mounts.append(Mount(_plain(words[4]), kind[0], _plain(words[3])))
    return mounts


def _plain(text: str) -> str:
    """Blanks and the like are written as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def holding(folder: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that a folder (without links in its path) lies on."""
    around = [mount for mount in mounts if folder.is_relative_to(mount.point)]
    longest = max((len(mount.point) for mount in around), default=0)
    return next((m for m in reversed(around) if len(m.point) == longest), None)


def mount_of(folder: Path) -> Mount | None:
    """The same for a folder of this machine; None where there is no table."""
    try:
        table = TABLE.read_text()
    except OSError:
        return None
    return holding(folder.resolve(), parse(table))
