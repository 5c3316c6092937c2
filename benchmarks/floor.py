"""What a machine could do at best: bytes over its bandwidth, operations over its rate.

Both rates are measured, not read off a data sheet: a copy of half a gigabyte, and the product of
two square matrices.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

COPIED_BYTES = 2**29
SIDE = {"cpu": 2048, "cuda": 8192}
REPEATS = 7


@dataclass(frozen=True)
class Rates:
    """Of one device."""

    bytes_per_s: float
    """Read plus written, by a copy."""
    flops: float
    """Single precision, as S3Gen and, on a CPU, T3 are computed."""
    half_flops: float
    """bfloat16; of a CPU the same as `flops`."""

    def better(self, other: Rates) -> Rates:
        """The best that was seen: others may use the machine while one of them is measured."""
        return Rates(*(max(pair) for pair in zip(astuple(self), astuple(other), strict=True)))

    @property
    def facts(self) -> dict[str, float]:
        return {
            "bandwidth_gb_per_s": round(self.bytes_per_s / 1e9, 1),
            "matmul_gflops": round(self.flops / 1e9),
            "matmul_half_gflops": round(self.half_flops / 1e9),
        }


@dataclass(frozen=True)
class Floor:
    """The least time that a piece of work can take, and what sets it."""

    seconds: float
    bound_by: str

    def against(self, what: str, measured_s: float) -> str:
        """One sentence: the floor, the measurement, and how far they are apart."""
        if not measured_s:
            return f"{what}: not measured"
        return (
            f"{what}: {measured_s * 1e3:.2f} ms measured, {self.seconds * 1e3:.2f} ms at best "
            f"({self.bound_by}): {measured_s / self.seconds:.1f} times the floor"
        )


def step_floor(
    *, weights: int, cache: int, parameters: int, rows: int, half: bool, rates: Rates
) -> Floor:
    """Of one step of a decoder: its weights and the cache are read once, and each parameter is
    multiplied and added once for each row. `weights` and `cache` are bytes.
    """
    read_s = (weights + cache) / rates.bytes_per_s
    flops = rates.half_flops if half else rates.flops
    computed_s = 2 * parameters * rows / flops
    if read_s >= computed_s:
        told = f"{weights / 1e9:.2f} GB of weights and {cache / 1e9:.2f} GB of cache"
        return Floor(read_s, f"{told} at {rates.bytes_per_s / 1e9:.1f} GB/s")
    told = f"{2 * parameters * rows / 1e9:.1f} GFLOP"
    return Floor(computed_s, f"{told} at {flops / 1e12:.2f} TFLOPS")


def work_floor(flop: float, flops: float) -> Floor:
    """Of work that is bound by arithmetic."""
    return Floor(flop / flops, f"{flop / 1e9:.0f} GFLOP at {flops / 1e9:.0f} GFLOPS")


def measured_rates(device: str) -> Rates:
    """Copy and multiply on the device; the best of some."""
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    source = torch.ones(COPIED_BYTES // 4, device=device)
    target = torch.empty_like(source)
    copied_s = _best_s(lambda: target.copy_(source), wait)
    single_s = _best_s(_product(device, torch.float32), wait)
    half_s = _best_s(_product(device, torch.bfloat16), wait) if device == "cuda" else single_s
    flop = 2 * SIDE[device] ** 3
    return Rates(2 * COPIED_BYTES / copied_s, flop / single_s, flop / half_s)


def _product(device: str, dtype: Any) -> Callable[[], Any]:
    import torch

    a, b = (torch.randn(SIDE[device], SIDE[device], device=device, dtype=dtype) for _ in "ab")
    return lambda: a @ b


def _best_s(work: Callable[[], Any], wait: Callable[[], None]) -> float:
    took = []
    for _ in range(REPEATS):
        wait()
        begun_at = time.perf_counter()
        work()
        wait()
        took.append(time.perf_counter() - begun_at)
    return min(took)
