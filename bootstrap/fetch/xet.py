"""The hub's faster transfer, by hf_xet, where HF_XET_HIGH_PERFORMANCE asks for it.

It is not the default: it fetches a file in pieces of its own, and what it has when it is killed is
of no use to the next run.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata

YES = frozenset({"1", "ON", "YES", "TRUE"})

_given_up = threading.Event()


def is_wanted() -> bool:
    """Whether it is asked for, installed, allowed, and has not failed in this process."""
    if os.environ.get("HF_XET_HIGH_PERFORMANCE", "").upper() not in YES:
        return False
    allowed = not constants.HF_HUB_DISABLE_XET and not _given_up.is_set()
    return allowed and importlib.util.find_spec("hf_xet") is not None


def give_up() -> None:
    """It failed: what failed for one file would cost time for each."""
    _given_up.set()


def bring(url: str, headers: dict[str, str], target: Path, size_bytes: int) -> bool:
    """Fetch a file to `target`; False if the hub does not store it in this way.

    Raises:
        Exception: anything; it crosses into another language.
    """
    # Not part of what the client promises: an import that fails is one more way for it to fail.
    from huggingface_hub.file_download import xet_get

    found = get_hf_file_metadata(url, headers=headers)
    if found.xet_file_data is None:
        return False
    xet_get(
        incomplete_path=target,
        xet_file_data=found.xet_file_data,
        headers=headers,
        expected_size=size_bytes,
    )
    return True
