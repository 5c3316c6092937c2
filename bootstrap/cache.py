"""The hub's cache on a volume: where a repository's files lie there, and what is known of them.

    <volume>/models/huggingface/hub/models--<owner>--<name>/
        blobs/<hash>                   a file's bytes, under the hash that the hub gives it
        blobs/<hash>.incomplete        what has arrived of it so far
        snapshots/<commit>/<path>      a link to its blob
        refs/<branch>                  the commit that a branch was when it was resolved
        manifest-<key>.json            ours, written last: its presence says "whole"

This is the layout of huggingface_hub, so its own calls, and transformers', find the files there.
Nothing here imports it, downloads, or decides what is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootstrap import disk
from bootstrap.plan import HubRepository, PlannedFile, check_path, is_commit

MANIFEST_FORMAT = 1
GIT_HASH_DIGITS = 40


@dataclass(frozen=True)
class CachedFile:
    """One file of a snapshot."""

    path: str
    """In the repository."""
    blob: str
    """The hub's hash of it, and its name below `blobs`: SHA-256 of a large file, git's of a small
    one."""
    size_bytes: int
    sha256: str | None
    """None: not known before it has arrived."""

    def __post_init__(self) -> None:
        check_path(self.path)
        if len(self.blob) not in (GIT_HASH_DIGITS, 64) or set(self.blob) - set("0123456789abcdef"):
            raise ValueError(f"not a hash: {self.blob!r}")


@dataclass(frozen=True)
class Snapshot:
    """The files of a repository at one commit, as far as they are wanted."""

    commit: str
    files: tuple[CachedFile, ...]

    def __post_init__(self) -> None:
        if not is_commit(self.commit):
            raise ValueError(f"not a commit: {self.commit!r}")

    @property
    def planned(self) -> tuple[PlannedFile, ...]:
        """What the files must be. Only of a snapshot that has arrived."""
        return tuple(
            PlannedFile(file.path, file.size_bytes, file.sha256 or "") for file in self.files
        )

    def as_json(self) -> dict[str, Any]:
        """For a manifest, and for the child process."""
        return {"commit": self.commit, "files": [asdict(file) for file in self.files]}


def snapshot_from_json(read: dict[str, Any]) -> Snapshot:
    """The other way.

    Raises:
        ValueError, KeyError, TypeError: that is not one.
    """
    return Snapshot(read["commit"], tuple(CachedFile(**file) for file in read["files"]))


def blob_path(repository: Path, file: CachedFile) -> Path:
    """Where a file's bytes lie, below a repository's folder."""
    return repository / "blobs" / file.blob


def partial_path(repository: Path, file: CachedFile) -> Path:
    """Where they lie until they are all there and verified."""
    return repository / "blobs" / f"{file.blob}.incomplete"


def snapshot_folder(repository: Path, commit: str) -> Path:
    """The folder that an engine is given."""
    return repository / "snapshots" / commit


def link(repository: Path, commit: str, file: CachedFile) -> None:
    """Show a verified blob under its name in the snapshot, replacing what is there."""
    target = snapshot_folder(repository, commit) / file.path
    blob = blob_path(repository, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(target.name + ".draft")
    disk.remove(draft)
    try:
        os.symlink(os.path.relpath(blob, target.parent), draft)
    except OSError:  # a system or a file system without symbolic links
        os.link(blob, draft)
    if target.is_dir() and not target.is_symlink():
        disk.remove(target)
    os.replace(draft, target)
    disk.sync_folder(target.parent)


def write_ref(repository: Path, source: HubRepository, commit: str) -> None:
    """Note the commit of a branch, so that the hub's libraries find it without asking."""
    if not source.is_pinned:
        path = repository / "refs" / source.revision
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.write_atomically(path, commit)


def set_aside(repository: Path, commit: str, file: CachedFile, aside: Path) -> None:
    """Move a damaged file out of the way, over an earlier one."""
    shown = snapshot_folder(repository, commit) / file.path
    for path in (shown, blob_path(repository, file)):
        if path.is_symlink():
            path.unlink()
        elif os.path.lexists(path):
            aside.mkdir(parents=True, exist_ok=True)
            disk.remove(aside / file.blob)
            os.rename(path, aside / file.blob)


def manifest_path(repository: Path, source: HubRepository) -> Path:
    """Plans that want different files of one repository have a manifest each."""
    key = json.dumps([source.revision, source.wanted, source.required])
    return repository / f"manifest-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def mark(repository: Path, source: HubRepository, snapshot: Snapshot) -> None:
    """Say that a snapshot is whole. The last write of a download."""
    text = json.dumps({**_head(source), **snapshot.as_json()}, indent=2) + "\n"
    disk.write_atomically(manifest_path(repository, source), text)


def read_manifest(repository: Path, source: HubRepository) -> Snapshot | None:
    """The snapshot that was marked as whole for just this plan, or None."""
    try:
        read = json.loads(manifest_path(repository, source).read_bytes())
        snapshot = snapshot_from_json(read)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = all(file.sha256 for file in snapshot.files)
    same = all(read.get(key) == value for key, value in _head(source).items())
    if not (known and same and _fits(source, snapshot.planned)):
        return None
    return snapshot


def _head(source: HubRepository) -> dict[str, Any]:
    """What a manifest says of the plan that it was written for."""
    return {
        "format": MANIFEST_FORMAT,
        "repository": source.repository,
        "revision": source.revision,
        "patterns": list(source.wanted),
    }


def _fits(source: HubRepository, files: Iterable[PlannedFile]) -> bool:
    """Whether files are those of the plan, where it says which."""
    return not source.files or set(files) == set(source.files)
