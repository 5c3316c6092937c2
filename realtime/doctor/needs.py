"""What a profile needs of a machine, as numbers. Memory in MiB, as nvidia-smi counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class GpuNeeds:
    """What is asked of a GPU and its driver."""

    memory_mib: int
    driver: int = 525
    """The first driver that runs programs built for CUDA 12, whatever its minor version."""
    capability: float = 7.0
    """The first with tensor cores, without which CTranslate2 has no float16."""


@dataclass(frozen=True)
class Needs:
    """`gpu` is None where none is used."""

    profile: str
    memory_mib: int
    """Of the machine, free for this process."""
    packages: tuple[str, ...]
    """Modules that the server imports beside those that have a check of their own."""
    gpu: GpuNeeds | None = None

    def modules(self, replier: str) -> tuple[str, ...]:
        """`packages`, and what the embedded language model runs on."""
        return (*self.packages, "xllamacpp") if replier == "embedded" else self.packages


EMBEDDED = Needs(
    profile="embedded",
    # 589 MiB resident after warming, without a caller.
    memory_mib=800,
    packages=("onnxruntime", "onnx", "faster_whisper", "hibari"),
)

# Whisper large-v3-turbo has 1.6 GB of weights in float16. Chatterbox has 3.0 GB in float32 and a
# process with it was seen at 3.6 GB after speaking; the rest is room for batches. The weights pass
# through the machine's own memory on their way. Calculated, not measured on a GPU.
GPU = Needs(
    profile="gpu",
    memory_mib=6_000,
    packages=("onnxruntime", "onnx", "faster_whisper"),
    gpu=GpuNeeds(memory_mib=7_000),
)
GPU_MULTILINGUAL = Needs("gpu-multilingual", 6_000, GPU.packages, GpuNeeds(memory_mib=7_300))

NEEDS: Mapping[str, Needs] = MappingProxyType(
    {needs.profile: needs for needs in (EMBEDDED, GPU, GPU_MULTILINGUAL)}
)
