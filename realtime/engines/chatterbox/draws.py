"""The chance in sampling: each row has a generator of its own, so nobody else changes its draw.

`torch.multinomial(p, 1)` is the largest of p / q with q drawn from the exponential distribution
(ATen/native/Distributions.cpp); q is drawn here. On a CPU it is drawn for one step at a time, which
is what the package's own loop takes from torch's generator; on a GPU for a block of steps, so that
no step launches a kernel for each row.
"""

from __future__ import annotations

import torch

BLOCK = 32
"""Steps drawn ahead on a GPU. A part of what a seed means there: another block is another draw."""


class Draws:
    """[row, step of its block, vocabulary], float32; `block` steps of a row are drawn at once."""

    def __init__(self, rows: int, vocabulary: int, device: str, *, block: int) -> None:
        self._block, self._device = block, device
        self._values = torch.ones(rows, block, vocabulary, device=device)
        self._rows = torch.arange(rows, device=device)
        self._generators: dict[int, torch.Generator] = {}

    def begin(self, row: int, seed: int) -> None:
        self._generators[row] = torch.Generator(self._device).manual_seed(seed)

    def move(self, source: int, target: int) -> None:
        self._generators[target] = self._generators[source]
        self._values[target] = self._values[source]

    def refill(self, row: int, step: int) -> None:
        """Before the row's step of that number, counted from 0."""
        if step % self._block == 0:
            self._values[row].exponential_(generator=self._generators[row])

    def take(self, steps: torch.Tensor) -> torch.Tensor:
        """[n, vocabulary] for the first n rows at their steps [n]."""
        return self._values[self._rows[: steps.shape[0]], steps % self._block]
