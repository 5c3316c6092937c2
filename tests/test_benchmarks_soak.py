"""The soak's arithmetic: thirds, drifts, what is lost and what is held."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
from aiohttp.test_utils import TestServer

from benchmarks.arrivals import endless
from benchmarks.clips import Clip
from benchmarks.rowdy import KINDS, Rowdy, as_json
from benchmarks.server import Server
from benchmarks.soak import QUEUE, Soak, bugs_in, drawing, least, process, still
from benchmarks.thirds import (
    LOST,
    Run,
    Sample,
    Spoken,
    drift,
    leaked,
    medians,
    slope_mb_per_hour,
    third,
)
from realtime.metrics import Metrics
from realtime.server import make_app
from realtime.session_config import SessionConfig
from realtime.speaker import Manners
from tests.client import clip
from tests.fakes import FakeRuntime

AT_REST = Sample(s=0, rss_mb=300, threads=9, files=20, tasks=5, sessions=0)
CLIP = Clip("a.flac", "speech", "hi", np.zeros(2_400, np.int16), 0, 2_399)


def sampled(mb: list[float]) -> list[Sample]:
    """One sample a second."""
    return [replace(AT_REST, s=float(s), rss_mb=value) for s, value in enumerate(mb)]


def answered(waits_ms: list[float]) -> list[Spoken]:
    """One turn a second."""
    return [Spoken(float(s), "answered", ms) for s, ms in enumerate(waits_ms)]


def test_a_moment_lies_in_a_third():
    assert [third(s, 90) for s in (-1, 0, 29.9, 30, 59.9, 60, 90, 200)] == [0, 0, 0, 1, 1, 2, 2, 2]
    assert third(5, 0) == 0


def test_medians_of_thirds_leave_empty_ones_open():
    pairs = [(0.0, 1.0), (1.0, 3.0), (8.0, 5.0)]
    assert medians(pairs, 9) == [2.0, None, 5.0]


def test_a_drift_is_a_share_of_what_was_before():
    assert drift(200, 210) == pytest.approx(0.05)
    assert drift(None, 210) is drift(200, None) is drift(0, 1) is None


def test_memory_is_judged_by_its_last_two_thirds():
    grows_at_first = Run(9, sampled([100, 200, 290, 300, 300, 300, 310, 310, 310]))
    assert grows_at_first.verdicts()["memory stays"]["ok"] is True
    goes_on = Run(9, sampled([300] * 6 + [320] * 3))
    found = goes_on.verdicts()["memory stays"]
    assert (found["ok"], found["last_third_vs_second"]) == (False, 0.0667)


def test_the_slope_is_that_of_a_straight_line():
    assert slope_mb_per_hour(sampled([100 + s / 36 for s in range(100)])) == 100.0
    assert slope_mb_per_hour(sampled([1, 2])) is None


def test_waits_are_judged_by_the_first_and_the_last_third():
    assert Run(9, spoken=answered([500] * 3 + [900] * 3 + [540] * 3)).verdicts()["waits stay"]["ok"]
    slower = Run(9, spoken=answered([500] * 6 + [560] * 3)).verdicts()["waits stay"]
    assert (slower["ok"], slower["ms"]) == (False, [500.0, 500.0, 560.0])


def test_a_turn_is_lost_where_nobody_says_why():
    turns = [Spoken(0, outcome, None) for outcome in (*LOST, "empty transcript", "response failed")]
    assert [turn.lost for turn in turns] == [True] * len(LOST) + [False, False]
    assert not replace(turns[0], told=True).lost
    run = Run(9, spoken=[*answered([500]), turns[0]])
    assert run.verdicts()["no turn is lost"]["ok"] is False


def test_a_call_that_broke_is_a_loss_too():
    run = Run(9, spoken=answered([500]))
    assert run.verdicts()["no turn is lost"]["ok"] is True
    run.calls_broken["closed with code 1011"] += 1
    assert run.verdicts()["no turn is lost"]["ok"] is False


def test_what_is_held_at_rest_may_become_less_and_not_more():
    assert leaked(AT_REST, replace(AT_REST, threads=8, rss_mb=900)) == {}
    assert leaked(AT_REST, replace(AT_REST, tasks=6, files=22)) == {"tasks": 1, "files": 2}
    run = Run(9, before=AT_REST, after=replace(AT_REST, sessions=1))
    assert run.verdicts()["nothing is held"] == {"ok": False, "leaked": {"sessions": 1}}


def test_a_server_rests_when_only_the_looks_come_and_go():
    looks = [replace(AT_REST, files=20 + n % 2, tasks=6 - n % 2) for n in range(8)]
    assert still(looks)
    assert least(looks) == replace(looks[-1], files=20, tasks=5)
    assert not still([*looks, replace(AT_REST, threads=8)])
    assert not still([*looks, replace(AT_REST, sessions=1)])
    assert not still([*looks, replace(AT_REST, files=22)])


def test_a_run_of_nothing_says_nothing():
    assert {each["ok"] for each in Run(0).verdicts().values()} == {None}


def test_a_seed_draws_the_same_troubles_and_each_before_any_comes_again():
    one, other = (endless(list(KINDS), Random("7 rowdy 1")) for _ in range(2))
    drawn = [next(one) for _ in range(3 * len(KINDS))]
    assert drawn == [next(other) for _ in range(3 * len(KINDS))]
    assert set(drawn[: len(KINDS)]) == set(KINDS)


@pytest.mark.parametrize("kind", ["garbage", "keys", "push-to-talk", "storm"])
async def test_trouble_is_made_and_what_is_owed_comes(kind: str, runtime: FakeRuntime) -> None:
    """The quick ones, against a server with thin engines."""
    key = "a-key-of-this-server"
    app = make_app(runtime, Metrics(), SessionConfig(), Manners(pacing=None), keys=[key])
    pcm = np.frombuffer(clip("ls_6930_0000"), "<i2")[:24_000]
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        rowdy = Rowdy(url, key, [Clip("a.flac", "speech", "", pcm, 2_400, 12_000)])
        await rowdy.make(kind, Random(1))
        status = await Server(url, key=key).status()
    told = as_json(rowdy)
    assert (told["made"], told["owed"], told["broken"]) == ({kind: 1}, {}, {})
    assert status["tasks"] > 0


async def test_what_breaks_in_making_trouble_is_counted():
    rowdy = Rowdy("http://127.0.0.1:1", "", [CLIP])
    await rowdy.make("hold the line", Random(1))
    told = as_json(rowdy)
    assert told["made"] == {"hold the line": 1}
    assert [name.split(":")[0] for name in told["broken"]] == ["hold the line"]


def test_a_process_tells_what_it_holds():
    import os

    rss_mb, threads, files, _ = process(os.getpid())
    assert rss_mb > 10
    assert threads >= 1
    assert files > 2
    assert process(None) == (0.0, 0, 0, 0)


def test_a_log_is_searched_for_bugs(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("a INFO b: fine\na ERROR b: session s failed\nTraceback (most recent call\n")
    assert len(bugs_in(log)) == 2
    assert bugs_in(None) == []


def test_queues_are_read_from_metrics():
    text = '# HELP\nbanter_queue_depth{stage="whisper"} 3.0\nbanter_queue_fill_ratio{stage="a"} 1\n'
    assert QUEUE.findall(text) == [("whisper", "3.0")]


async def test_a_run_that_is_over_is_told_at_once_and_drawn():
    args = SimpleNamespace(minutes=1.0, seed=7)
    soak = Soak(args, Server("http://127.0.0.1:1"), [CLIP])  # type: ignore[arg-type]
    asyncio.get_running_loop().call_soon(soak.over.set)
    await asyncio.wait_for(soak.pause(30), 5)
    run = Run(9, sampled([300] * 9), answered([500] * 9))
    assert drawing(run).count("<polyline") == 6
