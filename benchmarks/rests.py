"""What memory costs that nobody touched for a while: a model's first run after a rest.

    python -m benchmarks.rests --json FILE

A run of a model goes once through all its weights. On some virtual machines the host keeps track of
which pages are in use, and one that was not touched for a second costs microseconds when it is
touched again; 100 MB of weights are 25,000 pages. Memory of this size is touched after rests of
several lengths, in small pages and in huge ones, and the price of a page is told. On a machine
without that it is the same after every rest. No page is ever away from the guest: there are no page
faults in it.
"""

from __future__ import annotations

import argparse
import mmap
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import emit, machine, percentile, table

RESTS_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
PAGE_BYTES = 4_096
HUGE_BYTES = 2 * 2**20
ROUNDS = 5
MEGABYTES = 100


def touched_us(pages: NDArray[np.uint8]) -> float:
    """Microseconds for each page, of which one byte is read."""
    begun = time.perf_counter()
    pages.sum()
    return (time.perf_counter() - begun) / len(pages) * 1e6


def price_us(pages: NDArray[np.uint8], rest_s: float) -> float:
    """The median of a page's price after a rest, in microseconds."""
    found = []
    for _ in range(ROUNDS):
        touched_us(pages)
        time.sleep(rest_s)
        found.append(touched_us(pages))
    return percentile(found, 50)


def prices_us(advice: int) -> list[float]:
    """After each of `RESTS_S`, for memory that is mapped with this advice."""
    size = MEGABYTES * 2**20
    with mmap.mmap(-1, size + HUGE_BYTES) as memory:
        memory.madvise(advice)
        held = np.frombuffer(memory, np.uint8)
        held[:] = 1
        pages = held[:size:PAGE_BYTES]
        found = [price_us(pages, rest_s) for rest_s in RESTS_S]
        del held, pages  # the mapping cannot be closed while an array looks at it
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="The price of memory that rested.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    told = machine()
    small, huge = prices_us(mmap.MADV_NOHUGEPAGE), prices_us(mmap.MADV_HUGEPAGE)
    rows = [list(each) for each in zip(RESTS_S, small, huge, strict=True)]
    print(table(["rest, s", "us a page of 4 kB", "in huge pages"], rows), "\n")
    emit(
        {
            "benchmark": "rests",
            "machine": told,
            "megabytes": MEGABYTES,
            "rests_s": RESTS_S,
            "small_us": [round(each, 2) for each in small],
            "huge_us": [round(each, 2) for each in huge],
        },
        args.json,
    )


if __name__ == "__main__":
    main()
