"""Every row's filters in one go against transformers' own, one row and one filter at a time."""

from __future__ import annotations

import random

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from realtime.engines.chatterbox.draws import Draws
from realtime.engines.chatterbox.sampling import check, choose, columns, guide
from realtime.engines.chatterbox.variant import Sampling

VOCABULARY = 6_563


def rows_of(seed: int, n: int) -> list[Sampling]:
    pick = random.Random(seed)
    return [
        Sampling(
            temperature=pick.choice([0.3, 0.8, 1.0, 1.7]),
            top_k=pick.choice([0, 1, 7, 1_000, 10_000]),
            top_p=pick.choice([0.05, 0.5, 0.95, 1.0]),
            min_p=pick.choice([0.0, 0.05, 0.4, 1.0]),
            repetition_penalty=pick.choice([0.8, 1.0, 1.2, 2.0]),
            cfg_weight=pick.choice([0.0, 0.5, 2.0]),
        )
        for _ in range(n)
    ]


def theirs(how: Sampling, penalty_first: bool) -> LogitsProcessorList:
    """The filters in the order of `T3.inference` or `T3.inference_turbo`."""
    penalty = RepetitionPenaltyLogitsProcessor(float(how.repetition_penalty))
    warm = [TemperatureLogitsWarper(how.temperature)] if how.temperature != 1.0 else []
    top_p = TopPLogitsWarper(how.top_p)
    if penalty_first:
        return LogitsProcessorList([penalty, *warm, MinPLogitsWarper(how.min_p), top_p])
    few = [TopKLogitsWarper(how.top_k)] if how.top_k else []
    return LogitsProcessorList([*warm, *few, *([top_p] if how.top_p < 1 else []), penalty])


@pytest.mark.parametrize("penalty_first", [True, False])
def test_each_row_gets_what_it_would_get_from_transformers(penalty_first):
    n = 64
    draw = torch.Generator().manual_seed(8)
    logits = 4 * torch.randn(n, VOCABULARY, generator=draw)
    given = torch.randint(0, VOCABULARY, (n, 300), generator=draw)
    given[:, 0] = logits.argmax(-1)  # a penalty that counts
    seen = torch.zeros(n, VOCABULARY, dtype=torch.bool).scatter_(1, given, True)
    settings = rows_of(1, n)
    if penalty_first:
        settings = [Sampling(**{**vars(how), "top_k": 0}) for how in settings]
    packed = torch.tensor([columns(how, VOCABULARY) for how in settings])
    draws = torch.empty(n, VOCABULARY).exponential_(generator=draw)
    ours = choose(logits, seen, packed, draws, penalty_first=penalty_first)
    for row, how in enumerate(settings):
        scores = theirs(how, penalty_first)(given[row : row + 1], logits[row : row + 1])
        expected = (scores.softmax(-1) / draws[row]).argmax(-1)
        assert ours[row] == expected, how
    assert (ours != logits.argmax(-1)).sum() > n / 4


def test_a_draw_is_what_multinomial_would_have_drawn():
    chances = torch.rand(1, VOCABULARY, generator=torch.Generator().manual_seed(1)).softmax(-1)
    torch.manual_seed(31)
    expected = [int(torch.multinomial(chances, 1)) for _ in range(20)]
    draws = Draws(2, VOCABULARY, "cpu", block=1)
    draws.begin(1, 31)
    drawn = []
    for step in range(20):
        draws.refill(1, step)
        q = draws.take(torch.tensor([0, step]))[1:]
        drawn.append(int((chances / q).argmax(-1)))
    assert drawn == expected


def test_a_block_is_drawn_once_and_goes_where_its_row_goes():
    draws = Draws(3, 50, "cpu", block=4)
    alone = Draws(1, 50, "cpu", block=4)
    for which, row in ((draws, 2), (alone, 0)):
        which.begin(row, 9)
    seen = []
    for step in range(11):
        if step == 6:
            draws.move(2, 0)
        row = 0 if step >= 6 else 2
        draws.refill(row, step)
        alone.refill(0, step)
        steps = torch.full((3,), step)
        seen.append(draws.take(steps)[row])
        assert torch.equal(seen[-1], alone.take(steps[:1])[0])
    assert len({tuple(q.tolist()) for q in seen}) == 11


def test_guidance_moves_away_from_what_would_be_said_without_the_text():
    logits = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[1.0, 2.0], [3.0, 0.0]]])
    settings = torch.tensor([columns(Sampling(cfg_weight=w), 2) for w in (0.0, 0.5)])
    assert guide(logits, settings).tolist() == [[1.0, 2.0], [0.0, 3.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"top_k": -1},
        {"repetition_penalty": 0.0},
        {"cfg_weight": -1.0},
    ],
)
def test_settings_that_leave_nothing_are_refused(wrong):
    check(Sampling())
    with pytest.raises(ValueError, match="sampled with"):
        check(Sampling(**wrong))
