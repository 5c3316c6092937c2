"""The file with the keys: read at the start, and again when the process is told to."""

from __future__ import annotations

import logging
import stat
import sys
from collections.abc import Collection
from pathlib import Path

from realtime.errors import SettingsError
from realtime.keyring import Key, distinct, keys_of, parse_file

log = logging.getLogger("banter.keys")

MAX_BYTES = 1024 * 1024


def read_keys(path: Path | None, values: Collection[str]) -> tuple[Key, ...]:
    """The keys of the file, if there is one, and those that are set without it.

    Raises:
        SettingsError: the file cannot be read or used; names it, and the key and field at fault.
    """
    if path is None:
        return keys_of(values)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise ValueError(f"it is no file of at most {MAX_BYTES} bytes")
        keys = distinct([*keys_of(values), *parse_file(path.read_text(encoding="utf-8"))])
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"--keys-file (BANTER_KEYS_FILE): {path}: {told}") from None
    if sys.platform != "win32" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s can be read by other users of this machine: chmod 600 it", path)
    return keys
