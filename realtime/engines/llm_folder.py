"""The private folder of llama.cpp's socket, and those that killed servers have left.

A process that is killed takes nothing away. The next start on this machine removes each folder in
whose socket nobody listens; one in which somebody does is another server's, or a child's that has
not ended yet.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

log = logging.getLogger("banter.llm")

PREFIX = "banter-llm-"
SOCKET = "llm.sock"
YOUNG_S = 60.0
"""A folder without a socket is left alone for so long: its server may be on its way."""


def make_folder() -> Path:
    """A new one, which only this user can enter."""
    sweep(Path(tempfile.gettempdir()), time.time())
    return Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 0700


def sweep(where: Path, now: float) -> list[Path]:
    """Remove what is left over; what was removed."""
    swept = []
    for folder in where.glob(f"{PREFIX}*"):
        try:
            about = folder.lstat()
            ours = folder.is_dir() and not folder.is_symlink() and about.st_uid == os.getuid()
            if ours and _is_dead(folder / SOCKET, now - about.st_mtime):
                shutil.rmtree(folder)
                swept.append(folder)
        except OSError as error:  # somebody else's hands are on it
            log.debug("%s is left where it is: %s", folder, error)
    if swept:
        log.info("removed what killed servers left: %s", ", ".join(map(str, swept)))
    return swept


def _is_dead(path: Path, age_s: float) -> bool:
    """Whether nobody listens there, or will."""
    if not path.exists():
        return age_s > YOUNG_S
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False
