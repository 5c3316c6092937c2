"""Which files a repository has at a revision, by the hub's word, held against the plan's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from huggingface_hub import HfApi, constants

from bootstrap.cache import CachedFile, Snapshot
from bootstrap.errors import BootstrapError
from bootstrap.plan import HubRepository


def list_snapshot(source: HubRepository) -> Snapshot:
    """Ask the hub: one request. A branch is resolved to the commit that it is now.

    Raises:
        BootstrapError: the repository lacks what is needed, or has something else in its place.
        HfHubHTTPError: the hub refuses.
    """
    info = HfApi().model_info(
        source.repository,
        revision=source.revision,
        files_metadata=True,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )
    if source.is_pinned and info.sha != source.revision:
        raise _refuse(source, f"the hub answers with commit {info.sha}")
    listed = {entry.rfilename: entry for entry in info.siblings or ()}
    wanted = [path for path in sorted(listed) if _matches(path, source.wanted)]
    try:
        files = tuple(_file(listed[path]) for path in wanted)
        _check_required(source, files)
        return Snapshot(info.sha or "", _as_planned(source, files))
    except ValueError as error:
        raise _refuse(source, f"the hub's listing makes no sense ({error})") from None


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _file(entry: Any) -> CachedFile:
    """A file of the listing; large ones are known by SHA-256, small ones by git's hash.

    Raises:
        ValueError: it is not complete, or its path leads out of the repository.
    """
    size_bytes = entry.size if entry.lfs is None else entry.lfs.size
    if size_bytes is None or entry.blob_id is None:
        raise ValueError(f"{entry.rfilename} without size or hash")
    sha256 = None if entry.lfs is None else entry.lfs.sha256
    return CachedFile(entry.rfilename, sha256 or entry.blob_id, size_bytes, sha256)


def _check_required(source: HubRepository, files: tuple[CachedFile, ...]) -> None:
    """Refuse a repository of another kind before anything of it is fetched."""
    for pattern in source.required:
        if not any(_matches(file.path, [pattern]) for file in files):
            raise BootstrapError(
                f"{source.title} has no {pattern}",
                "Name a repository that holds a model of the right kind",
            )


def _as_planned(source: HubRepository, files: tuple[CachedFile, ...]) -> tuple[CachedFile, ...]:
    """The files with the plan's SHA-256, where it pins them; refuses what would not pass later."""
    if not source.files:
        return files
    by_path = {file.path: file for file in files}
    for planned in source.files:
        listed = by_path.get(planned.path)
        if listed is None:
            raise _refuse(source, f"the hub lists no {planned.path}")
        if listed.size_bytes != planned.size_bytes:
            sizes = f"{listed.size_bytes} bytes instead of {planned.size_bytes}"
            raise _refuse(source, f"the hub lists {planned.path} with {sizes}")
        if listed.sha256 not in (None, planned.sha256):
            raise _refuse(source, f"the hub lists {planned.path} with another SHA-256")
        by_path[planned.path] = replace(listed, sha256=planned.sha256)
    return tuple(by_path.values())


def _refuse(source: HubRepository, cause: str) -> BootstrapError:
    return BootstrapError(
        f"Refusing {source.title}: {cause}",
        "Nothing was fetched; see whether HF_ENDPOINT is the hub, update Banter, or report this",
    )
