"""S3Gen as a stream: speech tokens come in as they are known, sound goes out in chunks.

Joints. A chunk sees three tokens and no more to its right, where a rendering of the whole line sees
all; and from the fourth chunk on it sees a second of tokens to its left, where the whole sees all.
Attention in the flow runs both ways over everything, so its frames differ from the whole's by what
is out of sight. That difference is the model's and is kept small by the look-ahead, by frames held
back and made again, and by noise that is the same for a frame in every rendering. What is ours is
the joining, and it adds nothing of its own: frames given out never change; held-back frames are
blended from the old rendering to the new one; the vocoder reads as much again as its kernels reach,
with the excitation's phase carried on, so that with the mel given, sound in chunks is the sound of
the whole up to rounding, but for the last milliseconds before a joint, where frames to the right
were still provisional; those are cross-faded.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from realtime.audio import Float32
from realtime.engines.chatterbox.chunks import FRAMES, Chunk, Progress, Schedule, next_chunk
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.flow import Flow, Passage, in_half_precision
from realtime.engines.chatterbox.noise import MELS, Noise
from realtime.engines.chatterbox.tempo import stretched
from realtime.engines.chatterbox.variant import Variant
from realtime.engines.chatterbox.vocoder import Stretch, Trail, Vocoder

SILENCE = 4299
"""The speech token of silence; Turbo's `generate` appends three."""
TURBO_SILENCES = 3


@dataclass(eq=False)
class Sound:
    """One line: how far it is, and what the next chunk needs of it. Only `Synthesizer.run` writes.

    There is nothing to close: a line that is not wanted any more is let go.
    """

    conditionals: Conditionals
    speed: float
    noise: Noise
    trail: Trail
    held: torch.Tensor
    """[80, 1 + n]: the last frame given out, if there is one, and those held back."""
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Job:
    """The next chunk of a sound. `tokens` are all of the line's so far, each below 6,561."""

    sound: Sound
    tokens: Sequence[int]
    final: bool
    """No more will come."""


class Synthesizer:
    """Used by one thread. `half` runs the flow's estimator in bfloat16, the rest in float32."""

    def __init__(
        self,
        s3gen: Any,
        variant: Variant,
        *,
        device: str,
        half: bool,
        schedule: Schedule | None = None,
    ) -> None:
        self._device = device
        self._schedule = schedule or Schedule()
        self._appended = TURBO_SILENCES if variant.name == "turbo" else 0
        if half:
            in_half_precision(s3gen.flow.decoder)
        self._flow = Flow(s3gen, steps=variant.flow_steps, device=device)
        self._vocoder = Vocoder(s3gen, self._schedule, device=device)

    def open(self, conditionals: Conditionals, *, seed: int, speed: float = 1.0) -> Sound:
        """Begin a line. `speed` above 1 is faster; the pitch stays."""
        if not speed > 0:
            raise ValueError(f"speed must be more than 0, not {speed}")
        prompt = conditionals.flow_mel.shape[1]
        noise = Noise(seed, harmonics=self._vocoder.harmonics, prompt=prompt, device=self._device)
        held = torch.zeros(MELS, 0, device=self._device)
        return Sound(conditionals, speed, noise, self._vocoder.beginning(), held)

    def due(self, sound: Sound, tokens_so_far: int, final: bool) -> bool:
        """Is there a chunk to make? False for good after the last one."""
        return self._next(sound, tokens_so_far, final) is not None

    def needed(self, sound: Sound) -> int:
        """Tokens of the line that must be known for its next chunk, while more will come."""
        return self._schedule.needed(sound.progress.number)

    def key(self, job: Job) -> Hashable:
        """Jobs with the same key may run as one batch; each gets what it would get alone."""
        chunk = self._chunk(job)
        return (job.sound.conditionals.flow_tokens.shape[1], chunk.tokens, chunk.sound_frames)

    def run(self, jobs: Sequence[Job]) -> list[Float32]:
        """The next samples of each sound, 24 kHz mono in [-1, 1]. All jobs have one key.

        A line's chunks add up to 960 samples for each token and each appended silence, divided by
        the speed. An error leaves all sounds as they were.
        """
        chunks = [self._chunk(job) for job in jobs]
        if chunks[0].tokens == 0:
            for job, chunk in zip(jobs, chunks, strict=True):
                job.sound.progress = chunk.after(job.sound.progress)
            return [np.zeros(0, np.float32) for _ in jobs]
        with torch.inference_mode():
            return self._run(jobs, chunks)

    def _run(self, jobs: Sequence[Job], chunks: Sequence[Chunk]) -> list[Float32]:
        passages = [self._passage(job, chunk) for job, chunk in zip(jobs, chunks, strict=True)]
        mels = [
            _blended(job.sound, chunk, mel)
            for job, chunk, mel in zip(jobs, chunks, self._flow.run(passages), strict=True)
        ]
        stretches = [
            Stretch(chunk, stretched(mel, chunk, job.sound.speed), job.sound.trail, job.sound.noise)
            for job, chunk, mel in zip(jobs, chunks, mels, strict=True)
        ]
        done = self._vocoder.run(stretches)
        for job, chunk, mel, (_, trail) in zip(jobs, chunks, mels, done, strict=True):
            _advance(job.sound, chunk, mel, trail, self._schedule.held)
        return [samples for samples, _ in done]

    def _next(self, sound: Sound, known: int, final: bool) -> Chunk | None:
        return next_chunk(
            self._schedule,
            sound.progress,
            known,
            final=final,
            appended=self._appended,
            speed=sound.speed,
        )

    def _chunk(self, job: Job) -> Chunk:
        chunk = self._next(job.sound, len(job.tokens), job.final)
        if chunk is None:
            raise ValueError("no chunk is due")
        return chunk

    def _passage(self, job: Job, chunk: Chunk) -> Passage:
        tokens = [*job.tokens[chunk.first : chunk.end]]
        tokens += [SILENCE] * (chunk.tokens - len(tokens))
        noise = job.sound.noise.mel(FRAMES * chunk.first, FRAMES * chunk.end)
        return Passage(job.sound.conditionals, tokens, noise)


def _blended(sound: Sound, chunk: Chunk, mel: torch.Tensor) -> torch.Tensor:
    """[80, (1) + new frames]: a chunk's frames from the last one given out, if any, on.

    Those that were held back go over from the rendering before to this one.
    """
    new = mel[:, chunk.start - FRAMES * chunk.first :]
    if not sound.held.shape[1]:
        return new
    before, held = sound.held[:, :1], sound.held[:, 1:]
    count = held.shape[1]
    share = torch.arange(1, count + 1, device=mel.device) / (count + 1)
    return torch.cat((before, torch.lerp(held, new[:, :count], share), new[:, count:]), dim=1)


def _advance(sound: Sound, chunk: Chunk, mel: torch.Tensor, trail: Trail, held: int) -> None:
    end = mel.shape[1] - (FRAMES * chunk.end - chunk.until)
    sound.held = mel[:, max(0, end - 1) : end + held].clone()
    sound.trail = trail
    sound.progress = chunk.after(sound.progress)
