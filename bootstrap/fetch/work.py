"""The order of things for all repositories: what is there, is there space, fetch, show."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bootstrap import cache, disk
from bootstrap import volume as layout
from bootstrap.cache import CachedFile, Snapshot
from bootstrap.errors import BootstrapError, disk_errors
from bootstrap.fetch import listing, reasons, transfer
from bootstrap.order import Item, Order
from bootstrap.plan import HubRepository

TELL_S = 0.2

Emit = Callable[[dict[str, Any]], None]


@dataclass
class Repository:
    """One that is being fetched."""

    source: HubRepository
    folder: Path
    aside: Path
    snapshot: Snapshot
    whole: dict[str, CachedFile] = field(default_factory=dict)
    """The files that are there and verified, by path."""


Group = list[tuple[Repository, CachedFile]]
"""The names of one blob."""


class Meter:
    """Counts bytes from all threads, and tells the parent a few times a second."""

    def __init__(self, emit: Emit, done_bytes: int) -> None:
        self._emit = emit
        self._done_bytes = done_bytes
        self._told_at = 0.0
        self._lock = threading.Lock()

    def count(self, change_bytes: int) -> None:
        """So many more, or fewer."""
        with self._lock:
            self._done_bytes += change_bytes
            now = time.monotonic()
            if now - self._told_at >= TELL_S:
                self._told_at = now
                self._emit({"is": "progress", "done_bytes": self._done_bytes})


def carry_out(order: Order, emit: Emit) -> list[Snapshot]:
    """Fetch what an order lacks; returns a whole snapshot for each of its items.

    Raises:
        BootstrapError: it cannot be done. Other files may still be arriving in threads.
    """
    names = ", ".join(item.source.title for item in order.items)
    pool = ThreadPoolExecutor(order.workers, "fetch")
    try:
        with disk_errors(order.volume, names):
            return _carry_out(order, pool, emit)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _carry_out(order: Order, pool: ThreadPoolExecutor, emit: Emit) -> list[Snapshot]:
    repositories = [_open(order, item, emit) for item in order.items]
    _all(pool.submit(_look, group, emit) for group in _missing(repositories))
    meter = Meter(emit, _begin(order, repositories, emit))
    _all(pool.submit(_bring, order, group, meter, emit) for group in _missing(repositories))
    return [_show(one) for one in repositories]


def _missing(repositories: list[Repository]) -> list[Group]:
    """What is not known to be there, the biggest first. A blob under several names comes once."""
    groups: dict[Path, Group] = {}
    for one in repositories:
        for file in one.snapshot.files:
            if file.path not in one.whole:
                groups.setdefault(cache.blob_path(one.folder, file), []).append((one, file))
    return sorted(groups.values(), key=lambda group: -group[0][1].size_bytes)


def _all(futures: Iterable[Future[None]]) -> None:
    """Wait for all, or for the first that fails; the process ends then, and with it the others."""
    for future in wait(list(futures), return_when=FIRST_EXCEPTION).done:
        future.result()


def _open(order: Order, item: Item, emit: Emit) -> Repository:
    """Learn which files are wanted."""
    source = item.source
    return Repository(
        source,
        layout.source_folder(order.volume, source),
        layout.set_aside_path(order.volume, source),
        item.known or _list(order, source, emit),
    )


def _list(order: Order, source: HubRepository, emit: Emit) -> Snapshot:
    """Ask the hub, patiently."""
    for failures in range(1, order.attempts + 1):
        try:
            return listing.list_snapshot(source)
        except BootstrapError:
            raise
        except Exception as error:
            if failures == order.attempts or not reasons.is_passing(error):
                raise reasons.explain(error, source) from error
            transfer.pause(order, failures, error, source.title, _saying(emit))
    raise AssertionError("an order has at least one attempt")


def _look(group: Group, emit: Emit) -> None:
    """Take a file that is there for whole if it is; move it aside if not."""
    one, file = group[0]
    try:
        found = transfer.find(one.folder, file)
    except transfer.Wrong as error:
        cache.set_aside(one.folder, one.snapshot.commit, file, one.aside)
        _saying(emit)(f"{one.source.title}: {file.path} has {error}; set aside in {one.aside}")
        return
    if found is not None:
        _take(group, found)


def _take(group: Group, found: CachedFile) -> None:
    """A blob is there, for all of its names."""
    for one, file in group:
        one.whole[file.path] = replace(file, sha256=found.sha256)


def _begin(order: Order, repositories: list[Repository], emit: Emit) -> int:
    """Count the space and tell the parent what lies ahead; returns the bytes that are there.

    Raises:
        BootstrapError: there is too little space.
    """
    files = [group[0] for group in _missing(repositories)]
    here_bytes = sum(file.size_bytes for one in repositories for file in one.whole.values())
    missing_bytes = sum(file.size_bytes for _, file in files)
    arrived_bytes = sum(transfer.arrived_bytes(one.folder, file) for one, file in files)
    if files:
        _check_space(order, repositories, missing_bytes - arrived_bytes)
    done_bytes = here_bytes + arrived_bytes
    total_bytes = here_bytes + missing_bytes
    emit({"is": "plan", "total_bytes": total_bytes, "done_bytes": done_bytes})
    return done_bytes


def _check_space(order: Order, repositories: list[Repository], lacking_bytes: int) -> None:
    """Refuse to begin what cannot end; what was set aside goes before that."""
    needed_bytes = lacking_bytes + order.reserve_bytes
    models = layout.models_folder(order.volume)
    if shutil.disk_usage(models).free < needed_bytes:
        for one in repositories:
            disk.remove(one.aside)
    free_bytes = shutil.disk_usage(models).free
    if free_bytes < needed_bytes:
        names = ", ".join(one.source.title for one in repositories)
        raise BootstrapError(
            f"{order.volume} has {disk.megabytes(free_bytes)} free, and fetching {names} "
            f"takes {disk.megabytes(needed_bytes)}",
            f"Free {disk.megabytes(needed_bytes - free_bytes)} or give a larger volume",
        )


def _bring(order: Order, group: Group, meter: Meter, emit: Emit) -> None:
    """Fetch one file."""
    one, file = group[0]
    way = transfer.Transfer(order, one.source, one.snapshot.commit, file, meter.count)
    try:
        _take(group, way.run(one.folder, _saying(emit)))
    except BootstrapError:
        raise
    except Exception as error:
        raise reasons.explain(error, one.source) from error


def _show(one: Repository) -> Snapshot:
    """Link all files; returns the snapshot with every SHA-256 known."""
    files = tuple(one.whole[file.path] for file in one.snapshot.files)
    commit = one.snapshot.commit
    for file in files:
        cache.link(one.folder, commit, file)
    cache.write_ref(one.folder, one.source, commit)
    disk.sync_folder(one.folder / "snapshots")
    return Snapshot(commit, files)


def _saying(emit: Emit) -> transfer.Say:
    """A line for the parent's log."""
    return lambda text: emit({"is": "log", "text": text})
