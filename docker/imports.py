"""Imports all that a server imports of its packages, in every build and after the pruning.

So a build with too little in it fails here. pip was told not to compile: what is imported now
leaves its bytecode, the rest does without. A server that gave root away could not write it later.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version

PACKAGES = """
    aiohttp.web uvloop msgspec numpy av soxr webrtcvad onnx onnxruntime ctranslate2 faster_whisper
    faster_whisper.tokenizer faster_whisper.transcribe hibari xllamacpp
    huggingface_hub.file_download hf_xet openai openai.resources.chat.completions openai.types.chat
    prometheus_client opentelemetry.sdk.trace google.protobuf.json_format
    opentelemetry.exporter.otlp.proto.http.trace_exporter
"""

PACKAGES_GPU = """
    torch torch.nn.functional torchaudio torchaudio.compliance.kaldi safetensors.torch
    transformers.models.gpt2.modeling_gpt2 transformers.models.llama.modeling_llama
    transformers.models.auto.tokenization_auto transformers.tokenization_utils_tokenizers
    transformers.models.whisper.feature_extraction_whisper
    librosa librosa.core.audio librosa.filters librosa.effects soundfile
    chatterbox.tts chatterbox.tts_turbo chatterbox.mtl_tts
"""


def main() -> None:
    """Import, and make sure of what is known to fail without a word."""
    gpu = sys.argv[1:] == ["gpu"]
    for name in (PACKAGES + (PACKAGES_GPU if gpu else "")).split():
        importlib.import_module(name)
    say_something()
    write_a_file()
    if gpu:
        see_the_gpu_packages()


def say_something() -> None:
    """The embedded voice comes with its model: a real sentence."""
    from hibari import Hibari

    assert len(Hibari()("Hello there.")) > 12_000, "the voice said nothing"


def write_a_file() -> None:
    """FFmpeg comes with PyAV: it has the encoders for the files that are asked for."""
    import av

    for name in ("libmp3lame", "libopus", "flac", "aac"):
        assert av.codec.Codec(name, "w").name, f"FFmpeg has no {name}"


def see_the_gpu_packages() -> None:
    """Without a GPU: torch is one for CUDA 12, the watermark is real, CTranslate2 finds cuBLAS."""
    import ctypes

    import perth
    import torch

    assert str(torch.version.cuda).startswith("12."), "CTranslate2 wants the cuBLAS of CUDA 12"
    assert perth.PerthImplicitWatermarker is not None, "perth found no pkg_resources"
    ctypes.CDLL("libcublas.so.12")  # what CTranslate2 opens, by this name
    print(f"torch {torch.__version__} and ctranslate2 {version('ctranslate2')} share cuBLAS")


if __name__ == "__main__":
    main()
