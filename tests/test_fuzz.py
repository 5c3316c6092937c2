"""The corpus of the fuzzer and every input that once broke something, without the fuzzer.

`make fuzz` looks for more (tests/fuzz).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import TARGETS, one_of

FOLDER = Path(__file__).parent / "fuzz"


def kept(kind: str) -> Iterator[tuple[str, Path]]:
    for target in TARGETS:
        for path in sorted((FOLDER / kind / target).glob("*")):
            yield target, path


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_the_corpus_breaks_it(target):
    """Each target's inputs in one go: they are many and short."""
    paths = [path for each, path in kept("corpus") if each == target]
    assert len(paths) > 10
    run = one_of(target)
    for path in paths:
        try:
            run(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name}: {error!r}") from error


@pytest.mark.parametrize(
    ("target", "path"), list(kept("crashes")), ids=lambda each: getattr(each, "name", each)
)
def test_what_once_broke_it_breaks_it_no_more(target, path):
    one_of(target)(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_the_seeds_breaks_it(target):
    """What the fuzzer begins with; the corpus holds what it made of them."""
    seeds = dict(importlib.import_module(f"tests.fuzz.{target}_seeds").seeds())
    assert len(seeds) > 10
    for data in seeds.values():
        one_of(target)(data)
