"""Lines for T3, and what the package's own loops make of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import torch
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.t3.modules.t3_config import T3Config

from realtime.engines.chatterbox.conditionals import Conditionals, from_package
from realtime.engines.chatterbox.decoder import Decoder, Row
from realtime.engines.chatterbox.draws import Draws
from realtime.engines.chatterbox.graphs import Eager, Tokens
from realtime.engines.chatterbox.model import Model
from realtime.engines.chatterbox.variant import Sampling
from tests.chatterbox import weights

POSITIONS = 640


def attentive(model: Model) -> Model:
    """A copy whose T3 listens. Weights as they are drawn are nearly deaf: attention looks
    everywhere alike, and a sequence is the same whatever the voice, the text and the place."""
    package = copy(model.package)
    package.t3 = t3 = deepcopy(model.t3)
    louder: list[tuple[torch.nn.Module, float]] = []
    if t3.is_gpt:
        louder.append((t3.tfmr.wpe, 20))
        for block in t3.tfmr.h:
            louder += [(block.attn.c_attn, 5), (block.attn.c_proj, 5)]
    else:
        louder += [(t3.speech_pos_emb.emb, 20), (t3.cond_enc.emotion_adv_fc, 20)]
        for block in t3.tfmr.layers:
            for matrix in block.self_attn.children():
                louder.append((matrix, 4))
    with torch.no_grad():
        for module, times in louder:
            module.weight.mul_(times)
    return replace(model, package=package)


def decoder(model: Model, *, rows: int) -> Decoder:
    return Decoder(
        model.t3,
        model.variant,
        rows=rows,
        device="cpu",
        dtype=torch.float32,
        positions=POSITIONS,
    )


def voice(model: Model, number: int = 0) -> Conditionals:
    """The model's own, or another that is made up like it."""
    own = from_package(model.package.conds)
    if not number:
        return own
    draw = torch.Generator().manual_seed(number)
    prompt = torch.randint(0, 6561, own.prompt.shape, generator=draw)
    return replace(own, speaker=torch.rand(1, 256, generator=draw), prompt=prompt)


def line(model: Model, seed: int, *, max_tokens: int = 64, words: int = 6, **rest: Any) -> Row:
    """A row whose text, of about so many words, goes with its seed."""
    return Row(
        conditionals=rest.pop("conditionals", None) or voice(model),
        text_tokens=model.text_tokens(weights.sentence(seed, words), "en"),
        sampling=rest.pop("sampling", model.variant.sampling),
        seed=seed,
        max_tokens=max_tokens,
        **rest,
    )


def again(row: Row) -> Row:
    """The same request, as if it had not been made."""
    return Row(
        row.conditionals, row.text_tokens, row.sampling, row.seed, row.max_tokens, row.exaggeration
    )


def alone(model: Model, row: Row) -> list[int]:
    """The tokens of such a row when nobody else is there."""
    only = again(row)
    by_itself = decoder(model, rows=1)
    by_itself.join(only)
    run(by_itself, [only])
    return only.tokens


def run(running: Decoder, rows: Sequence[Row]) -> None:
    """Until all of these have ended."""
    while not all(row.ended for row in rows):
        running.step()


class LikeAGpu(Eager):
    """Every step as wide and as long as can be, its tokens read a step late: what a captured step
    does to those in the batch, without the capture."""

    def __init__(self, running: Decoder) -> None:
        super().__init__(running._batch)
        self._width = running._capacity
        self._flight: deque[Any] = deque()

    def run(self, n: int, length: int) -> None:
        assert length <= POSITIONS
        super().run(self._width, POSITIONS)

    def read(self, members: Sequence[Any]) -> Tokens[Any]:
        self._flight.append(super().read(members))
        return self._flight.popleft() if len(self._flight) == 2 else []


def like_a_gpu(running: Decoder) -> Decoder:
    batch = running._batch
    running._runner = LikeAGpu(running)
    batch.draws = Draws(running._capacity, batch._vocabulary, "cpu", block=5)
    return running


def upstream(model: Model, row: Row, monkeypatch: Any) -> list[int]:
    """What the package's own loop samples for this row, without a stop; the multilingual model's
    without its alignment analyzer."""
    t3, how = model.t3, row.sampling
    monkeypatch.setattr(T3Config, "is_multilingual", property(lambda _: False))
    cond = T3Cond(
        speaker_emb=row.conditionals.speaker.clone(),
        cond_prompt_speech_tokens=row.conditionals.prompt.clone(),
        emotion_adv=row.exaggeration * torch.ones(1, 1, 1),
    )
    text = torch.tensor([row.text_tokens])
    torch.manual_seed(row.seed)
    if model.variant.guided:
        found = t3.inference(
            t3_cond=cond,
            text_tokens=torch.cat((text, text)),
            max_new_tokens=row.max_tokens,
            **_given(how, "temperature", "top_p", "min_p", "repetition_penalty", "cfg_weight"),
        )
        del t3.patched_model
        t3.compiled = False
    else:
        found = t3.inference_turbo(
            cond,
            text,
            max_gen_len=row.max_tokens - 1,
            **_given(how, "temperature", "top_k", "top_p", "repetition_penalty"),
        )
    tokens: list[int] = found[0].tolist()
    return tokens[:-1] if tokens[-1] == t3.hp.stop_speech_token else tokens


def _given(how: Sampling, *names: str) -> dict[str, float]:
    return {name: getattr(how, name) for name in names}
