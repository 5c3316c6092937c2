"""What says that a machine made it: Resemble's Perth, in pieces, without holding anything back.

Perth changes the magnitudes of a spectrum of 2,048 samples at 32 kHz, below 2 kHz, where a frame is
loud enough; its network reads 18 frames, 0.2 s, to each side. A chunk is marked with a second of
the sound before it as context, and what marking changes is faded in over 10 ms at its start and out
at its end, so that chunks join exactly as they would unmarked. The first chunk of a line goes out
unmarked unless it is also the last: it is a fifth of a second, the caller waits for it, and the
mark is found in what follows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from realtime.audio import VOICE_RATE_HZ, Float32, ms_to_samples

CONTEXT_SAMPLES = VOICE_RATE_HZ
"""Sound before a chunk that is read with it, if there is so much."""
LEAST_SAMPLES = ms_to_samples(100, VOICE_RATE_HZ)
"""Less than this is no sound for a spectrum of 64 ms and its reflected edges."""
GRAIN_SAMPLES = 240
"""Perth's hop of 320 at 32 kHz; it drops what is over."""
FADE_SAMPLES = ms_to_samples(10, VOICE_RATE_HZ)


class Watermark:
    """The marker, loaded once; `open` one stream for each line. Used by one thread at a time."""

    def __init__(self, on: bool) -> None:
        self._marker: Any = None
        if on:
            import perth

            self._marker = perth.PerthImplicitWatermarker()
            self._marker.perth_net.eval()

    def open(self) -> MarkedStream:
        return MarkedStream(self._marker)


class MarkedStream:
    """One line."""

    def __init__(self, marker: Any) -> None:
        self._marker = marker
        self._before = np.zeros(0, np.float32)
        """As it was before it was marked."""
        self._begun = False

    def push(self, audio: Float32, final: bool) -> Float32:
        """The same samples, marked; `audio` is 24 kHz in [-1, 1] and is left as it is."""
        first, self._begun = not self._begun, True
        if self._marker is None or not len(audio):
            return audio
        context = np.concatenate((self._before, audio))
        self._before = context[-CONTEXT_SAMPLES:]
        if (first and not final) or len(context) < LEAST_SAMPLES:
            return audio
        out: Float32 = np.clip(audio + self._change(context, len(audio)), -1.0, 1.0)
        return out

    def _change(self, context: Float32, count: int) -> Float32:
        """What marking adds to the last `count` samples, nothing at both ends."""
        context = np.pad(context, (-len(context) % GRAIN_SAMPLES, 0))
        with torch.inference_mode():
            marked = self._marker.apply_watermark(context, sample_rate=VOICE_RATE_HZ)
        change: Float32 = (marked - context)[-count:].astype(np.float32)
        fade = min(FADE_SAMPLES, count // 2)
        rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / max(1, fade))).astype(np.float32)
        change[:fade] *= rise
        change[count - fade :] *= rise[::-1]
        return change
