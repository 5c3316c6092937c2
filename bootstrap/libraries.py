"""Where libraries that fetch models for themselves are to look: on the volume, like everything.

They read these variables once, when they are imported. So they have to be set before that, and
nothing in this package imports such a library into the server's process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bootstrap import volume as layout


def folders(volume: Path) -> dict[str, str]:
    """The variables and their values for a volume."""
    models = layout.models_folder(volume)
    hub = str(models / "huggingface" / "hub")
    return {
        "HF_HOME": str(models / "huggingface"),
        "HF_HUB_CACHE": hub,
        "TRANSFORMERS_CACHE": hub,
        "TORCH_HOME": str(models / "torch"),
    }


def point_at(volume: Path) -> None:
    """Set the variables of this process, over what they were: all models are in one place.

    A token that `hf auth login` left in this user's home is still found; it alone stays there.
    """
    token = _token_at_home(volume, os.environ)
    if token is not None:
        os.environ["HF_TOKEN_PATH"] = str(token)
    os.environ.update(folders(volume))


def stay_offline() -> None:
    """From here on no library of this process asks the hub, unless the user has said that it may.

    For after `ensure`: the volume is complete, and a start without a network is a start like any.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _token_at_home(volume: Path, environment: Mapping[str, str]) -> Path | None:
    """The token's file where it would be missed once HF_HOME has moved."""
    if "HF_TOKEN_PATH" in environment or "HF_TOKEN" in environment:
        return None
    if (Path(folders(volume)["HF_HOME"]) / "token").is_file():
        return None
    cache = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = Path(environment.get("HF_HOME") or Path(cache) / "huggingface").expanduser()
    token = home / "token"
    return token if token.is_file() else None
