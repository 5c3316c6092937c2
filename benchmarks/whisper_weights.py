"""Whisper large-v3-turbo with made-up weights, in CTranslate2 form: real work, a fixed sentence.

Random weights would hear noise with a probability that the recogniser rightly does not believe. So
what a position of the decoder adds is made to outweigh everything else, and to point at one token:
whatever is said, the model is sure of the same words. It computes all that the real one computes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.chatterbox_weights import CACHE

SENTENCE = " The ship came in late last night, and nobody on the long grey wall had seen it come."
WEIGHT = 400.0
"""Of a position: the layers add some 60 to it."""
PROMPT = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
SHAPES: dict[str, Any] = {
    "vocab_size": 51_866,
    "num_mel_bins": 128,
    "d_model": 1_280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5_120,
    "decoder_layers": 4,
    "decoder_attention_heads": 20,
    "decoder_ffn_dim": 5_120,
}
SMALL = {
    "d_model": 256,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
}
LAST_WORDS = ("<|nospeech|>", "<|notimestamps|>")


def cached(english: Path, *, small: bool = False, root: Path = CACHE) -> Path:
    """The folder of the model; the first call makes it, in a minute. `english` is the folder of an
    English model, whose tokenizer is taken over.
    """
    folder = root / f"whisper-large-v3-turbo{'-small' if small else ''}"
    if not (folder / "preprocessor_config.json").is_file():  # written last
        make(folder, english, small=small)
    return folder


def make(folder: Path, english: Path, *, small: bool, quantization: str = "float16") -> None:
    """Write what faster-whisper opens."""
    import torch
    from ctranslate2.converters.transformers import WhisperLoader
    from transformers import (
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    folder.mkdir(parents=True, exist_ok=True)
    tokens = tokenizer_of((english / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    shapes = {**SHAPES, **(SMALL if small else {})}
    model = WhisperForConditionalGeneration(WhisperConfig(**shapes)).eval()
    said = tokenizer.encode(SENTENCE, add_special_tokens=False)
    with torch.no_grad():
        decoder = model.model.decoder
        embedding = torch.randn(shapes["vocab_size"], shapes["d_model"]) / shapes["d_model"] ** 0.5
        decoder.embed_tokens.weight.copy_(embedding)
        model.proj_out.weight = decoder.embed_tokens.weight
        end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
        prompt = tokenizer.convert_tokens_to_ids(list(PROMPT[1:]))
        positions = decoder.embed_positions.weight
        follows = [*prompt, *said] + [end] * len(positions)
        for position in range(len(positions)):
            positions[position] = WEIGHT * embedding[follows[position]]
        model.generation_config = None
        model.config.suppress_tokens, model.config.begin_suppress_tokens = [], [220, end]
        spec = WhisperLoader()(model, tokenizer)
    languages = [
        t["id"] for t in tokens["added_tokens"] if len(t["content"].strip("<|>")) in (2, 3)
    ]
    spec.config.lang_ids = [n for n in languages if end + 1 < n < end + 102]
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    features = {"feature_size": shapes["num_mel_bins"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(features))


def tokenizer_of(english: str) -> dict[str, Any]:
    """An English tokenizer's words with the marks of large-v3, each at its number."""
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    tokens: dict[str, Any] = json.loads(english)
    words = tokens["model"]["vocab"]
    words[""] = words.pop("<|endoftext|>")  # by this word CTranslate2 knows a multilingual model
    marks = ["<|endoftext|>", "<|startoftranscript|>"]
    marks += [f"<|{code}|>" for code in LANGUAGES]
    marks += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", *LAST_WORDS]
    marks += [f"<|{n / 50:.2f}|>" for n in range(1_501)]
    mark = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokens["added_tokens"] = [
        {"id": len(words) + n, "content": name, **mark, "special": True}
        for n, name in enumerate(marks)
    ]
    tokens["post_processor"] = None
    return tokens
