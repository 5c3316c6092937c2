"""What a profile and a voice need of a machine. Memory in MiB, as nvidia-smi counts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    chatterbox: bool = False
    """It speaks, on the GPU where one is used, else on the processor."""

    def modules(self, replier: str) -> tuple[str, ...]:
        """`packages`, and what the embedded language model runs on."""
        return (*self.packages, "xllamacpp") if replier == "embedded" else self.packages


@dataclass(frozen=True)
class VoiceNeeds:
    """What one of Chatterbox's models adds."""

    memory_mib: int
    """Of the machine: torch, and the weights on their way or in their place."""
    gpu_mib: int
    line_mib: int
    """Of the GPU, for each line that is spoken at the same time."""


EMBEDDED = Needs(
    profile="embedded",
    # 589 MiB resident after warming, without a caller.
    memory_mib=800,
    packages=("onnxruntime", "onnx", "faster_whisper", "hibari"),
)

# Without a voice. Whisper large-v3-turbo has 1.6 GB of weights in float16; CUDA itself and batches
# take the rest. Calculated, not measured on a GPU, as are the voices.
GPU = Needs(
    profile="gpu",
    memory_mib=2_000,
    packages=("onnxruntime", "onnx", "faster_whisper"),
    gpu=GpuNeeds(memory_mib=2_300),
)

# On the processor, Turbo's 3.0 GB of weights in 32 bits were seen at 3.6 GB after speaking. On the
# GPU, T3 has 16 bits and S3Gen 32, and the two need some to work in; a line's keys and values have
# 1,536 positions, of 24 layers in Turbo, and of 30 in the others, twice, since they are guided.
VOICES: Mapping[str, VoiceNeeds] = MappingProxyType(
    {
        "chatterbox": VoiceNeeds(memory_mib=4_000, gpu_mib=2_800, line_mib=144),
        "chatterbox-english": VoiceNeeds(memory_mib=4_200, gpu_mib=2_900, line_mib=360),
        "chatterbox-multilingual": VoiceNeeds(memory_mib=4_200, gpu_mib=2_900, line_mib=360),
    }
)
LINES = 16
"""The default of `--voice-streams`."""

VOICE_PACKAGES = ("chatterbox", "safetensors", "soundfile")


def with_voice(
    needs: Needs, voice: str, *, on_gpu: bool, lines: int = LINES, bound_gib: float = 0.0
) -> Needs:
    """`needs` and those of a voice. `bound_gib` is what the settings let it take of the GPU, 0 for
    no bound."""
    if voice not in VOICES:
        return needs
    more = VOICES[voice]
    gpu = needs.gpu
    if on_gpu or gpu:
        wanted = round(bound_gib * 1_024) or more.gpu_mib + lines * more.line_mib
        gpu = GpuNeeds((gpu.memory_mib if gpu else 0) + wanted)
    return replace(
        needs,
        memory_mib=needs.memory_mib + more.memory_mib,
        packages=(*(name for name in needs.packages if name != "hibari"), *VOICE_PACKAGES),
        gpu=gpu,
        chatterbox=True,
    )


NEEDS: Mapping[str, Needs] = MappingProxyType({"embedded": EMBEDDED, "gpu": GPU})
"""By profile, without Chatterbox."""
