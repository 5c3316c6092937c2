"""One matrix of the model, held as the machine multiplies it fastest.

On a CPU in float32 the weights are kept a second time in oneDNN's blocked order, as torch's own
compiler does when it freezes a model (torch/_inductor/fx_passes/mkldnn_fusion.py). A batch of eight
then costs about what a batch of one costs; unordered, the matrix is put in order at each call, and
that costs more than multiplying.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

BATCH = 8
"""What the order is chosen for; it also serves batches from 1 to the hundreds of a prompt."""


class Linear:
    """y = x W^T + b."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        """`weight` is [out, in], `bias` [out]; neither is copied but for a CPU's order."""
        weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._blocked = _blocks(weight)
        self._weight = _ordered(weight) if self._blocked else weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        if self._blocked:
            y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                x.contiguous(), self._weight, self._bias, "none", [], ""
            )
            return y
        return F.linear(x, self._weight, self._bias)


def fused(modules: Sequence[Any]) -> Linear:
    """Several `nn.Linear` without bias that read the same input as one, outputs side by side.

    Where the weights are not reordered the modules' own become views of the fused one: it takes no
    more memory, and they go on working.
    """
    weight = torch.cat([module.weight.detach() for module in modules])
    if not _blocks(weight):
        start = 0
        for module in modules:
            rows = module.weight.shape[0]
            module.weight.data = weight[start : start + rows]
            start += rows
    return Linear(weight)


def _blocks(weight: torch.Tensor) -> bool:
    float_on_cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return float_on_cpu and bool(torch.backends.mkldnn.is_available())


def _ordered(weight: torch.Tensor) -> torch.Tensor:
    ordered: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), BATCH)
    return ordered
