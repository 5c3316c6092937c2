"""The hub's files on odd disks: read-only, too small, full; and what an earlier run left there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from fake_hub import Hub
from small_models import VOICE, ear, hub_plan, voice
from volumes import (
    arrived_bytes,
    broken,
    finish,
    left_over,
    read_only,
    repository,
    root,
    small,
    snapshot,
    start,
    told,
    until,
)

import bootstrap
from bootstrap.plan import Model, Plan

Command = Callable[..., list[str]]


def gpu(command: Command, volume: Path, *more: str) -> list[str]:
    return command("--profile", "gpu", "--volume", volume, *more, plan=hub_plan())


def test_read_only_volume_that_is_complete_works(
    hub: Hub, fetched: Path, command: Command, own_mounts: list[str]
) -> None:
    arguments = gpu(command, fetched, "--check")
    assert finish(start(read_only(own_mounts, fetched, arguments))) == (0, told(fetched), "")


def test_read_only_volume_that_is_not_says_so(
    hub: Hub, fetched: Path, command: Command, own_mounts: list[str]
) -> None:
    (root(fetched, VOICE) / "conds.pt").resolve().unlink()
    before = snapshot(fetched)
    status, out, err = finish(start(read_only(own_mounts, fetched, gpu(command, fetched))))
    assert (status, out) == (1, "")
    assert f"bootstrap: Cannot put {VOICE}@bbbbbbbb into {fetched}: Read-only file system" in err
    assert "Give a volume that can be written to" in err
    assert hub.requests == []
    assert snapshot(fetched) == before


def test_space_is_counted_before_a_download(
    hub: Hub, volume: Path, command: Command, own_mounts: list[str]
) -> None:
    status, _, err = finish(start(small(own_mounts, volume, "4m", gpu(command, volume))))
    assert status == 1
    assert "4.2 MB free, and fetching tiny/faster-whisper-ear@main, tiny/chatterbox-vo" in err
    assert "takes 18.0 MB. Free 13.8 MB or give a larger volume." in err
    assert hub.fetched == []


@pytest.mark.skipif(not Path("/proc/self/root").exists(), reason="needs /proc to fill the disk")
def test_disk_that_fills_up_all_the_same_is_named_and_the_next_run_goes_on(
    hub: Hub, volume: Path, command: Command, own_mounts: list[str]
) -> None:
    hub.hold()
    script = '"$@"; echo "status $?"; rm "$0"/filler; "$@"'
    twice = ["sh", "-c", script, str(volume), *gpu(command, volume)]
    with start(small(own_mounts, volume, "20m", twice)) as child:
        disk = Path(f"/proc/{child.pid}/root{volume}")
        until(lambda: arrived_bytes(disk) > 0)
        fill(disk / "filler")
        hub.release()
        status, out, err = finish(child)
    assert (status, out) == (0, f"status 1\n{told(volume)}"), err
    assert "the disk is full. Free some space" in err
    assert hub.ranges


def fill(path: Path) -> None:
    """Until no byte more fits."""
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))


async def test_left_over_of_another_file_is_found_out(hub: Hub, volume: Path) -> None:
    blobs = repository(volume, VOICE) / "blobs"
    blobs.mkdir(parents=True)
    for file in voice().files:
        (blobs / f"{file.sha256}.incomplete").write_bytes(bytes(file.size_bytes // 2))
    await bootstrap.ensure(Plan("gpu", (Model("voice", voice()),)), volume)
    assert broken(volume) == []


async def test_left_over_that_is_too_long_is_thrown_away(hub: Hub, volume: Path) -> None:
    blobs = repository(volume, VOICE) / "blobs"
    blobs.mkdir(parents=True)
    for file in voice().files:
        (blobs / f"{file.sha256}.incomplete").write_bytes(bytes(file.size_bytes + 1))
    await bootstrap.ensure(Plan("gpu", (Model("voice", voice()),)), volume)
    assert broken(volume) == []
    assert hub.ranges == {}


async def test_xet_that_fails_is_replaced_by_plain_http(
    hub: Hub,
    volume: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("hf_xet")
    hub.xet = True
    monkeypatch.setenv("HF_XET_HIGH_PERFORMANCE", "1")
    await bootstrap.ensure(Plan("gpu", (Model("whisper", ear()),)), volume)
    assert "model.bin: Xet failed (" in caplog.text
    assert "going on without it" in caplog.text
    assert broken(volume) == []
    assert left_over(volume) == []


@pytest.mark.parametrize("way", ["without a client", "without a Python"])
async def test_child_that_does_not_begin_is_an_error(
    hub: Hub, volume: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    if way == "without a client":
        (tmp_path / "huggingface_hub.py").write_text("raise ImportError('no such client')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        expected = "fetching process failed with status 1: ImportError: no such client"
    else:
        monkeypatch.setattr("sys.executable", "/nothing/may/be/run")
        expected = "cannot be started to fetch models"
    with pytest.raises(bootstrap.BootstrapError, match=expected):
        await bootstrap.ensure(hub_plan(), volume)


def test_dry_run_says_what_would_be_fetched_and_asks_nobody(
    hub: Hub, volume: Path, command: Command
) -> None:
    status, out, err = finish(start(gpu(command, volume, "--dry-run")))
    assert (status, err) == (3, "")
    assert "whisper: would fetch tiny/faster-whisper-ear@main (as large as the hub says) to" in out
    assert f"voice: would fetch {VOICE}@bbbbbbbb (1.4 MB) to {repository(volume, VOICE)}" in out
    assert hub.requests == []
    assert not volume.exists()
