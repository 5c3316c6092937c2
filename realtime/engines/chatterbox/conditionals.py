"""One voice as Chatterbox hears it: made once from a clip, passed with each request, never changed.

On the disk it is a safetensors file that says what made it. A file of another model, of another
version of this format, or of another clip is not this voice's; `load` refuses it, and whoever asked
makes it anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from realtime.errors import BanterError

PROMPT_TOKENS = 100
"""Of the reference that S3Gen reads before every chunk: 4 s, the same for every voice, so that
voices batch. Reading 10 s of it makes a chunk three times as dear."""

FORMAT = "banter-voice-1"
SPEECH_TOKENS = 6_561


@dataclass(frozen=True, eq=False)
class Conditionals:
    """All on the model's device, in float32 and int64; nobody writes into them."""

    speaker: torch.Tensor
    """[1, 256], the voice encoder's embedding."""
    prompt: torch.Tensor
    """[1, n], speech tokens of the reference for T3."""
    flow_tokens: torch.Tensor
    """[1, PROMPT_TOKENS], the same for S3Gen."""
    flow_mel: torch.Tensor
    """[1, 2 * PROMPT_TOKENS, 80], the reference's mel frames."""
    flow_embedding: torch.Tensor
    """[1, 192], CAM++'s x-vector."""

    def save(self, path: Path, *, variant: str, clip: str = "") -> None:
        """Write them for a variant of the model, in one step: the file is there whole or not at
        all. `clip` is the hash of what they were made from.

        Raises:
            OSError: it cannot be written.
        """
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        tensors = {name: tensor.cpu().contiguous() for name, tensor in vars(self).items()}
        try:
            save_file(tensors, draft, {"format": FORMAT, "variant": variant, "clip": clip})
            os.replace(draft, path)
        except SafetensorError as error:  # it wraps what the disk said
            raise OSError(str(error)) from error
        finally:
            draft.unlink(missing_ok=True)


def load(path: Path, device: str, *, variant: str, clip: str = "") -> Conditionals:
    """Read what `save` has written for this variant and clip.

    Raises:
        BanterError: it is damaged, or made by or from something else; says which.
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    expected = {"format": FORMAT, "variant": variant, "clip": clip}
    try:
        with safe_open(path, framework="pt", device=device) as file:
            said = file.metadata() or {}
            for name, value in expected.items():
                if said.get(name) != value:
                    raise BanterError(f"{path} has the {name} {said.get(name)!r}, not {value!r}")
            found = Conditionals(**{f.name: file.get_tensor(f.name) for f in fields(Conditionals)})
    except (SafetensorError, OSError) as error:
        raise BanterError(f"{path} is damaged: {error}") from error
    _check(found, str(path))
    return found


def from_package(conds: Any) -> Conditionals:
    """Those of the package's own `Conditionals`, copied: the package casts the tensors of its
    dictionary in place, and keeps what it has computed on its object.

    The flow's prompt is cut to `PROMPT_TOKENS`.

    Raises:
        BanterError: the reference was shorter than that.
    """
    gen, t3 = conds.gen, conds.t3
    tokens, frames = gen["prompt_token"].shape[-1], gen["prompt_feat"].shape[1]
    have = min(tokens, frames // 2)
    if have < PROMPT_TOKENS:
        raise BanterError(
            f"the reference is too short: {have / 25:.1f} s of it could be read, "
            f"{PROMPT_TOKENS / 25:g} s are needed"
        )
    found = Conditionals(
        speaker=_copy(t3.speaker_emb, torch.float32),
        prompt=_copy(t3.cond_prompt_speech_tokens, torch.int64),
        flow_tokens=_copy(gen["prompt_token"][:, :PROMPT_TOKENS], torch.int64),
        flow_mel=_copy(gen["prompt_feat"][:, : 2 * PROMPT_TOKENS], torch.float32),
        flow_embedding=_copy(gen["embedding"], torch.float32),
    )
    _check(found, "the package's voice")
    return found


def _copy(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.detach().to(dtype, copy=True).contiguous()


def _check(found: Conditionals, what: str) -> None:
    """Shapes, types and values that the models can take: what is wrong here fails in a batch."""
    n = found.prompt.shape[-1]
    shapes = {
        "speaker": (torch.float32, (1, 256)),
        "prompt": (torch.int64, (1, n)),
        "flow_tokens": (torch.int64, (1, PROMPT_TOKENS)),
        "flow_mel": (torch.float32, (1, 2 * PROMPT_TOKENS, 80)),
        "flow_embedding": (torch.float32, (1, 192)),
    }
    for name, (dtype, shape) in shapes.items():
        tensor = getattr(found, name)
        if tensor.dtype != dtype or tuple(tensor.shape) != shape:
            raise BanterError(f"{what}: {name} is {tensor.dtype} {list(tensor.shape)}")
        if dtype is torch.int64:
            good = bool(((tensor >= 0) & (tensor < SPEECH_TOKENS)).all()) and n > 0
        else:
            good = bool(tensor.isfinite().all())
        if not good:
            raise BanterError(f"{what}: {name} has values that no voice has")
