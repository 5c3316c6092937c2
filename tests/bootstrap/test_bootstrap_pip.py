"""pip: what is said when it fails, by the real pip where that is quick."""

from __future__ import annotations

import dataclasses
import socket
import sys
import venv
from pathlib import Path

import pytest
from fake_index import Index

from bootstrap import pip, progress
from bootstrap.errors import BootstrapError
from bootstrap.plan import Plan, Wheel
from bootstrap.progress import Progress
from bootstrap.state import DOWNLOADING, State

WHEEL = Wheel("tiny-mind", "1.0", 1, "0" * 64, ())


def untold(folder: Path) -> Progress:
    """Progress that nobody watches."""
    return Progress("tiny-mind 1.0", 300_000, State(folder, "embedded"), DOWNLOADING)


def names(folder: Path, pattern: str) -> list[str]:
    """What lies anywhere below a folder."""
    return sorted(path.name for path in folder.rglob(pattern))


@pytest.mark.parametrize(
    ("status", "output", "cause"),
    [
        (1, "/usr/bin/python: No module named pip\n", "this Python has no pip"),
        (1, "ERROR: Could not install: [Errno 28] No space left on device\n", "the disk is full"),
        (
            1,
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/x/\n"
            "ERROR: No matching distribution found for tiny-mind==1.0\n",
            "the package index cannot be reached",
        ),
        (
            1,
            "WARNING: Retrying after connection broken by 'SSLError(...)': /simple/tiny-mind/\n"
            "ERROR: No matching distribution found for tiny-mind==1.0\n",
            "the certificate of the package index is not trusted",
        ),
        (
            2,
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.\n",
            "the connection to the package index broke",
        ),
        (1, "ERROR: something\nERROR: else\n", "pip failed with status 1: ERROR: something"),
        (-9, "", "pip was killed by signal 9: it said nothing"),
    ],
)
def test_failure_is_one_line_of_cause_and_a_remedy(status: int, output: str, cause: str) -> None:
    error = pip.explain(WHEEL, status, output)
    assert error.cause == f"Cannot download tiny-mind 1.0: {cause}"
    assert error.remedy
    assert "\n" not in str(error)
    assert "{" not in str(error)


async def test_wheel_with_another_hash_is_refused_by_pip(
    index: Index, plan: Plan, tmp_path: Path
) -> None:
    wheel = dataclasses.replace(plan.sources[1], sha256="0" * 64)
    with pytest.raises(BootstrapError, match="another SHA-256 than the pinned one"):
        await pip.download(wheel, tmp_path, untold(tmp_path))
    assert not names(tmp_path, "*.whl")


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"version": "9.9"}, r"the package index does not have it\."),
        ({"distribution": "tiny-other"}, "does not have it or did not answer"),
    ],
)
async def test_wheel_that_the_index_does_not_have(
    index: Index, plan: Plan, tmp_path: Path, changes: dict[str, str], cause: str
) -> None:
    wheel = dataclasses.replace(plan.sources[1], **changes)
    with pytest.raises(BootstrapError, match=cause):
        await pip.download(wheel, tmp_path, untold(tmp_path))


async def test_no_network(
    index: Index, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")  # pip names the reason only when it tries again
    with pytest.raises(BootstrapError, match="the package index cannot be reached"):
        await pip.download(plan.sources[1], tmp_path, untold(tmp_path))


async def test_python_without_pip(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    folder = "Scripts" if sys.platform == "win32" else "bin"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / folder / "python"))
    with pytest.raises(BootstrapError, match="this Python has no pip"):
        await pip.download(plan.sources[1], tmp_path, untold(tmp_path))


async def test_python_that_cannot_be_started(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(BootstrapError, match="cannot be started"):
        await pip.download(plan.sources[1], tmp_path, untold(tmp_path))


async def test_progress_is_told_while_pip_runs(
    index: Index,
    plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pip, "POLL_S", 0.05)
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    caplog.set_level("INFO", "banter.bootstrap")
    await pip.download(plan.sources[1], tmp_path, untold(tmp_path))
    assert "tiny-mind 1.0: 0.0 MB of 0.3 MB" in caplog.text
