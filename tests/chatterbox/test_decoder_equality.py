"""Token for token what the package's own loops sample, on its code with made-up weights."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from realtime.engines.chatterbox.decoder import Decoder, Row
from realtime.engines.chatterbox.model import Model
from realtime.engines.chatterbox.variant import VARIANTS
from tests.chatterbox.decoding import again, alone, decoder, line, run, upstream, voice

NAMES = [variant.name for variant in VARIANTS]


@pytest.mark.parametrize("seed", [1, 2, 77])
@pytest.mark.parametrize("name", NAMES)
def test_the_sequence_is_the_packages(attentive_models, monkeypatch, name, seed):
    model = attentive_models[name]
    row = line(model, seed, words=3 + seed % 9, exaggeration=0.3 + seed % 3 / 4)
    ours = alone(model, row)
    assert ours == upstream(model, row, monkeypatch)
    assert len(ours) == row.max_tokens
    assert len(set(ours)) > 20


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("turbo", {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}),
        ("turbo", {"temperature": 2.5, "top_k": 30, "top_p": 0.6, "repetition_penalty": 3.0}),
        ("english", {"temperature": 1.0, "min_p": 0.0, "top_p": 1.0, "cfg_weight": 1.5}),
        ("english", {"temperature": 0.5, "min_p": 0.1, "top_p": 0.7, "repetition_penalty": 2.0}),
    ],
)
def test_with_other_settings_too(attentive_models, monkeypatch, name, changes):
    model = attentive_models[name]
    row = line(model, 5, max_tokens=30, sampling=replace(model.variant.sampling, **changes))
    ours = alone(model, row)
    assert ours == upstream(model, row, monkeypatch)
    assert ours != alone(model, replace(row, sampling=model.variant.sampling))


@pytest.mark.parametrize("name", ["turbo", "english"])
def test_it_stops_where_the_package_stops(attentive_models, monkeypatch, name):
    model = attentive_models[name]
    row = line(model, 3, max_tokens=20)
    endless = alone(model, row)
    monkeypatch.setattr(model.t3.hp, "stop_speech_token", endless[9])
    stopped = again(row)
    running = decoder(model, rows=1)
    running.join(stopped)
    run(running, [stopped])
    assert (
        stopped.tokens == upstream(model, row, monkeypatch) == endless[: endless.index(endless[9])]
    )
    assert running.free == 1
    assert running.step() == []


def test_a_start_of_speech_that_is_sampled_is_penalised_like_the_packages(
    attentive_models, monkeypatch
):
    """Turbo's loop penalises it before the first token, and then only once it has been sampled."""
    model = attentive_models["turbo"]
    start = model.t3.hp.start_speech_token
    bias = model.t3.speech_head.bias.detach().clone()
    bias[start] += 13
    monkeypatch.setattr(model.t3.speech_head.bias, "data", bias)
    for seed in range(3):
        row = line(model, seed, max_tokens=30)
        ours = alone(model, row)
        assert ours == upstream(model, row, monkeypatch)
        assert 0 < ours.count(start) < 30


def a_place_too_far(running: Decoder, row: Row) -> None:
    running._batch._positions += 1
    row.used += 1


def a_step_too_far(running: Decoder, row: Row) -> None:
    running._batch._steps += 1


def a_lost_start(running: Decoder, row: Row) -> None:
    """The last of what was read before the first step is not looked at."""
    running._batch._positions -= 1


def a_penalty_for_all(running: Decoder, row: Row) -> None:
    running._batch._seen[:] = True


MISTAKES = [a_place_too_far, a_lost_start, a_penalty_for_all]


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        *(("turbo", mistake) for mistake in MISTAKES),
        *(("english", mistake) for mistake in [*MISTAKES, a_step_too_far]),
    ],
)
def test_a_mistake_would_be_noticed(attentive_models, name, mistake):
    """Made-up weights must not be deaf to what a decoder can do wrong."""
    model = attentive_models[name]
    row = line(model, 1, max_tokens=20)
    wrong = again(row)
    running = decoder(model, rows=1)
    running.join(wrong)
    with torch.inference_mode():
        mistake(running, wrong)
    run(running, [wrong])
    assert wrong.tokens != alone(model, row)


@pytest.mark.parametrize("name", ["turbo", "english"])
def test_all_of_the_request_is_heard(attentive_models, name):
    model: Model = attentive_models[name]
    row = line(model, 1, max_tokens=20)
    own = row.conditionals
    changed = {
        "seed": replace(row, seed=2),
        "text": replace(row, text_tokens=line(model, 2).text_tokens),
        "speaker": replace(row, conditionals=replace(own, speaker=voice(model, 1).speaker)),
        "prompt": replace(row, conditionals=replace(own, prompt=voice(model, 1).prompt)),
        "exaggeration": replace(row, exaggeration=0.9),
    }
    sequences = {what: alone(model, other) for what, other in changed.items()}
    usual = alone(model, row)
    same = {what for what, tokens in sequences.items() if tokens == usual}
    assert same == (set() if model.variant.expressive else {"exaggeration"})


@pytest.mark.parametrize("name", NAMES)
def test_in_half_precision_it_begins_alike(attentive_models, name):
    """What a GPU runs: prefix, both backbones and the head in bfloat16, sampling in float32."""
    model = attentive_models[name]
    row = line(model, 4, max_tokens=12)
    exact = alone(model, row)
    copied = replace(model, package=deepcopy(model.package))
    half = Decoder(
        copied.t3, model.variant, rows=2, device="cpu", dtype=torch.bfloat16, positions=640
    )
    rows = [again(row), again(row)]
    for each in rows:
        half.join(each)
    run(half, rows)
    assert rows[0].tokens == rows[1].tokens
    assert len(rows[0].tokens) == 12
    assert rows[0].tokens[0] == exact[0]
