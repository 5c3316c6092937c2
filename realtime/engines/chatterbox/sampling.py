"""The next token of every row at once, each with settings of its own, in the package's own order.

Turbo:   temperature, top k, top p, repetition penalty.
Others:  guidance, repetition penalty, temperature, min p, top p.

The filters are those of transformers' `generation/logits_process.py`; the two that look at ranks
share one sort. Nothing here asks the device for a number, so a step can be captured.
"""

from __future__ import annotations

import torch

from realtime.engines.chatterbox.variant import Sampling

COLUMNS = 6


def check(sampling: Sampling) -> None:
    """Raises ValueError: a setting would leave nothing to choose from, or mean nothing."""
    if not (
        sampling.temperature > 0
        and 0 < sampling.top_p <= 1
        and 0 <= sampling.min_p <= 1
        and sampling.top_k >= 0
        and sampling.repetition_penalty > 0
        and sampling.cfg_weight >= 0
    ):
        raise ValueError(f"these cannot be sampled with: {sampling}")


def columns(sampling: Sampling, vocabulary: int) -> list[float]:
    """A row of `choose`'s settings. A top k of 0 is all."""
    return [
        sampling.temperature,
        min(sampling.top_k or vocabulary, vocabulary),
        1 - sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        sampling.cfg_weight,
    ]


def guide(logits: torch.Tensor, settings: torch.Tensor) -> torch.Tensor:
    """[n, 2, vocabulary], with and without the text, -> [n, vocabulary]."""
    with_text, without = logits.unbind(1)
    return with_text + settings[:, 5:6] * (with_text - without)


def choose(
    logits: torch.Tensor,
    seen: torch.Tensor,
    settings: torch.Tensor,
    draws: torch.Tensor,
    *,
    penalty_first: bool,
) -> torch.Tensor:
    """[n], int64.

    `logits` [n, vocabulary] float32; `seen` [n, vocabulary] bool, what is penalised; `settings`
    [n, COLUMNS] float32; `draws` [n, vocabulary] as `Draws` makes them.
    """
    temperature, top_k, floor, min_p, penalty, _ = settings.split(1, dim=1)
    if penalty_first:
        logits = _penalised(logits, seen, penalty)
    scores = logits / temperature
    if penalty_first:
        scores = _above(scores, min_p)
    scores = _likely(scores, top_k, floor)
    if not penalty_first:
        scores = _penalised(scores, seen, penalty)
    return (scores.softmax(-1) / draws).argmax(-1)


def _penalised(scores: torch.Tensor, seen: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def _above(scores: torch.Tensor, min_p: torch.Tensor) -> torch.Tensor:
    """Those with at least that share of the most likely one's probability."""
    chances = scores.softmax(-1)
    return scores.masked_fill(chances < min_p * chances.amax(-1, keepdim=True), -torch.inf)


def _likely(scores: torch.Tensor, top_k: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """The most likely `top_k`, and of those what is left when `floor` of the mass is cut away."""
    ordered, places = scores.sort(-1)
    least = ordered.gather(1, ordered.shape[1] - top_k.long())
    out = ordered < least
    mass = ordered.masked_fill(out, -torch.inf).softmax(-1).cumsum(-1)
    out |= mass <= floor
    out[:, -1] = False
    return scores.masked_fill(out.scatter(1, places, out), -torch.inf)
