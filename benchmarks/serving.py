"""The server on weights that no repository has: made-up ones, of full size or of a few layers.

    python -m benchmarks.serving [--whisper-folder DIR] [--small-voice] -- [options of the server]

For benchmarks only; everything else is `python -m realtime`.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bootstrap
from realtime.__main__ import main as serve


def main() -> None:
    parser = argparse.ArgumentParser(
        description="The server on made-up weights.", allow_abbrev=False
    )
    parser.add_argument("--whisper-folder", type=Path, help="a recogniser in CTranslate2 form")
    parser.add_argument("--small-voice", action="store_true", help="Chatterbox of a few layers")
    args, options = parser.parse_known_args()
    sys.argv[1:] = [option for option in options if option != "--"]
    with ExitStack() as stack:
        if args.whisper_folder:
            bootstrap.ensure = only({"whisper": args.whisper_folder})
        if args.small_voice:
            from benchmarks.chatterbox_weights import depth

            stack.enter_context(depth(True))
        serve()


def only(models: dict[str, Path]) -> Any:
    """In the place of `bootstrap.ensure`: these folders, and nothing is fetched."""

    async def ensure(plan: bootstrap.Plan, volume: Path) -> dict[str, Path]:
        return models

    return ensure


if __name__ == "__main__":
    main()
