"""How a step is run and its tokens read: at once on a CPU, captured and one step late on a GPU.

None of what is for a GPU here has been run on one. It is written to the rules of CUDA graphs
(torch's notes on CUDA semantics): one set of tensors, written in place; nothing of a step asks the
host; capture after a warm-up on a side stream, while nobody is in the batch.

A GPU is given the next step before the tokens of the last are read, so it is never without work.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import torch

from realtime.engines.chatterbox.batch import Batch

Member = TypeVar("Member")
Tokens = list[tuple[Member, int]]

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Rows of the cache that a step is captured for; between them it carries idle rows."""
LENGTH = 256
"""Positions that a step reads are rounded up to a multiple of this, one capture for each."""
WARM_UPS = 2


class Runner(Protocol):
    def warm(self) -> None: ...

    def run(self, n: int, length: int) -> None:
        """One step of the batch's first n rows, which stand below `length`."""

    def read(self, members: Sequence[Member]) -> Tokens[Member]:
        """Whose tokens are known now, `members` being those of the step just run."""


def runner_of(batch: Batch, rows: int) -> Runner:
    if torch.device(batch.device).type == "cuda":
        return Captured(batch, rows)
    return Eager(batch)


class Eager:
    """Each operation as it comes."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def warm(self) -> None:
        """Nothing is prepared."""

    def run(self, n: int, length: int) -> None:
        self._batch.advance(n, length)

    def read(self, members: Sequence[Member]) -> Tokens[Member]:
        tokens: list[int] = self._batch.tokens[: len(members)].tolist()
        return list(zip(members, tokens, strict=True))


class Captured:
    """A CUDA graph for each size and length, made by `warm`."""

    def __init__(self, batch: Batch, rows: int) -> None:
        self._batch = batch
        copies = 2 if batch.guided else 1
        self._sizes = sorted({size // copies for size in SIZES if size // copies < rows} | {rows})
        self._sizes = [size for size in self._sizes if size > 0]
        positions = batch.cache.positions
        self._lengths = [*range(LENGTH, positions, LENGTH), positions]
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}
        self._flight: deque[tuple[list[Any], torch.Tensor, torch.cuda.Event]] = deque()
        # As many as can be on their way at once: the step just given and the one being read.
        self._pinned = [torch.zeros(rows, dtype=torch.int64, pin_memory=True) for _ in range(2)]
        self._turn = 0

    def warm(self) -> None:
        """Capture everything. The batch is empty, so what the warm-ups write means nothing."""
        # One stream for all: cuBLAS keeps a workspace for each that it has ever seen.
        side = torch.cuda.Stream()
        pool = None
        gc.freeze()  # each capture collects garbage first
        try:
            for size in reversed(self._sizes):  # the largest first: the others fit into its memory
                for length in reversed(self._lengths):
                    graph = self._capture(size, length, side, pool)
                    pool = graph.pool()
                    self._graphs[size, length] = graph
        finally:
            gc.unfreeze()
        torch.cuda.synchronize()

    def _capture(self, size: int, length: int, side: Any, pool: Any) -> torch.cuda.CUDAGraph:
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._batch.advance(size, length)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # "global", the default, fails when another thread allocates, and Whisper warms up meanwhile
        with torch.cuda.graph(graph, pool=pool, stream=side, capture_error_mode="thread_local"):
            self._batch.advance(size, length)
        return graph

    def run(self, n: int, length: int) -> None:
        size = next(size for size in self._sizes if size >= n)
        read = next(found for found in self._lengths if found >= length)
        graph = self._graphs.get((size, read))
        if graph is None:
            self._batch.advance(n, length)
        else:
            graph.replay()

    def read(self, members: Sequence[Member]) -> Tokens[Member]:
        """Those of the step before, which has ended by now or soon will."""
        pinned = self._pinned[self._turn]
        self._turn = 1 - self._turn
        pinned[: len(members)].copy_(self._batch.tokens[: len(members)], non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._flight.append((list(members), pinned, event))
        if len(self._flight) < 2:
            return []
        before, tokens, event = self._flight.popleft()
        event.synchronize()
        return list(zip(before, tokens[: len(before)].tolist(), strict=True))
