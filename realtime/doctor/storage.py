"""The volume: is it there, will it last, are the models on it, and if not, is there room for them?

Whether the models are whole is bootstrap's verdict, by names and sizes; nothing is fetched.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap import BootstrapError, Plan, default_volume, plan_for
from bootstrap import install as bootstrap_install
from bootstrap import verdict as bootstrap_verdict
from bootstrap import volume as bootstrap_layout
from realtime.doctor.finding import Finding, error, ok, warning
from realtime.doctor.mounts import Mount, mount_of


@dataclass(frozen=True)
class Volume:
    """The place for the models. `writable` and `free_bytes` are those of the nearest folder that
    exists."""

    path: Path
    exists: bool
    is_folder: bool
    writable: bool
    free_bytes: int
    mount: Mount | None
    """None where the system does not say."""


@dataclass(frozen=True)
class Inventory:
    """What of a plan is there."""

    present: tuple[str, ...]
    """Where each source was found: `title (note)`."""
    missing: tuple[str, ...]
    """What is wrong with the others."""
    needed_bytes: int
    """The most that fetching what is missing occupies at any moment; 0 where nothing is."""
    sizes_known: bool = True
    """False where the hub alone knows the size of something that is missing."""
    last: Mapping[str, Any] = field(default_factory=dict)
    """What the last run of bootstrap has left in its state file; empty where nothing."""


def gather(path: Path) -> Volume:
    """Look at a volume. A file without a name is made on it for a moment: access rights alone do
    not tell of a read-only disk everywhere."""
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    return Volume(
        path=path,
        exists=path.exists(),
        is_folder=path.is_dir(),
        writable=_takes_a_file(nearest),
        free_bytes=shutil.disk_usage(nearest).free,
        mount=mount_of(nearest) if sys.platform == "linux" else None,
    )


def _takes_a_file(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def take_stock(plan: Plan, volume: Path) -> Inventory:
    """Ask bootstrap for its verdict."""
    findings = bootstrap_verdict.look_at_all(plan, volume, False, threading.Event())
    missing = bootstrap_install.lacking(findings)
    lines = {source: f"{source.title} ({found.note})" for source, found in findings.items()}
    return Inventory(
        present=tuple(line for source, line in lines.items() if source not in missing),
        missing=tuple(lines[source] for source in missing),
        needed_bytes=bootstrap_install.space_needed_bytes(missing) if missing else 0,
        sizes_known=all(source.size_bytes for source in missing),
        last=_read_state(volume),
    )


def _read_state(volume: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(bootstrap_layout.state_path(volume).read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def judge_volume(volume: Volume, complete: bool, fill: str) -> Finding:
    """There, and open to what has to be done on it."""
    subject, seen = "volume", str(volume.path)
    if volume.exists and not volume.is_folder:
        return error(subject, f"{seen} is not a folder", "name a folder with --volume")
    if volume.writable:
        return ok(subject, seen if volume.exists else f"{seen} is not there; it will be made")
    if complete:
        return ok(subject, f"{seen} cannot be written to; it is complete, and so that is enough")
    remedy = (
        f"let the user {_user()} write there, name another --volume, "
        f"or fill it where it can be written to: {fill}"
    )
    return error(subject, f"{seen} cannot be written to, and models are missing on it", remedy)


def _user() -> str:
    return str(os.getuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "")


def judge_mount(volume: Volume) -> Finding:
    """Whether what is written there outlives the container, or the machine's next start."""
    subject, mount = "volume's disk", volume.mount
    if mount is None:
        return ok(subject, "this system does not say what is mounted")
    seen = f"{mount.kind} mounted at {mount.point}"
    if mount.is_memory:
        return warning(subject, f"{seen}: memory, empty after a restart", "mount a disk there")
    if mount.is_layer:
        remedy = f"mount a volume: docker run -v banter:{volume.path}"
        return warning(subject, f"{seen}: it goes with the container, models and all", remedy)
    if mount.is_anonymous:
        remedy = f"give it a name: docker run -v banter:{volume.path}"
        return warning(
            subject, f"{seen}: a volume without a name, which no other container gets", remedy
        )
    return ok(subject, seen)


def judge_models(inventory: Inventory, fill: str) -> Finding:
    """All there, or what the next start has to fetch; `fill` is the command that fetches it now."""
    subject = "models"
    if not inventory.missing:
        return ok(subject, "; ".join(inventory.present) or "none are needed")
    seen, last = f"missing: {'; '.join(inventory.missing)}", inventory.last
    if last.get("state") == "failed":
        return warning(
            subject,
            f"{seen}; the last attempt failed: {last.get('cause')}",
            str(last.get("remedy")),
        )
    if last.get("state") == "downloading":
        done, total = int(last.get("done_bytes", 0)), int(last.get("total_bytes", 0))
        seen += f"; process {last.get('pid')} on {last.get('host')} was fetching them: "
        seen += f"{_gigabytes(done)} of {_gigabytes(total)}"
    remedy = f"the next start fetches them, which takes a network; or now: {fill}"
    return warning(subject, seen, remedy)


def judge_space(volume: Volume, inventory: Inventory) -> Finding:
    """Room for what is missing."""
    subject, needed, free = "disk", inventory.needed_bytes, volume.free_bytes
    unknown = "" if inventory.sizes_known else ", and more whose size only the hub knows"
    seen = f"{_gigabytes(free)} free, {_at_least(needed)} needed for what is missing{unknown}"
    if not inventory.missing:
        return ok(subject, f"{_gigabytes(free)} free, nothing is missing")
    if free < needed:
        return error(subject, seen, f"free {_at_least(needed - free)}, or give a larger volume")
    return ok(subject, seen)


def _gigabytes(count: int) -> str:
    """Of what there is: rounded down."""
    return f"{count // 10_000_000 / 100:.2f} GB"


def _at_least(count: int) -> str:
    """Of what is needed: rounded up, so that as much is enough."""
    return _gigabytes(count + 9_999_999)


def look(
    path: Path | None, make_plan: Callable[[], Plan], whisper: str = "", voice: str = ""
) -> Sequence[Finding]:
    """`path` is that of the settings, None the default; `whisper` the recogniser they name and
    `voice` the voice, as bootstrap calls it."""
    try:
        plan, place = make_plan(), Path(os.path.abspath(path or default_volume()))
    except BootstrapError as problem:
        return [error("volume", problem.cause, problem.remedy)]
    volume, inventory = gather(place), take_stock(plan, place)
    fill = f"python -m bootstrap --profile {plan.profile} --volume {shlex.quote(str(place))}"
    if whisper:
        fill += f" --whisper {shlex.quote(whisper)}"
    if voice and plan_for(plan.profile, voice=voice) != plan_for(plan.profile):
        fill += f" --voice {voice}"
    usual = plan_for(plan.profile, whisper=whisper or None, voice=voice or None)
    if set(plan.models) - set(usual.models):
        fill += " --llm"  # all else that the settings can add to a profile
    return [
        judge_volume(volume, not inventory.missing, fill),
        judge_mount(volume),
        judge_models(inventory, fill),
        judge_space(volume, inventory),
    ]
