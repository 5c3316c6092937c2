"""All that is random in one line's sound, at absolute positions, from the line's seed alone.

What a frame or a sample gets does not depend on how the line is cut into chunks, on who else is in
the batch, or on what was drawn by others: so two renderings of the same place agree.
"""

from __future__ import annotations

import math

import torch

from realtime.engines.chatterbox.chunks import HOP

MELS = 80
BLOCK = 50
"""Frames drawn at once: a second. `randn` gives other numbers for the same seed if it is asked for
them in other portions, so the portions are fixed."""


class Noise:
    """Of one line; `harmonics` sines of the vocoder, the fundamental included."""

    def __init__(self, seed: int, *, harmonics: int, prompt: int, device: str) -> None:
        self._device, self._harmonics = device, harmonics
        self._mel_draw = torch.Generator(device).manual_seed(seed)
        self._source_draw = torch.Generator(device).manual_seed(seed ^ 0x5EED)
        self._prompt = self._normal(self._mel_draw, MELS, prompt)
        self._mel = torch.zeros(MELS, 0, device=device)
        self._source: dict[int, torch.Tensor] = {}
        self._drawn = 0
        phases = torch.rand(harmonics, generator=self._source_draw, device=device)
        self._phases = (2 * phases - 1) * math.pi
        self._phases[0] = 0.0

    @property
    def phases(self) -> torch.Tensor:
        """[harmonics], of each sine at the start of the line, in [-pi, pi); 0 for the first."""
        return self._phases

    def mel(self, start: int, end: int) -> torch.Tensor:
        """[80, prompt + end - start]: the prompt's and that of the frames `start` to `end`."""
        while self._mel.shape[1] < end:
            block = self._normal(self._mel_draw, MELS, BLOCK)
            self._mel = torch.cat((self._mel, block), dim=1)
        return torch.cat((self._prompt, self._mel[:, start:end]), dim=1)

    def source(self, start: int, end: int) -> torch.Tensor:
        """[samples, harmonics] of the frames `start` to `end`; `start` never goes back."""
        while self._drawn * BLOCK < end:
            block = self._normal(self._source_draw, BLOCK * HOP, self._harmonics)
            self._source[self._drawn] = block
            self._drawn += 1
        low, high = start // BLOCK, -(-end // BLOCK)
        for passed in [number for number in self._source if number < low]:
            del self._source[passed]
        if low == high:
            return torch.zeros(0, self._harmonics, device=self._device)
        blocks = torch.cat([self._source[number] for number in range(low, high)])
        return blocks[(start - low * BLOCK) * HOP : (end - low * BLOCK) * HOP]

    def _normal(self, draw: torch.Generator, rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=draw, device=self._device)
