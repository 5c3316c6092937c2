"""HiFT, mel frames to samples, as a stream: each chunk goes on where the last one stopped.

What was given out stays: its last frames and its last samples of source are read again as
context, so that the left side of a chunk is as if the whole had been rendered (the kernels reach
14.3 frames). On the right a chunk reads frames that are not given out yet. The next chunk makes
those anew, so its rendering differs a little, and 10 ms of the two are cross-faded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from realtime.audio import Float32
from realtime.engines.chatterbox.chunks import FRAME_GRAIN, HOP, Chunk, Schedule
from realtime.engines.chatterbox.noise import MELS, Noise
from realtime.engines.chatterbox.source import advance, excitation

FADE = 240
"""Samples, 10 ms."""
_RISE: Float32 = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE) + 0.5) / FADE)).astype(np.float32)


@dataclass(frozen=True)
class Trail:
    """What the next chunk needs of those before it."""

    mel: torch.Tensor
    """[80, n], frames that became sound."""
    source: torch.Tensor
    """[n * HOP], their excitation."""
    turns: torch.Tensor
    """The phase after them, a float64 scalar."""
    beyond: Float32
    """Up to FADE samples: how this chunk would have gone on."""


@dataclass(frozen=True)
class Stretch:
    """One row of a batch: `mel` is [80, n], frames `sound_start` to `sound_end` of its chunk."""

    chunk: Chunk
    mel: torch.Tensor
    trail: Trail
    noise: Noise


class Vocoder:
    """The rows of a batch have one `sound_frames`; what of it is new may differ."""

    def __init__(self, s3gen: Any, schedule: Schedule, *, device: str) -> None:
        self._hift, self._device = s3gen.mel2wav, device
        self._kept = schedule.left + FRAME_GRAIN
        self._head = s3gen.trim_fade.cpu().numpy()
        self._hift.stft_window = self._hift.stft_window.to(device)
        _fold(self._hift)

    @property
    def harmonics(self) -> int:
        return int(self._hift.m_source.l_sin_gen.harmonic_num) + 1

    def beginning(self) -> Trail:
        """Of a line that has no sound yet."""
        return Trail(
            torch.zeros(MELS, 0, device=self._device),
            torch.zeros(0, device=self._device),
            torch.zeros((), dtype=torch.float64, device=self._device),
            np.zeros(0, np.float32),
        )

    def run(self, stretches: Sequence[Stretch]) -> list[tuple[Float32, Trail]]:
        """The new samples of each, and the trail that it leaves."""
        lefts = [stretch.chunk.sound_left for stretch in stretches]
        mel = torch.stack([self._with_left(stretch) for stretch in stretches])
        f0 = self._hift.f0_predictor(mel)
        turns, source = self._excite(stretches, f0)
        samples = self._hift.decode(mel, source[:, None]).cpu().numpy()
        done = []
        for row, (stretch, left) in enumerate(zip(stretches, lefts, strict=True)):
            new = samples[row, left * HOP :].copy()
            until = left + stretch.chunk.sound_until - stretch.chunk.sound_start
            low = max(0, until - self._kept)
            sound, beyond = self._join(stretch, new)
            trail = Trail(
                mel[row, :, low:until].clone(),
                source[row, low * HOP : until * HOP].clone(),
                turns[row, until].clone(),
                beyond,
            )
            done.append((sound, trail))
        return done

    def _with_left(self, stretch: Stretch) -> torch.Tensor:
        left = stretch.chunk.sound_left
        return torch.cat(
            (stretch.trail.mel[:, stretch.trail.mel.shape[1] - left :], stretch.mel), 1
        )

    def _excite(
        self, stretches: Sequence[Stretch], f0: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The phase before each frame, [B, T + 1], and the source, [B, T * HOP].

        The source of the context is what it was: the pitch there is set to 0, so that the phase
        starts with the first new frame, and what is computed for it is written over.
        """
        lefts = torch.tensor([s.chunk.sound_left for s in stretches], device=self._device)
        new = torch.arange(f0.shape[1], device=self._device)[None] >= lefts[:, None]
        f0 = f0 * new
        rate_hz = self._hift.m_source.l_sin_gen.sampling_rate
        turns = advance(f0, torch.stack([s.trail.turns for s in stretches]), rate_hz)
        noise = torch.stack([self._noise(stretch) for stretch in stretches])
        phases = torch.stack([stretch.noise.phases for stretch in stretches])
        source = excitation(self._hift.m_source, f0, turns, phases, noise)
        for row, stretch in enumerate(stretches):
            if samples := stretch.chunk.sound_left * HOP:
                source[row, :samples] = stretch.trail.source[-samples:]
        return turns, source

    def _noise(self, stretch: Stretch) -> torch.Tensor:
        chunk = stretch.chunk
        noise = stretch.noise.source(chunk.sound_start, chunk.sound_end)
        return F.pad(noise, (0, 0, chunk.sound_left * HOP, 0))

    def _join(self, stretch: Stretch, new: Float32) -> tuple[Float32, Float32]:
        """What is given out and what would have followed it, of samples from `sound_start` on."""
        chunk = stretch.chunk
        head = self._head[chunk.sound_start * HOP :][: len(new)]
        new[: len(head)] *= head
        beyond = stretch.trail.beyond
        rise = _RISE[: len(beyond)]
        new[: len(beyond)] = beyond + rise * (new[: len(beyond)] - beyond)
        end = (chunk.sound_until - chunk.sound_start) * HOP
        return new[:end], new[end : end + FADE]


def _fold(module: Any) -> None:
    """Weight norm is applied to the weights once, not at every call: the numbers are the same."""
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
