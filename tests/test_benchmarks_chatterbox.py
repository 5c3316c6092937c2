"""Floors, shares and joints: what the benchmarks of Chatterbox work out from what they measure."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.chatterbox import against
from benchmarks.chatterbox_callers import over_the_limit
from benchmarks.floor import Floor, Rates, step_floor, work_floor
from benchmarks.joints import AROUND, Joints, joints_of
from benchmarks.stages import StageClock, shares
from benchmarks.whisper_weights import PROMPT, tokenizer_of

RATES = Rates(bytes_per_s=1e9, flops=1e9, half_flops=4e9)
RATE_HZ = 24_000


def hum(seconds: float = 2.0) -> np.ndarray:
    """A voiced-like sound: harmonics of 120 Hz and a little noise."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    waves = sum(np.sin(2 * np.pi * 120 * k * t + k) / k for k in range(1, 20))
    noise = np.random.default_rng(3).normal(size=t.size)
    return (0.1 * waves + 0.002 * noise).astype(np.float32)


def test_a_step_of_few_rows_is_bound_by_reading_and_one_of_many_by_computing() -> None:
    step = {"weights": 4_000_000, "cache": 0, "parameters": 1_000_000, "half": False}
    alone = step_floor(**step, rows=1, rates=RATES)
    many = step_floor(**step, rows=8, rates=RATES)
    assert alone.seconds == pytest.approx(0.004)
    assert "GB of weights" in alone.bound_by
    assert many.seconds == pytest.approx(0.016)
    assert "GFLOP" in many.bound_by
    half = step_floor(**{**step, "half": True}, rows=8, rates=RATES)
    assert half.seconds == pytest.approx(0.004), "four times the rate: reading is what is left"


def test_of_two_measurements_the_better_rates_count() -> None:
    assert RATES.better(Rates(2e9, 5e8, 8e9)) == Rates(2e9, 1e9, 8e9)


def test_a_floor_is_told_in_words() -> None:
    told = work_floor(2e9, RATES.flops).against("flow of a line", 5.0)
    assert told == (
        "flow of a line: 5000.00 ms measured, 2000.00 ms at best (2 GFLOP at 1 GFLOPS): "
        "2.5 times the floor"
    )
    assert Floor(1.0, "x").against("steps", 0.0) == "steps: not measured"


def test_a_clock_times_methods_and_leaves_what_they_give() -> None:
    part = SimpleNamespace(run=lambda x: time.sleep(0.01) or x + 1)
    waited: list[int] = []
    clock = StageClock(lambda: waited.append(1))
    clock.around(part, "run", "flow")
    assert [part.run(1), part.run(2)] == [2, 3]
    assert clock.calls["flow"] == 2
    assert clock.seconds["flow"] >= 0.02
    assert len(waited) == 4, "before and after each call"
    clock.around(part, "run", "beside", on_host=True)
    waited.clear()
    part.run(1)
    assert len(waited) == 2, "of the inner clock alone"


def test_shares_leave_the_rest_and_what_ran_beside_is_not_taken_from_it() -> None:
    told = shares({"steps": 2.0, "flow": 1.0, "watermark": 3.0}, 4.0, beside=("watermark",))
    assert told == {"steps": 50.0, "flow": 25.0, "watermark": 75.0, "rest": 25.0}
    assert shares({"steps": 1.0}, 0.0) == {}


def test_each_figure_is_put_beside_upstream() -> None:
    told = {
        "upstream": {
            "t3_tokens_per_s": 10.0,
            "times_real_time": 0.25,
            "line_ms": {"median": 1_000.0},
        },
        "t3": {"8": {"tokens_per_s": 50.0}},
        "whole": {"8": {"times_real_time": 1.0}},
        "stream": {"8": {"times_real_time": 0.5}},
    }
    against(told)
    assert told["t3"]["8"]["times_upstream"] == 5.0
    assert told["whole"]["8"]["times_upstream"] == 4.0
    assert told["stream"]["8"] == {
        "times_real_time": 0.5,
        "times_upstream": 2.0,
        "speed_of_whole": 0.5,
        "upstream_first_ms_computed": 4_500.0,
    }


@pytest.mark.parametrize(("lag_ms", "moves_out"), [(5.0, False), (21.0, True), (None, None)])
def test_where_the_loop_lags_the_voice_moves_out(lag_ms: float | None, moves_out: object) -> None:
    assert over_the_limit({"loop_lag_p99_ms": lag_ms}) is moves_out


def test_a_step_in_the_wave_is_found_where_chunks_meet() -> None:
    sound, places = hum(), [12_000, 24_000, 36_000]
    smooth = joints_of(sound, places)
    assert (len(smooth.at_joints), smooth.clicks) == (3, 0)
    clicking = sound.copy()
    clicking[24_000:] += 0.05
    found = joints_of(clicking, places)
    assert found.clicks == 1
    assert found.facts["worst_at_joints"] > found.facts["percent_99_elsewhere"]


def test_samples_that_are_lost_are_found_too() -> None:
    sound = hum()
    sound = np.concatenate((sound[:24_000], sound[24_060:]))
    assert joints_of(sound, [24_000]).clicks == 1
    assert joints_of(sound, [30_000]).clicks == 0


def test_silence_and_the_very_ends_are_not_judged() -> None:
    sound = np.concatenate((np.zeros(24_000, np.float32), hum(1.0)))
    found = joints_of(sound, [12_000, 10, len(sound) - AROUND + 1])
    assert found.at_joints == ()
    assert len(found.elsewhere) > 100
    assert joints_of(np.zeros(0, np.float32), []) == Joints((), ())
    assert Joints((), ()).facts["median_elsewhere"] is None


def test_marks_of_a_multilingual_whisper_have_their_numbers() -> None:
    pytest.importorskip("transformers")
    words = {f"w{n}": n for n in range(50_256)} | {"<|endoftext|>": 50_256}
    english = {"model": {"vocab": words}, "added_tokens": [], "post_processor": {}}
    tokens = tokenizer_of(json.dumps(english))
    numbers = {token["content"]: token["id"] for token in tokens["added_tokens"]}
    assert [numbers[name] for name in PROMPT] == [50_258, 50_259, 50_360, 50_364]
    assert (numbers["<|endoftext|>"], numbers["<|0.00|>"], max(numbers.values())) == (
        50_257,
        50_365,
        51_865,
    )
    assert tokens["model"]["vocab"][""] == 50_256
