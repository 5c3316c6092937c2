"""Faster or slower without another pitch: mel frames are spaced differently before the vocoder.

As CosyVoice does it (`cli/model.py`, `token2wav`: linear interpolation along time), with positions
that count from the start of the line, so that chunks join as if the whole had been stretched.
"""

from __future__ import annotations

import torch

from realtime.engines.chatterbox.chunks import Chunk, position


def stretched(mel: torch.Tensor, chunk: Chunk, speed: float) -> torch.Tensor:
    """[80, n], frames `sound_start` to `sound_end` of a chunk.

    `mel` holds the chunk's frames from `chunk.start` on, with one more before them if the line has
    begun: a new frame may lie between the two.
    """
    before = 1 if chunk.start else 0
    if speed == 1.0:
        return mel[:, before:]
    places = [
        position(frame, speed) - (chunk.start - before)
        for frame in range(chunk.sound_start, chunk.sound_end)
    ]
    last = mel.shape[1] - 1
    at = torch.tensor(places, dtype=torch.float64, device=mel.device).clamp(0, last)
    low = at.floor().long()
    high = (low + 1).clamp(max=last)
    return torch.lerp(mel[:, low], mel[:, high], (at - low).to(mel.dtype))
