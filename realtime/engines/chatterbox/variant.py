"""What sets the three Chatterbox models apart: their files, their sampling and what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realtime.errors import BanterError


@dataclass(frozen=True)
class Sampling:
    """How the next speech token is drawn; the defaults of a variant are those of its `generate`."""

    temperature: float = 0.8
    top_k: int = 0
    """0 looks at all."""
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.2
    cfg_weight: float = 0.0
    """Classifier-free guidance; more than 0 takes two rows of the batch. Never 0 for a variant that
    has it: its own loop fails on that."""


@dataclass(frozen=True)
class Variant:
    """One of the models of chatterbox-tts 0.1.7."""

    name: str
    weights: str
    """The file of T3's weights, by which a folder is recognised."""
    sampling: Sampling
    languages: tuple[str, ...]
    prompt_tokens: int
    """Speech tokens of the reference that T3 reads."""
    reference_s: float
    """Seconds of the reference that they are made from."""
    flow_steps: int
    expressive: bool
    """It listens to `exaggeration`."""

    @property
    def guided(self) -> bool:
        """A request takes two rows of the batch."""
        return self.sampling.cfg_weight > 0


LANGUAGES = (
    *("ar", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "it", "ja"),
    *("ko", "ms", "nl", "no", "pl", "pt", "ru", "sv", "sw", "tr", "zh"),
)
"""What the multilingual model speaks."""

TURBO = Variant(
    name="turbo",
    weights="t3_turbo_v1.safetensors",
    sampling=Sampling(top_k=1_000, top_p=0.95),
    languages=("en",),
    prompt_tokens=375,
    reference_s=15.0,
    flow_steps=2,
    expressive=False,
)
ENGLISH = Variant(
    name="english",
    weights="t3_cfg.safetensors",
    sampling=Sampling(min_p=0.05, cfg_weight=0.5),
    languages=("en",),
    prompt_tokens=150,
    reference_s=6.0,
    flow_steps=10,
    expressive=True,
)
MULTILINGUAL = Variant(
    name="multilingual",
    weights="t3_mtl23ls_v2.safetensors",
    sampling=Sampling(min_p=0.05, repetition_penalty=2.0, cfg_weight=0.5),
    languages=LANGUAGES,
    prompt_tokens=150,
    reference_s=6.0,
    flow_steps=10,
    expressive=True,
)
VARIANTS = (TURBO, ENGLISH, MULTILINGUAL)


def variant_of(folder: Path, name: str | None = None) -> Variant:
    """The variant whose weights lie in a folder; of several, or to be sure, the one of that name.

    Raises:
        BanterError: none of them does; names the files.
    """
    looked_for = [variant for variant in VARIANTS if name in (None, variant.name)]
    for variant in looked_for:
        if (folder / variant.weights).is_file():
            return variant
    names = ", ".join(variant.weights for variant in looked_for)
    raise BanterError(f"{folder} holds no Chatterbox model: none of {names} is there")
