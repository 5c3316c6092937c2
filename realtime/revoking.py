"""Keys that are taken away while the server runs: what they opened is closed."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from aiohttp import WSCloseCode, web

from realtime.errors import SettingsError
from realtime.key_file import read_keys
from realtime.server import CALLERS, EPHEMERAL, KEY_GONE, KEYRING

log = logging.getLogger("banter.keys")


def reread(app: web.Application, path: Path | None, values: Collection[str]) -> bool:
    """Read the keys again; a file that cannot be used changes nothing, and False is returned.

    Requests that run are answered; sessions, and keys for a short time, end with the key.
    """
    try:
        keys = read_keys(path, values)
    except SettingsError as error:
        log.error("the keys stay as they were: %s", error)
        return False
    gone = app[KEYRING].replace(keys)
    app[EPHEMERAL].forget(gone)
    callers = app[CALLERS]
    ended = [socket for socket, owner in callers.owners.items() if owner in gone]
    for socket in ended:
        callers.close(socket, WSCloseCode.POLICY_VIOLATION, KEY_GONE)
    log.info("%d keys were read anew, %d sessions are closed", len(keys), len(ended))
    return True
