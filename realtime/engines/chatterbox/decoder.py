"""T3, text to speech tokens: requests join and leave a running batch between two steps.

What a row gets does not depend on who else is in the batch: its positions, its settings and its
chance are its own. On a CPU in float32 it is, token for token, what the package's own loop samples
after `torch.manual_seed(seed)`. The multilingual model is compared with that loop without its
alignment analyzer, which leaves a hook behind at each call (chatterbox-tts 0.1.7) and is not used.

Not thread-safe: one thread owns it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from realtime.engines.chatterbox import sampling
from realtime.engines.chatterbox.batch import Batch
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.graphs import runner_of
from realtime.engines.chatterbox.variant import Sampling, Variant

POSITIONS = 1_536
"""Of a row: 376 for Turbo's prompt (34 for the others'), then the text, then 25 a second."""
REPEATS = 50
"""The same token so many times on end, two seconds, is not speech: the row has run away."""


@dataclass(eq=False)
class Row:
    """One request's place in the batch."""

    conditionals: Conditionals
    text_tokens: list[int]
    """From `Model.text_tokens`, start and stop included where the variant has them."""
    sampling: Sampling
    seed: int
    max_tokens: int
    exaggeration: float = 0.5
    tokens: list[int] = field(default_factory=list)
    """What has been sampled and is known so far, without the stop."""
    ended: bool = False
    """It has left by itself: stop was sampled, the bound was reached, or it had run away."""
    steps: int = 0
    """Forward passes that it took part in."""
    used: int = 0
    """Positions of the cache that it fills; the decoder's own."""


class Decoder:
    """At most `rows` requests at once, each of at most `positions`: voice, text and speech.

    `t3` is cast to `dtype` in place. `memory_bytes` is what the keys and values of the batch take;
    voices that are kept take up to `prefix.KEPT_BYTES` more.
    """

    def __init__(
        self,
        t3: Any,
        variant: Variant,
        *,
        rows: int,
        device: str,
        dtype: torch.dtype,
        positions: int = POSITIONS,
    ) -> None:
        with torch.inference_mode():
            self._batch = Batch(
                t3, variant, rows=rows, device=device, dtype=dtype, positions=positions
            )
        self._runner = runner_of(self._batch, rows)
        self._capacity = rows
        self._stop = t3.hp.stop_speech_token
        self._text_vocabulary = t3.text_emb.weight.shape[0]
        self._text_limit = t3.hp.max_text_tokens
        self._rows: list[Row | None] = []
        """By place. A place whose row has left is taken by who joins, or by the last at a step."""
        self.steps = 0

    @property
    def free(self) -> int:
        return self._capacity - sum(row is not None for row in self._rows)

    @property
    def memory_bytes(self) -> int:
        return self._batch.cache.memory_bytes

    @property
    def voices_made(self) -> int:
        """How many times a voice had to be read, because it was not kept."""
        return self._batch.prefixes.made

    def warm(self) -> None:
        """Prepare what steps need; before anybody joins."""
        assert not self._rows
        with torch.inference_mode():
            self._runner.warm()

    def join(self, row: Row) -> None:
        """Read the row's voice and text; it takes part from the next step on.

        Raises:
            ValueError: it cannot be served as it is.
            RuntimeError: nothing is free.
        """
        if not self.free:
            raise RuntimeError(f"all {self._capacity} rows are taken")
        self._check(row)
        place = self._rows.index(None) if None in self._rows else len(self._rows)
        with torch.inference_mode():
            used = self._batch.begin(
                place, row.conditionals, row.text_tokens, row.exaggeration, row.sampling, row.seed
            )
        # And one: on a GPU the last token is read when the next step has been given.
        if used + row.max_tokens + 1 > self._batch.cache.positions:
            raise ValueError(
                f"{used} positions and {row.max_tokens} tokens do not fit "
                f"the cache's {self._batch.cache.positions}"
            )
        row.used = used
        self._rows[place : place + 1] = [row]

    def step(self) -> list[Row]:
        """One forward pass for all; the rows that got a token, or ended, by it."""
        with torch.inference_mode():
            rows = self._closed_up()
            if not rows:
                return []
            for place, row in enumerate(rows):
                self._batch.draws.refill(place, row.steps)
            self._runner.run(len(rows), 1 + max(row.used for row in rows))
            self.steps += 1
            for row in rows:
                row.steps += 1
                row.used += 1
            told = self._runner.read(rows)
        changed = [row for row, token in told if self._take(row, token)]
        for row in changed:
            if row.ended:
                self.leave(row)
        return changed

    def leave(self, row: Row) -> None:
        """It takes part in nothing any more. Again, or for one that never joined: nothing."""
        if row in self._rows:
            self._rows[self._rows.index(row)] = None
        while self._rows and self._rows[-1] is None:
            self._rows.pop()

    def _closed_up(self) -> list[Row]:
        """Those in the batch, the last moved to where somebody has left: n rows cost n."""
        rows = self._rows
        while None in rows:
            place = rows.index(None)
            last = rows.pop()
            if last is not None:
                self._batch.move(len(rows), place, last.used)
                rows[place] = last
        return [row for row in rows if row is not None]

    def _take(self, row: Row, token: int) -> bool:
        """Note a row's token; False for one that was not there any more when it came."""
        if row.ended or row not in self._rows:
            return False
        if token == self._stop:
            row.ended = True
            return True
        tokens = row.tokens
        tokens.append(token)
        ran_away = len(tokens) >= REPEATS and tokens[-REPEATS:].count(token) == REPEATS
        row.ended = ran_away or len(tokens) >= row.max_tokens
        return True

    def _check(self, row: Row) -> None:
        sampling.check(row.sampling)
        if row.max_tokens < 1:
            raise ValueError("a row has at least one token")
        if not row.text_tokens:
            raise ValueError("there is no text")
        if len(row.text_tokens) > self._text_limit:
            raise ValueError(f"more than {self._text_limit} tokens of text")
        if not all(0 <= token < self._text_vocabulary for token in row.text_tokens):
            raise ValueError("the text has tokens that the model does not know")
