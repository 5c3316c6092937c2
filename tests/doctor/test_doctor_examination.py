"""Checks side by side: each comes to an end, however it behaves, and the report is whole."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Sequence

import pytest

from realtime.doctor.child import Ended, read, run
from realtime.doctor.examination import Check, blocking, examine
from realtime.doctor.finding import Finding, Level, Report, error, ok, warning

GOOD = ok("good", "as it should be")


async def good() -> Sequence[Finding]:
    return [GOOD]


async def test_they_run_at_once_and_are_told_in_their_order() -> None:
    met = asyncio.Barrier(2)

    async def wait_for_the_other() -> Sequence[Finding]:
        await met.wait()
        return [GOOD]

    both = [Check("one", wait_for_the_other), Check("two", wait_for_the_other)]
    assert await examine([*both, Check("three", good)]) == [GOOD, GOOD, GOOD]
    assert await examine([]) == []


async def test_a_check_that_raises_is_a_line_of_its_own() -> None:
    async def bad() -> Sequence[Finding]:
        raise KeyError("surprise")

    first, second = await examine([Check("bad", bad), Check("good", good)])
    assert (first.level, first.subject) == (Level.ERROR, "bad")
    assert "KeyError: 'surprise'" in first.seen
    assert second == GOOD


async def test_a_check_that_never_ends_is_given_up() -> None:
    ended = asyncio.Event()

    async def endless() -> Sequence[Finding]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return []

    late, in_time = await examine([Check("slow", endless), Check("good", good)], limit_s=0.1)
    assert (late.level, late.seen) == (Level.ERROR, "no answer within 0.1 s")
    assert in_time == GOOD
    assert ended.is_set()


async def test_a_thread_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()
    threads: list[threading.Thread] = []

    def hang() -> Sequence[Finding]:
        threads.append(threading.current_thread())
        release.wait(60)
        return [GOOD]

    [finding] = await examine([Check("disk", blocking(hang))], limit_s=0.1)
    release.set()
    assert (finding.level, finding.subject) == (Level.ERROR, "disk")
    assert threads[0].daemon  # or the process would wait for it at its end


async def test_threads_answer_and_raise() -> None:
    def bad() -> Sequence[Finding]:
        raise OSError("disk on fire")

    checks = [Check("good", blocking(lambda: [GOOD])), Check("bad", blocking(bad))]
    first, second = await examine(checks)
    assert first == GOOD
    assert "disk on fire" in second.seen


async def test_a_program_that_hangs_is_killed_and_what_it_said_is_kept() -> None:
    ended = await run(["sh", "-c", "echo $$; exec sleep 60"], limit_s=1)
    assert ended.status is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(ended.output), 0)


async def test_cancelling_a_program_that_is_just_starting() -> None:
    running = asyncio.create_task(run(["sleep", "60"], limit_s=60))
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=20)
    assert done == {running}
    assert running.cancelled()


def test_what_a_probe_said_before_it_died() -> None:
    said = '\x1e{"step": "import torch"}\nnoise\n'
    assert read(Ended(-11, said, ""), 45).trouble == (
        "it was killed by SIGSEGV while it was at import torch"
    )
    assert read(Ended(None, said, ""), 45).trouble == (
        "no answer within 45 s while it was at import torch"
    )
    whole = said + '\x1e{"facts": {"version": "1"}}\n'
    assert read(Ended(-6, whole, "aborted on exit"), 45).facts == {"version": "1"}


def test_whatever_is_wrong_comes_with_a_remedy() -> None:
    with pytest.raises(ValueError, match="without a remedy"):
        Finding(Level.WARNING, "gpu", "hot")


def test_a_report_for_people_and_for_machines() -> None:
    well = Report("embedded", [GOOD, warning("disk", "nearly full", "free some")])
    ill = Report("gpu", [error("gpu", "none", "get one"), GOOD])
    assert (well.exit_status, ill.exit_status) == (0, 1)
    assert well.as_text().endswith(
        "0 errors, 1 warning: nothing stands in the way of the profile embedded."
    )
    assert "error    gpu              none\n" in ill.as_text()
    assert "remedy: get one" in ill.as_text()
    told = json.loads(ill.as_json())
    assert (told["ok"], told["errors"], told["warnings"]) == (False, 1, 0)
    assert told["findings"][0] == {
        "level": "error", "subject": "gpu", "seen": "none", "remedy": "get one"
    }  # fmt: skip
