"""python -m bootstrap: fill a volume with the models of a profile, and say where each one is.

Exit status: 0 every model is there; 1 it failed, the reason is on standard error; 2 wrong
arguments; 3 a dry run found that something has to be done; 130 interrupted; 143 terminated.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bootstrap import disk, install, profiles, verdict
from bootstrap import volume as layout
from bootstrap.errors import BootstrapError
from bootstrap.plan import HubRepository, Model, Plan

DONE, FAILED, TO_DO, INTERRUPTED, TERMINATED = 0, 1, 3, 130, 143


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits with 2 where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bootstrap", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--profile", default="embedded", choices=sorted(profiles.PLANS))
    parser.add_argument("--whisper", metavar="NAME", help="another Whisper: small, owner/name ...")
    parser.add_argument("--voice", metavar="NAME", help="another voice: turbo, english, none ...")
    parser.add_argument("--llm", action="store_true", help="the small language model, too")
    parser.add_argument("--volume", type=Path, metavar="DIR", help="default: /data or your own")
    parser.add_argument("--check", action="store_true", help="verify every file's SHA-256")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    return parser.parse_args(arguments)


async def fill(plan: Plan, volume: Path, check: bool) -> int:
    """Do it, and print a line for each model."""
    for role, path in (await install.ensure(plan, volume, check=check)).items():
        print(f"{role}: {path}")
    return DONE


async def rehearse(plan: Plan, volume: Path, check: bool) -> int:
    """Say what `fill` would do."""
    findings = await verdict.survey(plan, volume, check=check)
    there = install.paths(plan, findings)
    for model in plan.models:
        note = findings[model.source].note
        if model.role in there:
            print(f"{model.role}: {there[model.role]} ({note})")
        else:
            print(f"{model.role}: {_intent(model, volume)} ({note})")
    missing = install.lacking(findings)
    if not missing:
        return DONE
    needed, free = install.space_needed_bytes(missing), _free_bytes(volume)
    unknown = [source.title for source in missing if not source.size_bytes]
    more = f", and what {', '.join(unknown)} takes" if unknown else ""
    print(f"space: {disk.megabytes(needed)} needed{more}, {disk.megabytes(free)} free")
    return TO_DO


def _intent(model: Model, volume: Path) -> str:
    """What would be done for a model."""
    source = model.source
    target = layout.source_folder(volume, source)
    if isinstance(source, HubRepository):
        size = disk.megabytes(source.size_bytes) if source.files else "as large as the hub says"
    else:
        size = disk.megabytes(source.size_bytes)
        target = target / model.opens if model.opens else target
    return f"would fetch {source.title} ({size}) to {target}"


def _free_bytes(volume: Path) -> int:
    """Free space where a volume is or would be made."""
    existing = next(folder for folder in (volume, *volume.parents) if folder.exists())
    return shutil.disk_usage(existing).free


async def run(options: argparse.Namespace) -> int:
    """Do what the command line says; a SIGTERM cancels it, so that nothing outlives us."""
    task = asyncio.current_task()
    assert task is not None
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    act = rehearse if options.dry_run else fill
    plan = profiles.plan_for(
        options.profile, whisper=options.whisper, voice=options.voice, llm=options.llm
    )
    return await act(plan, _volume(options.volume), options.check)


def _volume(named: Path | None) -> Path:
    """The volume of the command line, else the default."""
    return Path(os.path.abspath((named or layout.default_volume()).expanduser()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole command; returns the exit status."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return asyncio.run(run(options))
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED


if __name__ == "__main__":
    sys.exit(main())
