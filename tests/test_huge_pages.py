"""Which memory is gathered into huge pages, and that it is."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime import huge_pages
from realtime.huge_pages import HUGE_BYTES, advised, gather, possible, worth_it


def mapping(begin: int, end: int, rss_kb: int, rest: str = "rw-p 00000000 00:00 0 ") -> list[str]:
    return [f"{begin:x}-{end:x} {rest}", f"Size: {(end - begin) // 1024} kB", f"Rss: {rss_kb} kB"]


def test_whole_pages_of_resident_memory_are_worth_it() -> None:
    begin, end = 3 * HUGE_BYTES - 4096, 6 * HUGE_BYTES + 8192
    found = list(worth_it(mapping(begin, end, (end - begin) // 1024)))
    assert found == [(3 * HUGE_BYTES, 3 * HUGE_BYTES)]


@pytest.mark.parametrize(
    "lines",
    [
        mapping(HUGE_BYTES, 3 * HUGE_BYTES, 1024),  # half of it would be zeros
        mapping(HUGE_BYTES, 3 * HUGE_BYTES, 4096, "r--p 00000000 00:00 0 "),
        mapping(HUGE_BYTES, 3 * HUGE_BYTES, 4096, "rw-p 00000000 08:01 77 /usr/lib/libc.so"),
        mapping(HUGE_BYTES, 3 * HUGE_BYTES, 4096, "rw-p 00000000 00:00 0 [stack]"),
        mapping(HUGE_BYTES - 4096, 2 * HUGE_BYTES - 4096, 2048),  # no whole page in it
    ],
    ids=["sparse", "read only", "a file", "a stack", "unaligned"],
)
def test_other_memory_is_left_as_it_is(lines: list[str]) -> None:
    assert list(worth_it(lines)) == []


def in_huge_pages(address: int) -> int:
    """Bytes of the mapping with this address that the kernel tells of as huge pages."""
    inside = False
    for line in huge_pages.SMAPS.read_text(errors="replace").splitlines():
        if head := huge_pages.HEAD.match(line):
            inside = int(head[1], 16) <= address < int(head[2], 16)
        elif inside and line.startswith("AnonHugePages:"):
            return 1024 * int(line.split()[1])
    return 0


def test_memory_of_this_process_becomes_huge_pages() -> None:
    length = 16 * HUGE_BYTES
    with mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        weights = np.frombuffer(memory, np.uint8)
        weights[:] = 7
        address = weights.ctypes.data
        begin = -(-address // HUGE_BYTES) * HUGE_BYTES
        if not (possible() and advised(begin, 8 * HUGE_BYTES)):
            pytest.skip("this system has no huge pages to give now")
        assert in_huge_pages(begin) >= 8 * HUGE_BYTES
        assert gather() > 0
        assert int(weights.min()) == int(weights.max()) == 7
        del weights


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    switch = tmp_path / "enabled"
    monkeypatch.setattr(huge_pages, "SWITCH", switch)
    assert not possible()
    switch.write_text("always madvise [never]")
    assert gather() == 0
    switch.write_text("always [madvise] never")
    assert possible() == (sys.platform == "linux")
    monkeypatch.setattr(huge_pages, "SMAPS", tmp_path / "none")
    assert gather() == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not possible()
