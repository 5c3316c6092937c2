"""Targets for fuzzing: any bytes in, an exception where something is not as it must be.

Each is a module with `one_input`, a corpus in `corpus/NAME`, its seeds in `NAME_seeds.py`, and what
once broke it in `crashes/NAME`. `__main__.py` looks for more with Atheris; `tests/test_fuzz.py`
runs what is kept, without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

TARGETS = ("messages", "audio", "text", "uploads")


def one_of(target: str) -> Callable[[bytes], None]:
    """A target's function."""
    run: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.{target}").one_input
    return run
