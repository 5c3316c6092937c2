"""A download that is ended in the middle: killed, cancelled, terminated. The next one goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fake_hub import Hub
from fake_index import WAIT_S
from small_models import EAR, FILES, VOICE, VOICE_FILES, hub_plan
from volumes import (
    arrived_bytes,
    broken,
    fetched_models,
    finish,
    left_over,
    start,
    told,
    until,
)

import bootstrap
from bootstrap import volume as layout

Command = Callable[..., list[str]]

HAS_PROC = Path("/proc/self/cmdline").exists()
SEED = 20_261_124
ROUNDS = 10
LONGEST_S = 1.6
RATE = 100_000
"""Bytes a second of one connection: too few for the ten rounds to be enough for the largest."""
TOTAL_BYTES = sum(len(FILES[VOICE][path]) for path in VOICE_FILES) + sum(
    len(content) for path, content in FILES[EAR].items() if path != "README.md"
)


def fetchers(volume: Path) -> list[int]:
    """The child processes that write to a volume."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"bootstrap.fetch" in words and str(volume).encode() in environment:
            found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _patient_client(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that is held for a moment is not to look like one that is silent."""
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")


def kill(process: int) -> None:
    """If it still lives."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def gpu(command: Command, volume: Path) -> list[str]:
    return command("--profile", "gpu", "--volume", volume, plan=hub_plan())


@pytest.mark.pace
def test_killed_at_ten_random_moments_then_complete(
    hub: Hub, volume: Path, command: Command
) -> None:
    """With the whole group, or the parent alone, as the out-of-memory killer may choose."""
    moments = random.Random(SEED)
    hub.bytes_a_second = RATE
    killed = 0
    for _ in range(ROUNDS):
        alone, wait_s = moments.random() < 0.5, moments.uniform(0.0, LONGEST_S)
        with start(gpu(command, volume)) as child:
            try:
                child.wait(wait_s)
            except subprocess.TimeoutExpired:
                killed += 1
                if not alone:
                    for fetcher in fetchers(volume):
                        kill(fetcher)
                child.kill()
            finish(child)
        assert broken(volume) == []
    assert killed == ROUNDS
    hub.bytes_a_second = 0
    assert finish(start(gpu(command, volume)))[:2] == (0, told(volume))
    assert broken(volume) == []
    assert left_over(volume) == []
    # What had arrived was not fetched again: only what was on its way when it was killed.
    assert sum(hub.sent.values()) < TOTAL_BYTES + ROUNDS * RATE


STEPS = [("-m", 20), ("-m", 57), ("child", 11), ("child", 16)]
"""Changes to the volume, by the fetching process and by its parent; the last is the state file."""


@pytest.mark.parametrize(("process", "step"), STEPS)
def test_killed_at_a_step_then_complete(
    hub: Hub,
    volume: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    process: str,
    step: int,
) -> None:
    arguments = gpu(command, volume)
    with monkeypatch.context() as crashing:
        path = os.pathsep.join([str(Path(__file__).parent / "crash"), os.environ["PYTHONPATH"]])
        crashing.setenv("PYTHONPATH", path)
        crashing.setenv("CRASH_IN", arguments[1] if process == "child" else "bootstrap.fetch")
        crashing.setenv("CRASH_AT", str(step))
        crashing.setenv("CRASH_BELOW", str(volume))
        status, _, err = finish(start(arguments))
    assert status == (-signal.SIGKILL if process == "child" else 1)
    assert process == "child" or "the fetching process was killed by signal 9" in err
    assert broken(volume) == []
    assert finish(start(arguments))[:2] == (0, told(volume))
    assert broken(volume) == []
    assert left_over(volume) == []
    assert '"state": "complete"' in layout.state_path(volume).read_text()


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find the child")
def test_child_ends_with_its_parent_and_holds_the_lock_until_then(
    hub: Hub, volume: Path, command: Command
) -> None:
    hub.hold()
    with ExitStack() as at_the_end:
        with start(gpu(command, volume)) as first:
            assert hub.stalled.wait(WAIT_S)
            [orphan] = fetchers(volume)
            os.kill(orphan, signal.SIGSTOP)  # as if it were too busy to notice
            at_the_end.callback(kill, orphan)
            first.kill()
            finish(first)
        hub.release()
        with start(gpu(command, volume)) as second:
            assert second.stderr is not None
            assert f"held by process {first.pid} on " in second.stderr.readline()
            os.kill(orphan, signal.SIGCONT)
            assert finish(second)[:2] == (0, told(volume))
    assert fetchers(volume) == []
    assert broken(volume) == []


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find the child")
def test_child_that_waits_for_the_hub_ends_with_its_parent_too(
    hub: Hub, volume: Path, command: Command
) -> None:
    hub.hold()
    with start(gpu(command, volume)) as first:
        assert hub.stalled.wait(WAIT_S)
        assert len(fetchers(volume)) == 1
        first.kill()
        finish(first)
    until(lambda: fetchers(volume) == [])


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find the child")
async def test_cancelling_kills_the_child_within_a_second_and_the_next_run_goes_on(
    hub: Hub, volume: Path
) -> None:
    hub.hold()
    running = asyncio.create_task(bootstrap.ensure(hub_plan(), volume))
    await asyncio.to_thread(until, lambda: arrived_bytes(volume) > 500_000)
    assert len(fetchers(volume)) == 1
    since = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(WAIT_S):
            await running
    assert time.monotonic() - since < 1.0
    assert fetchers(volume) == []
    before = arrived_bytes(volume)
    assert before > 500_000
    assert '"state": "stopped"' in layout.state_path(volume).read_text()
    hub.release()
    assert await bootstrap.ensure(hub_plan(), volume) == fetched_models(volume)
    begins = [int(asked[6:-1]) for ranges in hub.ranges.values() for asked in ranges]
    assert sum(begins) == before
    assert broken(volume) == []


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc to find the child")
def test_terminated_command_takes_the_child_with_it(
    hub: Hub, volume: Path, command: Command
) -> None:
    hub.hold()
    with start(gpu(command, volume)) as child:
        assert hub.stalled.wait(WAIT_S)
        child.terminate()
        assert finish(child)[0] == 143
    assert fetchers(volume) == []
