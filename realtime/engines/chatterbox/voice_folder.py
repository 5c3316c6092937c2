"""One voice's folder on the volume: what lies in it, and how it comes and goes in one step.

    <volume>/voices/<name>/clip.flac                what it is made from; .wav, .ogg, .mp3 as well
    <volume>/voices/<name>/<variant>.safetensors    what a model hears in it
    <volume>/voices/<name>/voice.json               when it came, and the consent that came with it

It appears by renaming a finished folder, and goes by renaming it away: whoever looks at any moment
sees a whole voice or none. A clip alone is a voice, too; the rest is made from it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from realtime.engines import DEFAULT_VOICE, KnownVoice
from realtime.errors import BanterError, VoiceRefused

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CLIPS = tuple(f"clip.{kind}" for kind in ("flac", "wav", "ogg", "mp3"))
MAX_CLIP_BYTES = 20 * 2**20
ABOUT = "voice.json"
ABOUT_FIELDS = ("created_at", "seconds", "consent")
STALE_S = 3_600.0
"""After so long a hidden folder is what a server that was killed has left."""


def check_name(name: str) -> None:
    """
    Raises:
        VoiceRefused: no voice can be given this name.
    """
    if name == DEFAULT_VOICE:
        raise VoiceRefused(f"{name} is the model's own voice", code="voice_protected")
    if not NAME.fullmatch(name):
        raise VoiceRefused(
            "a voice's name has 1 to 64 small letters, digits, - and _, and begins with a letter "
            "or digit",
            code="invalid_name",
        )


def read_clip(folder: Path) -> bytes:
    """
    Raises:
        BanterError: there is none, or one that is far too large.
    """
    found = [folder / name for name in CLIPS if (folder / name).is_file()]
    if not found:
        raise BanterError(f"it has no clip: none of {', '.join(CLIPS)}")
    if found[0].stat().st_size > MAX_CLIP_BYTES:
        raise BanterError(f"{found[0].name} is larger than {MAX_CLIP_BYTES >> 20} MiB")
    return found[0].read_bytes()


def read_about(folder: Path) -> KnownVoice:
    """What is known of it; a folder that somebody has made by hand says nothing."""
    try:
        said = json.loads((folder / ABOUT).read_bytes())
        return KnownVoice(
            folder.name, int(said["created_at"]), float(said["seconds"]), str(said["consent"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return KnownVoice(folder.name)


def put(folder: Path, clip: bytes, about: KnownVoice, save: Callable[[Path], None]) -> None:
    """Write a new voice beside its place, and rename it there; `save` adds what a model heard.

    Raises:
        VoiceRefused: something is there already.
        OSError: it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = _hidden(folder)
    draft.mkdir()
    try:
        _write(draft / CLIPS[0], clip)
        save(draft)
        known = {name: getattr(about, name) for name in ABOUT_FIELDS}
        _write(draft / ABOUT, json.dumps(known, indent=2).encode())
        if os.path.lexists(folder):  # renaming would replace it where it is empty
            raise VoiceRefused(f"there is a voice {folder.name!r} already", code="voice_exists")
        _rename(draft, folder)
    except BaseException:
        delete(draft)
        raise


def _rename(draft: Path, folder: Path) -> None:
    """Another server on this volume may have been quicker."""
    try:
        os.rename(draft, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise VoiceRefused(
                f"there is a voice {folder.name!r} already", code="voice_exists"
            ) from error
        raise


def take_away(folder: Path) -> None:
    """Remove a voice; nothing happens where it is gone already.

    Raises:
        OSError: it cannot be removed.
    """
    away = _hidden(folder)
    try:
        os.rename(folder, away)
    except FileNotFoundError:
        return
    delete(away)


def sweep(path: Path) -> None:
    """Take away what a server that was killed has left."""
    try:
        old = time.time() - path.lstat().st_mtime > STALE_S
    except OSError:
        return
    if old and re.fullmatch(rf"\.{NAME.pattern}\.[0-9a-f]{{8}}", path.name):
        delete(path)


def delete(path: Path) -> None:
    """A folder and all in it, or the link that stands for one."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def hash_of(clip: bytes) -> str:
    """By which a voice knows the clip that it was made from."""
    return hashlib.sha256(clip).hexdigest()


def _hidden(folder: Path) -> Path:
    """A new name beside it that no voice has."""
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
