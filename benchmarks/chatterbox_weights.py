"""Chatterbox's files with made-up weights: the real package loads them and runs all its code.

`small` builds models of a few layers, for tests; full size is for benchmarks, and made once into a
cache (3 GB a variant). Made-up weights say noise, and rarely say that they have finished; what is
real is the work, the shapes and the order of events. The heads are scaled up so that what is
sampled depends on what was read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

CACHE = Path.home() / ".cache" / "banter-benchmarks"
FORMAT = "1"
"""Of what `make` writes; another one makes the cache anew."""
MADE_UP = "made-up"
"""A file beside the weights, with their format and size: no real model has one."""

VARIANTS = ("turbo", "english", "multilingual")
HEAD_SCALE = 6.0
"""Of the speech head: makes one token in a few tens likely, not all 6,561 alike."""

SMALL_T3 = {
    "GPT2_medium": {"n_layer": 2, "n_embd": 256, "hidden_size": 256, "n_head": 4},
    "Llama_520M": {"num_hidden_layers": 2},
}
"""Llama keeps its width: Chatterbox's resampler of the prompt has it built in."""


@contextmanager
def depth(small: bool) -> Iterator[None]:
    """While it is open, Chatterbox builds models of the size that `make` wrote files for."""
    from chatterbox.models.s3gen import s3gen
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
    from s3tokenizer.model_v2 import S3TokenizerV2

    if not small:
        yield
        return
    shallow = {
        "UpsampleConformerEncoder": {"num_blocks": 1},
        "ConditionalDecoder": {"num_mid_blocks": 1, "n_blocks": 1},
    }
    with ExitStack() as stack:
        for name, changes in SMALL_T3.items():
            stack.enter_context(patch.dict(LLAMA_CONFIGS[name], changes))
        for name, changes in shallow.items():
            stack.enter_context(patch.object(s3gen, name, _smaller(getattr(s3gen, name), changes)))
        # Its configuration is not handed on by Chatterbox: only the default counts.
        [config] = S3TokenizerV2.__init__.__defaults__
        shallow_ear = (replace(config, n_audio_layer=1),)
        stack.enter_context(patch.object(S3TokenizerV2.__init__, "__defaults__", shallow_ear))
        yield


def _smaller(build: Any, changes: dict[str, Any]) -> Any:
    return lambda *args, **given: build(*args, **{**given, **changes})


def cached(variant: str, *, small: bool = False, root: Path = CACHE) -> Path:
    """The folder with a variant's made-up weights; the first call makes it, in a minute."""
    folder = root / f"chatterbox-{variant}{'-small' if small else ''}"
    if made_up(folder) != (FORMAT, small):
        make(folder, variant, small=small)
    return folder


def made_up(folder: Path) -> tuple[str, bool] | None:
    """The format of a folder's weights, and whether they are small; None if `make` made none."""
    told = folder / MADE_UP
    if not told.is_file():
        return None
    written, size = told.read_text().split()
    return written, size == "small"


def make(folder: Path, variant: str, *, small: bool, seed: int = 1) -> Path:
    """Write what `from_local` of this variant opens into `folder`; the folder."""
    import torch
    from chatterbox.models.s3gen import S3Gen
    from chatterbox.models.t3 import T3
    from chatterbox.models.voice_encoder import VoiceEncoder
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    with depth(small):
        t3, s3gen, ve = T3(_hyper(variant)), S3Gen(meanflow=variant == "turbo"), VoiceEncoder()
    with torch.no_grad():
        t3.speech_head.weight.mul_(HEAD_SCALE)
        if variant == "multilingual":
            torch.save(ve.state_dict(), folder / "ve.pt")
            torch.save(s3gen.state_dict(), folder / "s3gen.pt")
            save_file(t3.state_dict(), folder / "t3_mtl23ls_v2.safetensors")
            _characters(folder / "grapheme_mtl_merged_expanded_v1.json")
            (folder / "Cangjie5_TC.json").write_text("[]")
        elif variant == "english":
            save_file(ve.state_dict(), folder / "ve.safetensors")
            save_file(s3gen.state_dict(), folder / "s3gen.safetensors")
            save_file(t3.state_dict(), folder / "t3_cfg.safetensors")
            _characters(folder / "tokenizer.json")
        else:
            save_file(ve.state_dict(), folder / "ve.safetensors")
            save_file(s3gen.state_dict(), folder / "s3gen_meanflow.safetensors")
            save_file(t3.state_dict(), folder / "t3_turbo_v1.safetensors")
            _bytes(folder)
        torch.save(_conditionals(variant, seed), folder / "conds.pt")
    (folder / MADE_UP).write_text(f"{FORMAT} {'small' if small else 'full'}\n")
    return folder


def _hyper(variant: str) -> Any:
    from chatterbox.models.t3.modules.t3_config import T3Config

    if variant == "multilingual":
        return T3Config.multilingual()
    if variant == "english":
        return T3Config.english_only()
    hp = T3Config(text_tokens_dict_size=50276)
    hp.llama_config_name = "GPT2_medium"
    hp.speech_tokens_dict_size = 6563
    hp.input_pos_emb = None
    hp.speech_cond_prompt_len = 375
    hp.use_perceiver_resampler = False
    hp.emotion_adv = False
    return hp


def _conditionals(variant: str, seed: int) -> dict[str, Any]:
    """A speaker, as `Conditionals.save` writes one: a reference of ten seconds."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    prompt = 375 if variant == "turbo" else 150
    t3 = {
        "speaker_emb": torch.rand(1, 256, generator=draw),
        "clap_emb": None,
        "cond_prompt_speech_tokens": torch.randint(0, 6561, (1, prompt), generator=draw),
        "cond_prompt_speech_emb": None,
        "emotion_adv": 0.5 * torch.ones(1, 1, 1),
    }
    gen = {
        "prompt_token": torch.randint(0, 6561, (1, 250), generator=draw),
        "prompt_token_len": torch.tensor([250]),
        "prompt_feat": torch.randn(1, 500, 80, generator=draw),
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=draw),
    }
    return {"t3": t3, "gen": gen}


def _bytes(folder: Path) -> None:
    """A tokenizer of bytes, in the form of GPT-2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _characters(path: Path) -> None:
    """A tokenizer of characters and languages, with the marks that Chatterbox looks for."""
    from chatterbox.mtl_tts import SUPPORTED_LANGUAGES
    from tokenizers import Tokenizer, models, pre_tokenizers

    marks = ["[STOP]", "[UNK]", "[SPACE]", "[PAD]", "[SEP]", "[CLS]", "[MASK]"]
    letters = [chr(c) for c in range(33, 127)] + [chr(c) for c in range(0xA1, 0xA1 + 150)]
    vocabulary = {name: i for i, name in enumerate([*marks, *letters])}
    vocabulary["[START]"] = 255
    for language in SUPPORTED_LANGUAGES:
        vocabulary[f"[{language}]"] = len(vocabulary) + 5
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(
        [name for name in vocabulary if name.startswith("[") and len(name) > 1]
    )
    tokenizer.save(str(path))


def sentence(seed: int, words: int = 8) -> str:
    """Text of so many words, the same for the same seed."""
    pick = random.Random(seed)
    pool = "the ship came late and nobody saw that seven lights were out along the long grey wall"
    return " ".join(pick.choices(pool.split(), k=words)).capitalize() + "."
