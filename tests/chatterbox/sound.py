"""What the tests of S3Gen's streaming share: voices, lines, and how a line is streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from realtime.audio import Float32
from realtime.engines.chatterbox.chunks import Schedule
from realtime.engines.chatterbox.conditionals import PROMPT_TOKENS, Conditionals
from realtime.engines.chatterbox.synthesizer import Job, Sound, Synthesizer
from realtime.engines.chatterbox.variant import Variant
from tests.chatterbox import weights

WHOLE = Schedule(sizes=(1_000_000,))
"""Everything in one chunk, when the line has ended."""


@dataclass(frozen=True)
class Speaker:
    """S3Gen of a variant, small, and the reference that its made-up weights come with.

    Its pitch lies about 60 to 250 Hz and moves: as made up it never leaves 0, so nothing would be
    voiced. It is loaded apart from the models that tests share, because it is changed; a deep copy
    of those will not do, since torch's parametrized layers share a class with their copies.
    """

    variant: Variant
    s3gen: Any
    gen: dict[str, torch.Tensor]

    def synthesizer(
        self, schedule: Schedule | None = None, *, steps: int | None = None
    ) -> Synthesizer:
        """`steps` of the flow, if not the variant's own: fewer are faster."""
        variant = replace(self.variant, flow_steps=steps or self.variant.flow_steps)
        return Synthesizer(self.s3gen, variant, device="cpu", half=False, schedule=schedule)

    @property
    def appended(self) -> int:
        return 3 if self.variant.name == "turbo" else 0

    def voice(self, *, seed: int = 0) -> Conditionals:
        """The reference, or another one for another seed."""
        draw = torch.Generator().manual_seed(seed)
        mel = self.gen["prompt_feat"][:, : 2 * PROMPT_TOKENS].clone()
        return Conditionals(
            speaker=torch.zeros(1, 256),
            prompt=torch.zeros(1, 1, dtype=torch.long),
            flow_tokens=self.gen["prompt_token"][:, :PROMPT_TOKENS].clone(),
            flow_mel=mel if seed == 0 else torch.randn(mel.shape, generator=draw),
            flow_embedding=self.gen["embedding"].clone(),
        )


def speaker(folder: Path, variant: Variant) -> Speaker:
    from chatterbox.models.s3gen import S3Gen

    turbo = variant.name == "turbo"
    with weights.depth(small=True):
        s3gen = S3Gen(meanflow=turbo)
    name = "s3gen_meanflow.safetensors" if turbo else "s3gen.safetensors"
    s3gen.load_state_dict(load_file(folder / name))
    pitch = s3gen.mel2wav.f0_predictor.classifier
    with torch.no_grad():
        pitch.bias.fill_(150.0)
        pitch.weight.mul_(2_000.0)
    return Speaker(variant, s3gen.eval(), torch.load(folder / "conds.pt", weights_only=True)["gen"])


def a_line(tokens: int, *, seed: int = 0) -> list[int]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 6_561, (tokens,), generator=draw).tolist()


def chunks(synthesizer: Synthesizer, sound: Sound, line: Sequence[int]) -> Iterator[Float32]:
    """The line's sound, with its tokens coming one by one."""
    for known in range(1, len(line) + 1):
        while synthesizer.due(sound, known, False):
            yield synthesizer.run([Job(sound, line[:known], False)])[0]
    while synthesizer.due(sound, len(line), True):
        yield synthesizer.run([Job(sound, line, True)])[0]


def joined(synthesizer: Synthesizer, sound: Sound, line: Sequence[int]) -> Float32:
    return np.concatenate(list(chunks(synthesizer, sound, line)))


def clicks(audio: Float32, at: Sequence[int]) -> list[float]:
    """How much each place sticks out: its largest second difference within 3 samples, in units of
    the largest within 20 ms around it that is not at any of those places."""
    bend = np.abs(np.diff(audio.astype(np.float64), 2, prepend=audio[0], append=audio[-1]))
    elsewhere = bend.copy()
    for place in at:
        elsewhere[max(0, place - 3) : place + 4] = 0.0
    return [
        float(
            bend[max(0, place - 3) : place + 4].max()
            / (elsewhere[max(0, place - 480) : place + 480].max() + 1e-9)
        )
        for place in at
    ]
