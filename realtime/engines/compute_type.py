"""What Whisper's weights are computed in: the fastest kind that the machine has, found by trying.

Which is faster depends on the processor and on the model: int8 has twice the arithmetic of float32
and costs conversions; on a GPU the conversions may eat what it saves. So one window is run with
each kind, once a machine: the verdict is noted on the volume, and later starts read it there.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realtime.errors import SettingsError

log = logging.getLogger("banter.whisper")

KINDS = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8_float16")}
"""Kinds that are tried, by device. The first is the one that everything else was measured with."""

WORTH = 0.9
"""Another kind than the first is taken where it needs at most so much of its time: less may be
chance, and the words of the first are the ones that were counted."""

WINDOW_S = 15
TOKENS = 24
"""Encoded and written for a measurement: a turn of some ten words."""
RUNS = 3
"""The first run warms up; of the others the shortest counts."""


def compute_type(
    wanted: str, path: Path, *, device: str, threads: int, notes: Path | None = None
) -> str:
    """The kind for a model folder: `wanted` itself, or for `auto` the fastest, and for `default`
    the device's first. `notes` is the file that keeps verdicts.

    Raises:
        SettingsError: the device cannot compute in the wanted kind.
    """
    import ctranslate2

    supported = ctranslate2.get_supported_compute_types(device)
    if wanted not in ("auto", "default"):
        if wanted not in supported:
            known = ", ".join(sorted(supported))
            raise SettingsError(
                f"--whisper-compute: this {device} cannot compute in '{wanted}'; it has {known}"
            )
        return wanted
    kinds = [kind for kind in KINDS[device] if kind in supported] or ["default"]
    if wanted == "default" or len(kinds) == 1:
        return kinds[0]
    size, version = (path / "model.bin").stat().st_size, ctranslate2.__version__
    about = f"{path.name}; {size}; {_processor(device)}; {threads} threads; CTranslate2 {version}"
    noted = _read(notes).get(about)
    if noted in kinds:
        return str(noted)
    kind = fastest(kinds, lambda kind: _seconds(path, kind, device=device, threads=threads))
    _note(notes, about, kind)
    return kind


def fastest(kinds: Sequence[str], seconds: Callable[[str], float]) -> str:
    """The first kind, or one that is clearly faster; one that fails is left out."""
    took: dict[str, float] = {}
    for kind in kinds:
        try:
            took[kind] = seconds(kind)
        except Exception as error:  # whatever the library says, the others may work
            log.warning("whisper cannot compute in %s: %s", kind, error)
    told = ", ".join(f"{kind} {1e3 * took_s:.0f} ms" for kind, took_s in took.items())
    log.info("whisper, one window by compute type: %s", told or "none worked")
    if not took:
        return kinds[0]
    best = min(took, key=lambda kind: took[kind])
    first = took.get(kinds[0])
    return kinds[0] if first is not None and took[best] > WORTH * first else best


def _seconds(path: Path, kind: str, *, device: str, threads: int) -> float:
    """One window through the encoder, and `TOKENS` out of the decoder."""
    import ctranslate2
    import tokenizers

    model = ctranslate2.models.Whisper(
        str(path), device=device, compute_type=kind, intra_threads=threads
    )
    signs = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    start = signs.token_to_id("<|startoftranscript|>")
    end = signs.token_to_id("<|endoftext|>")
    mels = model.n_mels
    sound = np.random.default_rng(0).uniform(-1, 1, (1, mels, 100 * WINDOW_S)).astype(np.float32)

    def once() -> float:
        begun = time.perf_counter()
        encoded = model.encode(ctranslate2.StorageView.from_array(sound), to_cpu=device == "cpu")
        model.generate(
            encoded, [[start]], beam_size=1, max_length=2 * TOKENS, suppress_tokens=[end]
        )
        return time.perf_counter() - begun

    return min([once() for _ in range(RUNS)][1:])


def _processor(device: str) -> str:
    """What the verdict holds for: the model of the processor, or of the first GPU."""
    if device == "cuda":
        places, field = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")), "Model"
    else:
        places, field = [Path("/proc/cpuinfo")], "model name"
    for place in places:
        try:
            lines = place.read_text(errors="replace").splitlines()
        except OSError:
            continue
        named = [line.partition(":")[2].strip() for line in lines if line.startswith(field)]
        if named:
            return f"{named[0]}, {os.cpu_count()} cores" if device == "cpu" else named[0]
    return os.uname().machine if hasattr(os, "uname") else device


def _read(notes: Path | None) -> Mapping[str, Any]:
    """The verdicts so far; none where the file is missing or spoilt."""
    try:
        found = json.loads(notes.read_text()) if notes else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(notes: Path | None, about: str, kind: str) -> None:
    """Keep a verdict; a volume that cannot be written costs the next start another trial."""
    if notes is None:
        return
    beside = notes.with_name(f".{notes.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps({**_read(notes), about: kind}, indent=1))
        beside.replace(notes)
    except OSError as error:
        log.info("the verdict on compute types is not kept: %s", error)
