"""Rows that come and go: each gets what it would get alone, and what has gone costs nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from realtime.engines.chatterbox.decoder import REPEATS, Decoder, Row
from realtime.engines.chatterbox.model import Model
from realtime.engines.chatterbox.variant import Sampling
from tests.chatterbox.decoding import POSITIONS, again, alone, decoder, like_a_gpu, line, run, voice

NAMES = ["turbo", "english"]


def crowd(model: Model) -> list[Row]:
    """Different voices, texts, lengths and ways of sampling."""
    usual = model.variant.sampling
    hot = replace(usual, temperature=1.4, repetition_penalty=1.6)
    narrow = Sampling(0.6, 40, 0.7, 0.1, 1.1, usual.cfg_weight and 1.0)
    first, second = voice(model), voice(model, 1)
    return [
        line(model, 1, max_tokens=28, words=3, conditionals=first),
        line(model, 2, max_tokens=44, words=12, conditionals=second, sampling=hot),
        line(model, 3, max_tokens=30, words=7, conditionals=first, exaggeration=0.8),
        line(model, 4, max_tokens=25, words=1, conditionals=second, sampling=narrow),
        line(model, 5, max_tokens=20, words=9, conditionals=first, sampling=hot),
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", ["cpu", "like a gpu"])
def test_each_of_a_crowd_gets_what_it_would_get_alone(attentive_models, name, device):
    model = attentive_models[name]
    running, single = decoder(model, rows=3), decoder(model, rows=1)
    if device != "cpu":
        running, single = like_a_gpu(running), like_a_gpu(single)
    solo = []
    for row in crowd(model):
        single.join(row)
        run(single, [row])
        solo.append(row.tokens)
    a, b, c, d, e = rows = crowd(model)
    running.join(a)
    steps(running, 5)
    running.join(b)
    steps(running, 4)
    running.join(c)
    steps(running, 10)
    running.leave(a)  # the last takes its place
    left_with = list(a.tokens)
    steps(running, 3)
    running.join(d)
    run(running, [c])
    running.join(e)
    run(running, [b, d, e])
    assert [row.tokens for row in rows[1:]] == solo[1:]
    assert a.tokens == left_with == solo[0][: len(left_with)]
    assert len(left_with) == 19 if device == "cpu" else 18
    assert running.free == 3


@pytest.mark.parametrize("name", NAMES)
def test_who_joins_takes_the_place_of_who_left(attentive_models, monkeypatch, name):
    model = attentive_models[name]
    running = decoder(model, rows=3)
    a, b, c, d, _ = crowd(model)
    moves = counted(monkeypatch, running, "move")
    for row in (a, b, c):
        running.join(row)
    steps(running, 6)
    running.leave(b)
    running.join(d)
    running.step()
    assert moves == []
    run(running, [a, c, d])
    assert moves != []
    assert [row.tokens for row in (a, c, d)] == [alone(model, row) for row in (a, c, d)]


def test_leaving_is_immediate(attentive_models, monkeypatch):
    model = attentive_models["english"]
    running = decoder(model, rows=3)
    passes = counted(monkeypatch, running, "advance")
    a, b, c = crowd(model)[:3]
    for row in (a, b, c):
        running.join(row)
    assert running.free == 0
    steps(running, 2)
    running.leave(a)
    running.leave(a)
    assert running.free == 1
    assert running.step() == [c, b]
    assert [n for n, _ in passes] == [3, 3, 2]
    assert (a.steps, b.steps, running.steps) == (2, 3, 3)
    running.leave(b)
    running.leave(c)
    assert running.step() == []
    assert len(passes) == running.steps == 3
    assert (running.free, a.ended, len(a.tokens)) == (3, False, 2)
    running.leave(line(model, 9))


def test_a_row_in_flight_may_leave(attentive_models):
    """Its token comes when it has gone, and is nobody's."""
    model = attentive_models["turbo"]
    running = like_a_gpu(decoder(model, rows=2))
    a, b = crowd(model)[:2]
    running.join(a)
    steps(running, 3)
    running.leave(a)
    assert (len(a.tokens), running.step()) == (2, [])
    running.join(b)
    assert running.step() == []
    assert running.step() == [b]
    assert (len(a.tokens), len(b.tokens)) == (2, 1)


def test_a_voice_is_read_once_and_stays_as_it_was(attentive_models):
    model = attentive_models["english"]
    running = decoder(model, rows=2)
    prefixes = running._batch.prefixes
    own = voice(model)
    before = {name: tensor.clone() for name, tensor in vars(own).items()}
    rows = [line(model, seed, max_tokens=8, conditionals=own) for seed in (1, 2, 3)]
    running.join(rows[0])
    kept = {key: kv.clone() for key, kv in prefixes._kept.items()}
    running.join(rows[1])
    run(running, rows[:2])
    running.join(rows[2])
    run(running, rows)
    assert running.voices_made == 1
    assert len(kept) == 1
    assert all(torch.equal(prefixes._kept[key], kv) for key, kv in kept.items())
    assert all(torch.equal(getattr(own, name), tensor) for name, tensor in before.items())
    running.join(line(model, 4, max_tokens=1, conditionals=own, exaggeration=0.9))
    assert running.voices_made == 2


def test_voices_are_kept_within_a_bound(attentive_models):
    model = attentive_models["turbo"]
    running = decoder(model, rows=1)
    prefixes = running._batch.prefixes

    def say(number: int, exaggeration: float = 0.5) -> int:
        row = line(model, 1, max_tokens=1, conditionals=voices[number], exaggeration=exaggeration)
        running.join(row)
        running.leave(row)
        return running.voices_made

    voices = [voice(model, number) for number in range(3)]
    say(0)
    prefixes._kept_bytes = 2 * prefixes.memory_bytes
    assert [say(1), say(0, 0.9), say(2), say(0), say(1)] == [2, 2, 3, 3, 4]
    assert prefixes.memory_bytes == prefixes._kept_bytes


def test_more_than_there_is_room_for(attentive_models):
    model = attentive_models["turbo"]
    running = decoder(model, rows=2)
    a, b, c = crowd(model)[:3]
    running.join(a)
    running.join(b)
    with pytest.raises(RuntimeError, match="2 rows"):
        running.join(c)
    run(running, [a, b])
    assert [a.tokens, b.tokens] == [alone(model, a), alone(model, b)]
    config = model.t3.cfg
    cells = config.n_layer * 2 * 2 * POSITIONS * config.n_embd
    assert running.memory_bytes == 4 * cells


@pytest.mark.parametrize("name", NAMES)
def test_who_cannot_join_changes_nothing(attentive_models, monkeypatch, name):
    model = attentive_models[name]
    running = decoder(model, rows=3)
    a, b, c = crowd(model)[:3]
    for row in (a, b, c):
        running.join(row)
    steps(running, 4)
    running.leave(b)
    usual = model.variant.sampling
    wrong = {
        "no text": {"text_tokens": []},
        "does not know": {"text_tokens": [1, 10**6]},
        "sampled": {"sampling": replace(usual, temperature=0)},
        "at least one": {"max_tokens": 0},
        "do not fit": {"max_tokens": POSITIONS},
        "do not fit the cache": {"text_tokens": [1] * POSITIONS},
    }
    for reason, changes in wrong.items():
        with pytest.raises(ValueError, match=reason):
            running.join(replace(line(model, 9), **changes))

    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("as many as there are")

    with monkeypatch.context() as patch:
        patch.setattr(running._batch, "_text", out_of_memory)
        with pytest.raises(torch.OutOfMemoryError):
            running.join(line(model, 9))
    assert running.free == 1
    run(running, [a, c])
    assert [a.tokens, c.tokens] == [alone(model, a), alone(model, c)]


def test_the_longest_that_fits_does(attentive_models):
    model = attentive_models["turbo"]
    running = like_a_gpu(decoder(model, rows=1))
    row = line(model, 1, max_tokens=1)
    running.join(row)
    row.max_tokens = longest = POSITIONS - row.used - 1
    run(running, [row])
    assert len(row.tokens) == longest
    with pytest.raises(ValueError, match="do not fit"):
        running.join(replace(again(row), max_tokens=longest + 1))


def test_a_row_that_says_one_thing_over_and_over_ends(attentive_models, monkeypatch):
    model = attentive_models["turbo"]
    running = decoder(model, rows=1)
    row = line(model, 1, max_tokens=200)
    running.join(row)
    steps(running, 3)
    monkeypatch.setattr(running._runner, "read", lambda rows: [(row, 7) for row in rows])
    run(running, [row])
    assert row.tokens[3:] == [7] * REPEATS
    assert running.free == 1


def steps(running: Decoder, count: int) -> None:
    for _ in range(count):
        running.step()


def counted(monkeypatch: Any, running: Decoder, name: str) -> list[tuple[Any, ...]]:
    """What that method of the batch is called with, from here on."""
    calls: list[tuple[Any, ...]] = []
    work = getattr(running._batch, name)

    def noted(*given: Any) -> None:
        calls.append(given)
        work(*given)

    monkeypatch.setattr(running._batch, name, noted)
    return calls
