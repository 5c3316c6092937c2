"""Run `pip download` for one pinned wheel, follow it, and say in one line why it failed.

Which index is asked, through which proxy and with which certificates is pip's business: its own
environment variables and files (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX ...) apply.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from bootstrap import child, disk
from bootstrap.errors import BootstrapError
from bootstrap.plan import Wheel
from bootstrap.progress import Progress

POLL_S = 0.2
TAIL_BYTES = 32_768
"""Of pip's output, kept to explain a failure."""

log = logging.getLogger("banter.bootstrap")


async def download(wheel: Wheel, work: Path, progress: Progress) -> Path:
    """Download a wheel below `work`, an empty folder; pip has compared its SHA-256 with the plan's.

    Cancelling kills pip and waits for its end.

    Raises:
        BootstrapError: pip is not there, or failed.
        OSError: `work` cannot be written to.
    """
    arrived = work / "wheel"
    process = await child.start(
        _arguments(wheel, work, arrived), _environment(work), what="run pip"
    )
    try:
        output = await _follow(process, wheel, work, progress)
        status = await process.wait()
    finally:
        await child.end(process)
        progress.clear()
    if status != 0:
        log.debug("pip said:\n%s", output)
        raise explain(wheel, status, output)
    [archive] = arrived.glob("*.whl")
    return archive


def _arguments(wheel: Wheel, work: Path, arrived: Path) -> list[str]:
    """pip's command line, with the requirement in a file because only there it may have a hash."""
    requirement = work / "requirement.txt"
    requirement.write_text(
        f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
    )
    command = "-m pip download --no-deps --only-binary :all: --require-hashes --no-cache-dir"
    quiet = "--no-input --no-color --progress-bar off --disable-pip-version-check"
    return [*command.split(), *quiet.split(), "--dest", str(arrived), "-r", str(requirement)]


def _environment(work: Path) -> dict[str, str]:
    """Ours, but pip's own temporary files go to the volume: `/tmp` is often small, or memory."""
    temporary = work / "pip"
    temporary.mkdir()
    return os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))


async def _follow(
    process: asyncio.subprocess.Process, wheel: Wheel, work: Path, progress: Progress
) -> str:
    """Report progress until pip closes its output; returns the output's tail."""
    assert process.stdout is not None
    tail = b""
    async with asyncio.TaskGroup() as tasks:
        reporter = tasks.create_task(_report(wheel, work, progress))
        while piece := await process.stdout.read(TAIL_BYTES):
            tail = (tail + piece)[-TAIL_BYTES:]
        reporter.cancel()
    return tail.decode(errors="replace")


async def _report(wheel: Wheel, work: Path, progress: Progress) -> None:
    """Tell what has arrived. pip copies at its end, hence the bound."""
    while True:
        await asyncio.sleep(POLL_S)
        progress.update(min(disk.size_of(work), wheel.size_bytes))


_ELSEWHERE = (
    "Connect this machine, name a mirror (PIP_INDEX_URL) or a folder with the wheel "
    "(PIP_FIND_LINKS), or install it with pip install --no-deps {requirement}"
)

_REASONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("No module named pip",),
        "this Python has no pip",
        "Add it (python -m ensurepip), or install with uv pip install --no-deps {requirement}",
    ),
    (
        ("No space left on device", "Disk quota exceeded"),
        "the disk is full",
        "Free some space or give a larger volume, and start again",
    ),
    (
        ("DO NOT MATCH THE HASHES",),
        "the wheel that the index offers has another SHA-256 than the pinned one",
        "Do not use it: ask whoever runs the index or the proxy (see pip config list)",
    ),
    (
        ("SSLError", "confirming the ssl certificate"),
        "the certificate of the package index is not trusted",
        "Name the authority's certificate (PIP_CERT) if a proxy stands between",
    ),
    (
        ("connection broken by",),
        "the package index cannot be reached",
        _ELSEWHERE,
    ),
    (
        ("Read timed out", "ReadTimeoutError", "IncompleteRead", "Connection reset"),
        "the connection to the package index broke",
        "Start again; a slow line may need PIP_DEFAULT_TIMEOUT=120",
    ),
    (
        ("(from versions: none)",),
        "the package index does not have it or did not answer",
        _ELSEWHERE,
    ),
    (
        ("No matching distribution found",),
        "the package index does not have it",
        _ELSEWHERE,
    ),
)
"""Words in pip's output, what they mean, what to do. The order counts: pip that finds no index goes
on to say that there is no matching distribution."""


def explain(wheel: Wheel, status: int, output: str) -> BootstrapError:
    """The error for a pip that ended with `status` (negative: by that signal)."""
    requirement = f"{wheel.distribution}=={wheel.version}"
    cause, remedy = _reason(output) or (
        f"pip {child.ending(status)}: {_last_words(output)}",
        "See what pip says, and start again",
    )
    return BootstrapError(
        f"Cannot download {wheel.title}: {cause}", remedy.format(requirement=requirement)
    )


def _reason(output: str) -> tuple[str, str] | None:
    """Cause and remedy of a failure that is known by pip's words."""
    for needles, cause, remedy in _REASONS:
        if any(needle in output for needle in needles):
            return cause, remedy
    return None


def _last_words(output: str) -> str:
    """pip's first line of error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors[:1] or lines[-1:] or ["it said nothing"])[0]
