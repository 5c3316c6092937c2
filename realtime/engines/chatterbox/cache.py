"""Keys and values of everything that has been read, in one block of memory that never moves.

Each row of the batch has the same room; a pass writes where its row stands and reads from the
start. `Stretch` is a pass over several positions of one request, `Step` one over a position of each
of many. Both are what a `Backbone` writes to and reads from.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F


class Place(Protocol):
    """Where a pass stands in the cache."""

    positions: torch.Tensor
    """[n, t] or [1, t]; int64, what the position embedding is looked up by."""

    def attend(self, layer: int, mixed: torch.Tensor) -> torch.Tensor:
        """Keep a layer's keys and values and look up its queries.

        `mixed` is [n, t, 3, heads, width]: queries, keys, values; the answer [n, t, heads * width].
        """


class Cache:
    """[layer, key or value, row, head, position, width]."""

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        positions: int,
        width: int,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        shape = (layers, 2, rows, heads, positions, width)
        # Zeros: a position that is masked still takes part with weight 0, and 0 times NaN is NaN.
        self.kv = torch.zeros(shape, device=device, dtype=dtype)
        self._rows = torch.arange(rows, device=device)
        self._positions = torch.arange(positions, device=device)

    @property
    def memory_bytes(self) -> int:
        return int(self.kv.numel() * self.kv.element_size())

    @property
    def positions(self) -> int:
        return int(self.kv.shape[4])

    def get(self, row: int, length: int) -> torch.Tensor:
        """[layer, 2, head, length, width], a copy of a row's first positions."""
        return self.kv[:, :, row, :, :length].clone()

    def put(self, row: int, rows: int, kept: torch.Tensor) -> None:
        """Write what `get` gave to the start of `rows` rows."""
        self.kv[:, :, row : row + rows, :, : kept.shape[3]] = kept[:, :, None]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's first positions over another row's."""
        self.kv[:, :, target, :, :length] = self.kv[:, :, source, :, :length]

    def stretch(self, row: int, rows: int, start: int, count: int) -> Stretch:
        """`count` positions of `rows` rows, from `start` on."""
        positions = self._positions[start : start + count]
        seen = self._positions[: start + count] <= positions[:, None]
        return Stretch(self.kv[:, :, row : row + rows], positions[None], seen)

    def step(self, position: torch.Tensor, length: int) -> Step:
        """One position in each of the first rows: `position` [n], all below `length`."""
        rows = self._rows[: position.shape[0]]
        seen = self._positions[:length] <= position[:, None]
        return Step(self.kv, rows, position[:, None], seen)


class Stretch:
    """Positions of one request, in one row or two; each sees those before it and itself."""

    def __init__(self, kv: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor) -> None:
        """`kv` is that of its rows; `seen` [t, positions read], bool."""
        self.positions = positions
        self._kv, self._seen = kv, seen
        self._end = seen.shape[1]
        self._start = self._end - seen.shape[0]

    def attend(self, layer: int, mixed: torch.Tensor) -> torch.Tensor:
        queries, *written = mixed.permute(2, 0, 3, 1, 4)
        keys, values = self._kv[layer, :, :, :, : self._end]
        keys[:, :, self._start :], values[:, :, self._start :] = written
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=self._seen)
        return found.transpose(1, 2).flatten(2)


class Step:
    """A position of each of the first n rows, every one at a place of its own."""

    def __init__(
        self, kv: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor
    ) -> None:
        """`rows` [n], `positions` [n, 1], `seen` [n, positions read], bool."""
        self.positions = positions
        self._kv, self._rows = kv, rows
        self._n, self._length = seen.shape
        mask = torch.zeros(seen.shape, device=kv.device, dtype=kv.dtype)
        self._mask = mask.masked_fill_(~seen, -torch.inf)[:, None, None]

    def attend(self, layer: int, mixed: torch.Tensor) -> torch.Tensor:
        kv = self._kv[layer]
        kv[:, self._rows, :, self.positions[:, 0]] = mixed[:, 0, 1:]  # [n, 2, heads, width]
        keys, values = kv[:, : self._n, :, : self._length]
        queries = mixed[:, 0, 0, :, None]  # [n, heads, 1, width]
        found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=self._mask)
        return found.flatten(1)[:, None]
