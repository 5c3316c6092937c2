"""The transformer of T3 over the weights of the package's own: GPT-2 for Turbo, Llama for the rest.

What transformers adds around the same arithmetic is left out: a cache that grows by copying, masks
made anew in each layer, hidden states and attention collected at each step.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F

from realtime.engines.chatterbox.cache import Place
from realtime.engines.chatterbox.linear import Linear, fused


class Backbone(Protocol):
    layers: int
    heads: int
    width: int
    """Of a head."""
    room: int
    """Positions that it knows."""

    def __call__(self, x: torch.Tensor, place: Place) -> torch.Tensor:
        """[n, t, dim] -> [n, t, dim], normalised as the head wants it."""


def backbone_of(t3: Any, dtype: torch.dtype) -> Backbone:
    """The backbone of a `T3`, which is cast to `dtype` in place."""
    if t3.is_gpt:
        return Gpt2(t3.to(dtype).tfmr)
    angles = _angles(t3.tfmr)  # before the cast: frequencies in bfloat16 are those of another place
    return Llama(t3.to(dtype).tfmr, *(table.to(dtype) for table in angles))


class Gpt2:
    """`transformers.GPT2Model`: places are added, norms come first, one matrix for q, k, v."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.layers, self.heads = config.n_layer, config.n_head
        self.width = config.n_embd // config.n_head
        self._places = model.wpe.weight.detach()
        self.room = self._places.shape[0]
        self._blocks = [
            (
                block.ln_1,
                Linear(block.attn.c_attn.weight.t(), block.attn.c_attn.bias),
                Linear(block.attn.c_proj.weight.t(), block.attn.c_proj.bias),
                block.ln_2,
                Linear(block.mlp.c_fc.weight.t(), block.mlp.c_fc.bias),
                Linear(block.mlp.c_proj.weight.t(), block.mlp.c_proj.bias),
            )
            for block in model.h
        ]
        self._norm = model.ln_f

    def __call__(self, x: torch.Tensor, place: Place) -> torch.Tensor:
        x = x + self._places[place.positions]
        for layer, (norm, mix, out, norm_2, up, down) in enumerate(self._blocks):
            mixed = mix(norm(x)).unflatten(-1, (3, self.heads, self.width))
            x = x + out(place.attend(layer, mixed))
            x = x + down(F.gelu(up(norm_2(x)), approximate="tanh"))
        y: torch.Tensor = self._norm(x)
        return y


class Llama:
    """`transformers.LlamaModel` with as many heads for keys as for queries."""

    def __init__(self, model: Any, cos: torch.Tensor, sin: torch.Tensor) -> None:
        """`cos` and `sin` are [positions, width]."""
        config = model.config
        assert config.num_key_value_heads == config.num_attention_heads
        self.layers, self.heads = config.num_hidden_layers, config.num_attention_heads
        self.width = config.head_dim
        self.room = cos.shape[0]
        self._cos, self._sin = cos, sin
        self._blocks = [
            (
                _Rms(block.input_layernorm),
                fused([getattr(block.self_attn, f"{name}_proj") for name in "qkv"]),
                Linear(block.self_attn.o_proj.weight),
                _Rms(block.post_attention_layernorm),
                fused([block.mlp.gate_proj, block.mlp.up_proj]),
                Linear(block.mlp.down_proj.weight),
            )
            for block in model.layers
        ]
        self._norm = _Rms(model.norm)

    def __call__(self, x: torch.Tensor, place: Place) -> torch.Tensor:
        cos = self._cos[place.positions][:, :, None, None]  # [n, t, 1, 1, width]
        sin = self._sin[place.positions][:, :, None, None]
        for layer, (norm, mix, out, norm_2, up, down) in enumerate(self._blocks):
            mixed = mix(norm(x)).unflatten(-1, (3, self.heads, self.width))
            turned = mixed[:, :, :2]
            mixed[:, :, :2] = turned * cos + _half_turned(turned) * sin
            x = x + out(place.attend(layer, mixed))
            gate, value = up(norm_2(x)).chunk(2, dim=-1)
            x = x + down(F.silu(gate) * value)
        return self._norm(x)


class _Rms:
    def __init__(self, module: Any) -> None:
        self._weight, self._eps = module.weight.detach(), module.variance_epsilon

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self._weight.shape, self._weight, self._eps)


def _half_turned(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


ROOM = 4_096
"""Positions of Llama's table; more than any request can take."""


def _angles(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of the rotary embedding, scaled as configured: float32, [ROOM, width]."""
    device = model.norm.weight.device
    positions = torch.arange(ROOM, device=device)[None]
    cos, sin = model.rotary_emb(torch.zeros(1, device=device), positions)
    return cos[0], sin[0]
