"""S3Gen's flow: speech tokens to mel frames, in the voice of a reference that it reads before them.

`flow.inference` is called with `finalize=True` throughout: in chatterbox-tts 0.1.7 the other way
cuts the frames of the look-ahead but not their mask, and fails. `S3Gen.forward` around it is not
called: it converts the voice's tensors in place, token numbers to floats among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from realtime.engines.chatterbox.conditionals import Conditionals


@dataclass(frozen=True)
class Passage:
    """What one row of a batch reads."""

    conditionals: Conditionals
    tokens: Sequence[int]
    noise: torch.Tensor
    """[80, prompt frames + 2 * tokens]"""


class Flow:
    """`steps` of the solver: 2 for Turbo's mean flow, 10 for the others, which are guided."""

    def __init__(self, s3gen: Any, *, steps: int, device: str) -> None:
        self._s3gen, self._steps, self._device = s3gen, steps, device

    def run(self, passages: Sequence[Passage]) -> torch.Tensor:
        """[B, 80, 2 * tokens], float32; all of one number of tokens and one length of prompt."""
        voices = [passage.conditionals for passage in passages]
        tokens = torch.tensor([list(passage.tokens) for passage in passages], device=self._device)
        prompts = torch.cat([voice.flow_tokens for voice in voices])
        rows = len(passages)
        mel, _ = self._s3gen.flow.inference(
            token=tokens,
            token_len=torch.full((rows,), tokens.shape[1], device=self._device),
            prompt_token=prompts,
            prompt_token_len=torch.full((rows,), prompts.shape[1], device=self._device),
            prompt_feat=torch.cat([voice.flow_mel for voice in voices]),
            prompt_feat_len=None,
            embedding=torch.cat([voice.flow_embedding for voice in voices]),
            finalize=True,
            n_timesteps=self._steps,
            noised_mels=torch.stack([passage.noise for passage in passages]),
            meanflow=self._s3gen.meanflow,
        )
        frames: torch.Tensor = mel.float()
        return frames


class _Half(torch.nn.Module):  # type: ignore[misc]
    """An estimator in bfloat16. What the solver adds up stays float32: in bfloat16, a log-mel value
    between 4 and 8 has steps of 0.03."""

    dtype = torch.float32

    def __init__(self, estimator: torch.nn.Module) -> None:
        super().__init__()
        self.estimator = estimator.to(torch.bfloat16)

    def forward(self, *given: Any, **named: Any) -> torch.Tensor:
        slope: torch.Tensor = self.estimator(
            *(_halved(value) for value in given),
            **{name: _halved(value) for name, value in named.items()},
        )
        return slope.float()


def _halved(value: Any) -> Any:
    floats = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.to(torch.bfloat16) if floats else value


def in_half_precision(decoder: Any) -> None:
    """Have S3Gen's flow estimate in bfloat16 from now on; again: nothing."""
    if not isinstance(decoder.estimator, _Half):
        decoder.estimator = _Half(decoder.estimator)
