"""The excitation of the vocoder: sines at the pitch and its multiples, and noise where none is.

After `SineGen` and `SourceModuleHnNSF` of chatterbox-tts 0.1.7 (models/s3gen/hifigan.py, which has
them from CosyVoice and the neural source-filter models of Wang, Takaki and Yamagishi, 2019), with
three differences that make it a stream: the phase goes on from where the last chunk left it, the
random phases and the noise are given, and the phase is added up in double precision. The last one
differs from a sum in single precision by some 1e-4 of a turn after seconds, which nobody hears and
which would be a click where two sums meet.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from realtime.engines.chatterbox.chunks import HOP


def advance(f0: torch.Tensor, phase: torch.Tensor, rate_hz: int) -> torch.Tensor:
    """[B, T + 1], turns in [0, 1): the phase before each frame, and after the last.

    `f0` is [B, T] in Hz, `phase` [B] in turns, float64.
    """
    turns = torch.cumsum(f0.double() * (HOP / rate_hz), dim=1)
    return torch.cat((phase[:, None], phase[:, None] + turns), dim=1) % 1.0


def excitation(
    module: Any, f0: torch.Tensor, turns: torch.Tensor, phases: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """[B, T * HOP], the merged source; `module` is the vocoder's own `m_source`.

    Args:
        f0: [B, T], Hz, held for a frame as `f0_upsamp` does.
        turns: [B, T + 1], from `advance`.
        phases: [B, harmonics], radians.
        noise: [B, T * HOP, harmonics], normal.
    """
    sines = module.l_sin_gen
    step = torch.arange(1, HOP + 1, device=f0.device, dtype=torch.float64) / sines.sampling_rate
    # the phase within the first harmonic is a fraction of a turn, so single precision will do on
    fundamental = ((turns[:, :-1, None] + f0.double()[:, :, None] * step) % 1.0).float()
    order = torch.arange(1, sines.harmonic_num + 2, device=f0.device, dtype=torch.float32)
    angle = 2 * math.pi * ((fundamental.flatten(1)[:, :, None] * order) % 1.0)
    waves = sines.sine_amp * torch.sin(angle + phases[:, None, :])
    voiced = (f0 > sines.voiced_threshold).float().repeat_interleave(HOP, dim=1)[:, :, None]
    level = voiced * sines.noise_std + (1 - voiced) * sines.sine_amp / 3
    merged: torch.Tensor = module.l_tanh(module.l_linear(waves * voiced + level * noise))
    return merged[:, :, 0]
