"""The secret that all nodes and front ends of a cluster share: Ray shows it in every call."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from realtime.errors import SettingsError

TOKEN_VARIABLE = "BANTER_CLUSTER_TOKEN"  # nosec B105


def token(volume: Path, *, make: bool) -> str:
    """Of the variable, or kept on the volume; empty where there is none and none is to be made."""
    if given := os.environ.get(TOKEN_VARIABLE, ""):
        return given
    path = volume / "cluster" / "token"
    if path.is_file():
        return path.read_text(encoding="ascii").strip()
    if not make:
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made)
    return made


def need_token(volume: Path, *, make: bool) -> str:
    """
    Raises:
        SettingsError: there is none, and none is to be made.
    """
    if found := token(volume, make=make):
        return found
    raise SettingsError(
        f"{TOKEN_VARIABLE}: the cluster's token is not set. It lies on the head's volume, in "
        "cluster/token"
    )


def token_variables(value: str) -> dict[str, str]:
    """By which Ray shows the token in every call, and asks for it; none for an empty one."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": value} if value else {}
