"""Coverage-guided fuzzing with Atheris (libFuzzer): `python -m tests.fuzz messages [options]`.

    python -m tests.fuzz messages -max_total_time=60        keeps what is new in tests/fuzz/corpus
    python -m tests.fuzz messages --seeds                   writes the seeds and ends
    python -m tests.fuzz messages crash-0123                runs one input
    python -m tests.fuzz messages -merge=1 NEW OLD OTHER    puts into NEW what adds something

Options are libFuzzer's. An input that breaks something is left in the working folder as `crash-…`;
moved into tests/fuzz/crashes/TARGET, it is a regression test.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from random import Random

import atheris

FOLDER = Path(__file__).parent
TARGETS = ("messages", "audio", "text", "uploads")
LIMITS = ("-rss_limit_mb=4096", "-timeout=60", "-max_len=6144", "-print_final_stats=1")


def write_seeds(target: str, folder: Path) -> None:
    """The seeds of one target, as files of its corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in importlib.import_module(f"tests.fuzz.{target}_seeds").seeds():
        (folder / name).write_bytes(data)


def main() -> None:
    target, *options = sys.argv[1:] or [""]
    if target not in TARGETS:
        sys.exit(f"say which: {', '.join(TARGETS)}")
    corpus = FOLDER / "corpus" / target
    if options == ["--seeds"]:
        return write_seeds(target, corpus)
    logging.disable(logging.WARNING)  # what is refused is logged, a thousand times a second
    parts = ["realtime", "aiohttp.multipart"]
    with atheris.instrument_imports(include=parts, enable_loader_override=False):
        module = importlib.import_module(f"tests.fuzz.{target}")
    setup = {}
    if target == "messages":
        from tests.fuzz.mutations import mutated

        def mutator(data: bytes, max_size: int, seed: int) -> bytes:
            return mutated(bytes(data), max_size, Random(seed), atheris.Mutate)

        setup["custom_mutator"] = mutator
    named = any(not option.startswith("-") for option in options)
    arguments = [*LIMITS, *options, *([] if named else [str(corpus)])]
    os.environ |= {"FUZZ_PYTHON": sys.executable, "FUZZ_TARGET": target}
    atheris.Setup([str(FOLDER / "again.sh"), *arguments], module.one_input, **setup)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
