"""`ensure`, told as stories: a first start, a second one, and all that can go wrong in between."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_index import WAIT_S, Index, make_wheel, noise
from volumes import finish, read_only, small, snapshot, start

import bootstrap
from bootstrap import disk, install
from bootstrap import volume as layout
from bootstrap.plan import Model, Plan

Command = Callable[..., list[str]]

HAS_PROC = Path("/proc/self/cmdline").exists()


def expected(volume: Path) -> dict[str, Path]:
    """Where the made-up models belong."""
    wheels = volume / "models/wheels"
    return {
        "whisper": wheels / "tiny-ear-1.0/tiny_ear/model",
        "llm": wheels / "tiny-mind-1.0/tiny_mind/mind.gguf",
    }


def told(volume: Path) -> str:
    """What the command prints for them."""
    return "".join(f"{role}: {path}\n" for role, path in expected(volume).items())


def pips(volume: Path) -> list[int]:
    """The processes that run pip for a volume."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pip" in words and str(volume).encode() in b" ".join(words):
            found.append(int(entry.name))
    return found


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a run that would start pip fails."""
    monkeypatch.setattr(sys, "executable", "/nothing/may/be/run")


async def test_first_start_installs_everything(
    index: Index, volume: Path, plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "banter.bootstrap")
    assert await bootstrap.ensure(plan, volume) == expected(volume)
    assert expected(volume)["llm"].read_bytes() == noise(300_000, 2)
    assert sorted(path.name for path in expected(volume)["whisper"].iterdir()) == [
        "config.json",
        "model.bin",
    ]
    assert index.wheels_sent == ["tiny_ear-1.0-py3-none-any.whl", "tiny_mind-1.0-py3-none-any.whl"]
    assert not list(layout.incoming_folder(volume).iterdir())
    assert not [name for name in snapshot(volume.parent) if name.endswith((".py", "escaped.txt"))]
    assert [record.message.split(":")[1].split()[0] for record in caplog.records] == [
        "downloading",
        "unpacking",
        "installed",
    ] * 2


async def test_second_start_changes_nothing_and_asks_nobody(
    index: Index, filled: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(filled)
    no_pip(monkeypatch)
    for check in (False, True):
        assert await bootstrap.ensure(plan, filled, check=check) == expected(filled)
    assert snapshot(filled) == before
    assert index.requests == []


@pytest.mark.parametrize("check", [[], ["--check"], ["--dry-run"]])
def test_second_start_under_audit(
    index: Index,
    filled: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    check: list[str],
) -> None:
    monkeypatch.setenv("AUDIT", "yes")
    status, out, err = finish(start(command("--volume", filled, *check)))
    assert status == 0
    assert str(expected(filled)["llm"]) in out
    assert err == "AUDIT []\n"


def test_audit_does_see_a_first_start(
    index: Index, volume: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT", "yes")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    _, _, err = finish(start(command("--volume", volume)))
    seen = " ".join(json.loads(err.rpartition("AUDIT ")[2]))
    for event in ("os.mkdir", "fcntl.flock", "subprocess.Popen", "open "):
        assert event in seen


async def test_volume_may_be_named_relative_to_here(
    filled: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(filled.parent)
    assert await bootstrap.ensure(plan, Path(filled.name)) == expected(filled)


async def test_truncated_file_is_set_aside_and_fetched_again(
    index: Index, filled: Path, plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    mind = expected(filled)["llm"]
    mind.write_bytes(mind.read_bytes()[:1000])
    assert await bootstrap.ensure(plan, filled) == expected(filled)
    assert mind.read_bytes() == noise(300_000, 2)
    assert index.wheels_sent == ["tiny_mind-1.0-py3-none-any.whl"]
    aside = filled / "models/.set-aside/tiny-mind-1.0"
    assert (aside / "tiny_mind/mind.gguf").stat().st_size == 1000
    assert "has 1000 bytes instead of 300000; set aside in" in caplog.text


async def test_damage_of_the_same_size_is_repaired_by_a_check(
    index: Index, filled: Path, plan: Plan
) -> None:
    mind = expected(filled)["llm"]
    mind.write_bytes(bytes(300_000))
    await bootstrap.ensure(plan, filled)
    assert index.requests == []
    await bootstrap.ensure(plan, filled, check=True)
    assert mind.read_bytes() == noise(300_000, 2)


async def test_damage_that_was_found_is_not_trusted_after_a_failed_repair(
    index: Index, filled: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected(filled)["llm"].write_bytes(bytes(300_000))
    with monkeypatch.context() as offline:
        offline.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(bootstrap.BootstrapError):
            await bootstrap.ensure(plan, filled, check=True)
    await bootstrap.ensure(plan, filled)
    assert index.wheels_sent == ["tiny_mind-1.0-py3-none-any.whl"]
    assert expected(filled)["llm"].read_bytes() == noise(300_000, 2)


async def test_whole_files_without_a_mark_are_marked_not_fetched(
    index: Index, filled: Path, plan: Plan
) -> None:
    manifest = layout.source_folder(filled, plan.sources[0]) / "manifest.json"
    text = manifest.read_text()
    manifest.unlink()
    assert await bootstrap.ensure(plan, filled) == expected(filled)
    assert manifest.read_text() == text
    assert index.requests == []


async def test_link_that_leads_nowhere_is_replaced(index: Index, filled: Path, plan: Plan) -> None:
    folder = layout.source_folder(filled, plan.sources[1])
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")
    assert await bootstrap.ensure(plan, filled) == expected(filled)
    assert not folder.is_symlink()


async def test_file_that_is_not_the_planned_one_is_refused_and_nothing_kept(
    index: Index, volume: Path, plan: Plan
) -> None:
    [ear, mind] = plan.models
    [file] = mind.source.files
    lie = dataclasses.replace(mind.source, files=(dataclasses.replace(file, sha256="0" * 64),))
    wrong = Plan("embedded", (ear, dataclasses.replace(mind, source=lie)))
    with pytest.raises(bootstrap.BootstrapError, match=r"Refusing tiny-mind 1\.0: .*SHA-256"):
        await bootstrap.ensure(wrong, volume)
    assert not expected(volume)["llm"].exists()
    assert not list(layout.incoming_folder(volume).iterdir())
    # What came before it is whole, and is not fetched again.
    index.reset()
    assert await bootstrap.ensure(plan, volume) == expected(volume)
    assert index.wheels_sent == ["tiny_mind-1.0-py3-none-any.whl"]


def test_two_processes_at_once_download_once(index: Index, volume: Path, command: Command) -> None:
    index.hold()
    arguments = command("--volume", volume)
    with start(arguments) as first:
        assert index.stalled.wait(WAIT_S)
        with start(arguments) as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            assert f"held by process {first.pid} on " in waiting
            index.release()
            assert finish(first)[:2] == (0, told(volume))
            assert finish(second) == (0, told(volume), "")
    assert index.wheels_sent == ["tiny_ear-1.0-py3-none-any.whl", "tiny_mind-1.0-py3-none-any.whl"]


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find pip")
def test_killed_in_the_middle_then_complete(index: Index, volume: Path, command: Command) -> None:
    index.hold()
    with start(command("--volume", volume)) as first:
        assert index.stalled.wait(WAIT_S)
        first.send_signal(signal.SIGKILL)
        finish(first)
    [orphan] = pips(volume)
    os.kill(orphan, signal.SIGKILL)
    assert list(layout.incoming_folder(volume).iterdir())
    index.release()
    status, out, err = finish(start(command("--volume", volume)))
    assert (status, out) == (0, told(volume))
    assert "removed 1 left-over folder" in err
    assert not list(layout.incoming_folder(volume).iterdir())


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find pip")
async def test_cancelling_kills_pip_within_a_second(index: Index, volume: Path, plan: Plan) -> None:
    index.hold()
    running = asyncio.create_task(bootstrap.ensure(plan, volume))
    assert await asyncio.to_thread(index.stalled.wait, WAIT_S)
    assert len(pips(volume)) == 1
    since = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(WAIT_S):
            await running
    assert time.monotonic() - since < 1.0
    assert pips(volume) == []
    assert not list(layout.incoming_folder(volume).iterdir())
    index.release()
    assert await bootstrap.ensure(plan, volume) == expected(volume)


async def test_cancelling_waits_for_the_thread_that_writes() -> None:
    started, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work(stop: object) -> None:
        loop.call_soon_threadsafe(started.set)
        assert stop.wait(WAIT_S)  # type: ignore[attr-defined]
        ended.append("seen")
        raise disk.Stopped

    running = asyncio.create_task(disk.in_thread(work))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["seen"]


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find pip")
def test_terminated_command_takes_pip_with_it(index: Index, volume: Path, command: Command) -> None:
    index.hold()
    with start(command("--volume", volume)) as child:
        assert index.stalled.wait(WAIT_S)
        child.terminate()
        assert finish(child)[0] == 143
    assert pips(volume) == []


def test_read_only_volume_that_is_complete_works(
    index: Index, filled: Path, command: Command, own_mounts: list[str]
) -> None:
    arguments = read_only(own_mounts, filled, command("--volume", filled, "--check"))
    assert finish(start(arguments)) == (0, told(filled), "")


@pytest.mark.parametrize("missing", ["models/wheels/tiny-mind-1.0", "models"])
def test_read_only_volume_that_is_not_says_so(
    index: Index, filled: Path, command: Command, own_mounts: list[str], missing: str
) -> None:
    shutil.rmtree(filled / missing)
    arguments = read_only(own_mounts, filled, command("--volume", filled))
    status, out, err = finish(start(arguments))
    assert (status, out) == (1, "")
    assert "tiny-mind 1.0 into" in err
    assert "Read-only file system" in err
    assert "Give a volume that can be written to" in err
    assert index.requests == []


@pytest.mark.skipif(not Path("/proc/sys").is_dir(), reason="needs a folder that root cannot write")
async def test_volume_that_cannot_be_made_says_so(plan: Plan) -> None:
    with pytest.raises(bootstrap.BootstrapError, match="Give a volume that can be written to"):
        await bootstrap.ensure(plan, Path("/proc/sys/banter"))


def test_space_is_counted_before_a_download(
    index: Index, volume: Path, command: Command, own_mounts: list[str]
) -> None:
    arguments = small(own_mounts, volume, "1m", command("--volume", volume))
    status, _, err = finish(start(arguments))
    assert status == 1
    assert "1.0 MB free, and installing tiny-ear 1.0, tiny-mind 1.0 takes 17.0 MB" in err
    assert "Free 16.0 MB or give a larger volume" in err
    assert index.requests == []


async def test_lack_of_space_costs_the_copy_that_was_set_aside_first(
    index: Index, filled: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    mind = expected(filled)["llm"]
    mind.write_bytes(b"short")
    aside = layout.set_aside_path(filled, plan.sources[1])
    usage = shutil.disk_usage(filled)
    free_bytes = {True: 1_000_000, False: 2_000_000}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=free_bytes[aside.exists()])
    )
    with pytest.raises(bootstrap.BootstrapError, match=r"2\.0 MB free, .* takes 16\.6 MB"):
        await bootstrap.ensure(plan, filled)
    assert not aside.exists()
    assert index.requests == []


def test_disk_that_fills_up_all_the_same_is_named(
    index: Index, volume: Path, command: Command, own_mounts: list[str], wheels: Path
) -> None:
    giant = make_wheel(wheels, "giant", {"giant/giant.bin": noise(9_000_000, 4)})
    # A plan that thinks too little of it, for somebody else may write to the disk meanwhile.
    modest = dataclasses.replace(giant, size_bytes=1, files=())
    plan = Plan("embedded", (Model("llm", modest, "giant"),))
    arguments = small(own_mounts, volume, "17m", command("--volume", volume, plan=plan))
    status, _, err = finish(start(arguments))
    assert status == 1
    assert "Cannot download giant 1.0: the disk is full. Free some space" in err


def test_space_needed_is_the_peak_of_installing_one_by_one(plan: Plan) -> None:
    [ear, mind] = plan.sources
    first = install.space_needed_bytes([ear]) - install.SPARE_BYTES
    both = install.space_needed_bytes([ear, mind]) - install.SPARE_BYTES
    assert first >= ear.size_bytes + ear.unpacked_bytes
    assert both >= ear.unpacked_bytes + mind.size_bytes + mind.unpacked_bytes
    assert both < 2 * (ear.size_bytes + mind.size_bytes)
