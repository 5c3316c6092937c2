"""A folder with Chatterbox's weights that the settings name: are a model's files in it?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootstrap.plan import HubRepository
from bootstrap.profiles import PINNED_VOICES
from realtime.doctor.finding import Finding, error, ok

SUBJECT = "voice"
WEIGHTS = (".safetensors", ".pt")
"""Tokenizers come in several forms; these have one."""


def judge(folder: Path, names: set[str]) -> Finding:
    """`names` are those of the files in it."""
    lacking = {model: wanted - names for model, wanted in _wanted().items()}
    whole = [model for model, files in lacking.items() if not files]
    if whole:
        return ok(SUBJECT, f"{folder} holds Chatterbox's model {' and '.join(whole)}")
    nearest = min(lacking, key=lambda model: len(lacking[model]))
    seen = f"{folder} holds none of Chatterbox's models; {nearest} lacks "
    remedy = "name a folder with all files of one, or leave --voice-folder out to have them fetched"
    return error(SUBJECT, seen + ", ".join(sorted(lacking[nearest])), remedy)


def _wanted() -> dict[str, set[str]]:
    """Of each model, the files of weights."""
    wanted = {}
    for name, model in PINNED_VOICES.items():
        assert isinstance(model.source, HubRepository)
        paths = [file.path for file in model.source.files]
        wanted[name] = {path for path in paths if path.endswith(WEIGHTS)}
    return wanted


def look(folder: Path) -> Sequence[Finding]:
    return [judge(folder, {path.name for path in folder.iterdir()})]
