"""Folders that killed servers left: removed where nobody listens any more."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from realtime.engines.llm_folder import SOCKET, YOUNG_S, make_folder, sweep


def folder(where: Path, name: str, *, listening: bool | None) -> tuple[Path, socket.socket | None]:
    """With the socket of a server that listens, or of one that is gone, or with none."""
    made = where / f"banter-llm-{name}"
    made.mkdir()
    if listening is None:
        return made, None
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(made / SOCKET))
    if listening:
        bound.listen()
        return made, bound
    bound.close()
    return made, None


def test_what_a_killed_server_left_is_removed_and_nothing_else(tmp_path):
    dead, _ = folder(tmp_path, "dead", listening=False)
    live, server = folder(tmp_path, "live", listening=True)
    young, _ = folder(tmp_path, "young", listening=None)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "banter-llm-link").symlink_to(elsewhere)
    now = young.stat().st_mtime
    assert sweep(tmp_path, now + 1) == [dead]
    assert live.is_dir()
    assert young.is_dir()
    assert sweep(tmp_path, now + YOUNG_S + 1) == [young]
    assert live.is_dir()
    assert elsewhere.is_dir()
    assert server
    server.close()


def test_a_new_one_is_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make_folder()
    assert made.parent == tmp_path
    assert os.stat(made).st_mode & 0o777 == 0o700
