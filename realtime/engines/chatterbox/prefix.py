"""What T3 reads of a voice before the text: who speaks, a stretch of their speech, how lively.

It is the same for each line that a voice says, and for Turbo most of what there is to read. Its
keys and values are made once, kept, and copied to whoever joins with that voice.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from chatterbox.models.t3.modules.cond_enc import T3Cond

from realtime.engines.chatterbox.backbone import Backbone
from realtime.engines.chatterbox.cache import Cache
from realtime.engines.chatterbox.conditionals import Conditionals

KEPT_BYTES = 512 * 2**20
"""Of keys and values. A voice takes 74 MB of it for Turbo in float32, 8 MB for the others."""


class Prefixes:
    """Keyed by the conditionals' identity, which keeps them alive; what was used least recently
    goes first. `made` counts those that had to be computed."""

    def __init__(
        self,
        t3: Any,
        backbone: Backbone,
        cache: Cache,
        *,
        expressive: bool,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._t3, self._backbone, self._cache = t3, backbone, cache
        self._expressive, self._kept_bytes = expressive, kept_bytes
        self._kept: OrderedDict[tuple[Conditionals, float | None], torch.Tensor] = OrderedDict()
        self.made = 0

    @property
    def memory_bytes(self) -> int:
        return sum(kv.numel() * kv.element_size() for kv in self._kept.values())

    def put(self, conditionals: Conditionals, exaggeration: float, *, row: int, rows: int) -> int:
        """Write it to the start of `rows` rows of the cache; how many positions it takes."""
        key = (conditionals, exaggeration if self._expressive else None)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._make(conditionals, exaggeration, row)
            self._kept[key] = kept
            while self.memory_bytes > self._kept_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        self._cache.put(row, rows, kept)
        return int(kept.shape[3])

    def _make(self, conditionals: Conditionals, exaggeration: float, row: int) -> torch.Tensor:
        """[layer, 2, head, positions, width], computed in that row of the cache."""
        self.made += 1
        dtype = self._t3.speech_head.weight.dtype
        # A fresh one each time: the package keeps what it computes on it, and adds to that.
        cond = T3Cond(
            speaker_emb=conditionals.speaker.to(dtype),
            cond_prompt_speech_tokens=conditionals.prompt,
            emotion_adv=torch.full((1, 1, 1), exaggeration).to(conditionals.speaker.device, dtype),
        )
        embedded = self._t3.prepare_conditioning(cond)  # [1, positions, dim]
        length = embedded.shape[1]
        if length > self._cache.positions:
            raise ValueError(f"a voice of {length} positions does not fit the cache")
        self._backbone(embedded, self._cache.stretch(row, 1, 0, length))
        return self._cache.get(row, length)
