"""Weights in pages of 2 MB instead of 4 kB: models run faster, above all after a rest.

A run goes once through all weights of its model. That is 25,000 pages for 100 MB, and a processor
remembers where some 2,000 are; each other one has to be looked up. On a virtual machine whose host
keeps track of which pages are in use it is worse: one that rested for a second costs microseconds
when it is touched again. Of 2 MB pages there are 512 times fewer. `benchmarks/LOG.md` has what that
gains.

On Linux, where `/sys/kernel/mm/transparent_hugepage/enabled` is not `never`; elsewhere nothing is
done. Memory grows by a tenth of what is gathered at most: only what is resident is.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

log = logging.getLogger("banter.memory")

HUGE_BYTES = 2 * 2**20
RESIDENT = 0.9
"""Of a stretch of memory, what must be there already: the rest would be filled with zeros."""

MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25
"""The kernel gathers when it has time; at once, from Linux 6.1 on."""

HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)")
OWN_NAMES = ("", "[heap]")

SMAPS = Path("/proc/self/smaps")
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def possible() -> bool:
    """Whether the system has huge pages and lets processes have them."""
    try:
        return sys.platform == "linux" and "[never]" not in SWITCH.read_text(encoding="ascii")
    except OSError:
        return False


def gather() -> int:
    """Gather the process's large anonymous memory into huge pages; blocks for some tenths of a
    second. Gives the bytes that were gathered. Before Linux 6.1 that is 0, and the kernel does it
    by and by.
    """
    if not possible():
        return 0
    try:
        told = SMAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        log.debug("no huge pages: %s", error)
        return 0
    return sum(length for begin, length in worth_it(told) if advised(begin, length))


def advised(begin: int, length: int) -> bool:
    """Whether this memory was gathered at once. If another thread gives it back meanwhile, the
    kernel says so and nothing happens."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if libc.madvise(begin, length, MADV_COLLAPSE) == 0:
        return True
    if ctypes.get_errno() == errno.EINVAL:  # an older kernel
        libc.madvise(begin, length, MADV_HUGEPAGE)
    return False


def worth_it(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Address and length of what can be huge pages, of the lines of `/proc/PID/smaps`: private
    anonymous memory that is written to, resident, and whole pages of it."""
    begin = end = 0
    own = False
    for line in smaps:
        if head := HEAD.match(line):
            begin, end = int(head[1], 16), int(head[2], 16)
            own = head[3] == "rw-p" and head[4] == "0" and head[5] in OWN_NAMES
        elif own and line.startswith("Rss:"):
            resident = 1024 * int(line.split()[1])
            first, last = -(-begin // HUGE_BYTES) * HUGE_BYTES, end // HUGE_BYTES * HUGE_BYTES
            if last > first and resident >= RESIDENT * (end - begin):
                yield first, last - first
