"""The running batch on the device: what each row is reading, and the step that all take together.

Every tensor is made once and written in place, so that a captured step goes on meaning the same.
A request takes one row of these tensors and, where the model is guided, two rows of the cache: one
with the text and one without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from realtime.engines.chatterbox import sampling
from realtime.engines.chatterbox.backbone import backbone_of
from realtime.engines.chatterbox.cache import Cache
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.draws import BLOCK, Draws
from realtime.engines.chatterbox.linear import Linear
from realtime.engines.chatterbox.prefix import Prefixes
from realtime.engines.chatterbox.variant import Sampling, Variant


class Batch:
    """Rows are numbered from 0; those that take part in a step are the first n."""

    def __init__(
        self,
        t3: Any,
        variant: Variant,
        *,
        rows: int,
        device: str,
        dtype: torch.dtype,
        positions: int,
    ) -> None:
        self._backbone = backbone = backbone_of(t3, dtype)
        if positions > backbone.room:
            raise ValueError(f"the model knows {backbone.room} positions, not {positions}")
        self.device = device
        self.guided = variant.guided
        self._copies = 2 if variant.guided else 1
        self._t3 = t3
        self._embedding = t3.speech_emb.weight.detach()
        self._places = t3.speech_pos_emb.emb.weight.detach() if t3.speech_pos_emb else None
        bias = t3.speech_head.bias
        self._head = Linear(t3.speech_head.weight, bias)
        self._start = t3.hp.start_speech_token
        self._vocabulary = vocabulary = t3.speech_head.weight.shape[0]
        self.cache = Cache(
            layers=backbone.layers,
            rows=rows * self._copies,
            heads=backbone.heads,
            positions=positions,
            width=backbone.width,
            device=device,
            dtype=dtype,
        )
        self.prefixes = Prefixes(t3, backbone, self.cache, expressive=variant.expressive)
        block = 1 if torch.device(device).type == "cpu" else BLOCK
        self.draws = Draws(rows, vocabulary, device, block=block)
        self.tokens = torch.full((rows,), self._start, device=device)
        """What was sampled last, and is read next."""
        self._steps = torch.zeros(rows, dtype=torch.int64, device=device)
        self._positions = torch.zeros(rows, dtype=torch.int64, device=device)
        self._seen = torch.zeros(rows, vocabulary, dtype=torch.bool, device=device)
        self._settings = torch.ones(rows, sampling.COLUMNS, device=device)

    def begin(
        self,
        row: int,
        conditionals: Conditionals,
        text_tokens: Sequence[int],
        exaggeration: float,
        how: Sampling,
        seed: int,
    ) -> int:
        """Read voice and text into a row that takes no part yet; how many positions they took.

        The start of speech is left for the row's first step.
        """
        copies = self._copies
        first = row * copies
        read = self.prefixes.put(conditionals, exaggeration, row=first, rows=copies)
        text = self._text(text_tokens)
        count = int(text.shape[1])
        if read + count > self.cache.positions:
            raise ValueError(f"{read + count} positions do not fit the cache")
        self._backbone(text, self.cache.stretch(first, copies, read, count))
        self.tokens[row] = self._start
        self._steps[row] = 0
        self._positions[row] = read + count
        self._seen[row] = False
        self._seen[row, self._start] = True
        self._settings[row] = self._upload(sampling.columns(how, self._vocabulary), torch.float32)
        self.draws.begin(row, seed)
        return read + count

    def move(self, source: int, target: int, used: int) -> None:
        """Put a row, of which `used` positions are read, in another's place."""
        for copy in range(self._copies):
            self.cache.move(source * self._copies + copy, target * self._copies + copy, used)
        for state in (self.tokens, self._steps, self._positions, self._seen, self._settings):
            state[target] = state[source]
        self.draws.move(source, target)

    def advance(self, n: int, length: int) -> None:
        """One step of the first n rows, which then all stand below position `length`."""
        steps, positions, seen = self._steps[:n], self._positions[:n], self._seen[:n]
        settings, tokens = self._settings[:n], self.tokens[:n]
        x = self._embedding[tokens]
        if self._places is not None:
            x = x + self._places[steps]
        at = positions
        if self.guided:
            x = x[:, None].expand(-1, 2, -1).flatten(0, 1)
            at = at[:, None].expand(-1, 2).flatten()
        hidden = self._backbone(x[:, None], self.cache.step(at, length))
        logits = self._head(hidden[:, 0]).float()
        if self.guided:
            logits = sampling.guide(logits.unflatten(0, (n, 2)), settings)
        chosen = sampling.choose(
            logits, seen, settings, self.draws.take(steps), penalty_first=self.guided
        )
        if not self.guided:  # Turbo's loop penalises the start of speech in the first step alone
            seen[:, self._start] &= steps > 0
        seen.scatter_(1, chosen[:, None], True)
        tokens.copy_(chosen)
        # Rows that only fill up a captured size are stepped too, and must not run off the tables.
        last = self.cache.positions - 1
        positions.add_(1).clamp_(max=last)
        steps.add_(1).clamp_(max=last)

    def _text(self, ids: Sequence[int]) -> torch.Tensor:
        """[1, t, dim]; guided [2, t + 1, dim], the second without the text, both with a start of
        speech, which the package's loop has there besides the one that it begins with."""
        given = self._upload(ids, torch.int64)
        embedded: torch.Tensor = self._t3.text_emb(given)[None]
        if not self.guided:
            return embedded
        embedded = torch.cat((embedded, torch.zeros_like(embedded)))
        embedded = embedded + self._t3.text_pos_emb(given[None])
        assert self._places is not None
        start = self._embedding[self._start] + self._places[0]
        return torch.cat((embedded, start.expand(2, 1, -1)), dim=1)

    def _upload(self, values: Sequence[float], dtype: torch.dtype) -> torch.Tensor:
        """To the device, without waiting for what it is doing."""
        here = torch.tensor(values, dtype=dtype)
        if torch.device(self.device).type == "cpu":
            return here
        return here.pin_memory().to(self.device, non_blocking=True)
