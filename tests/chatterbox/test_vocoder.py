"""The vocoder in chunks against the vocoder over the whole, with the mel given to both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from realtime.audio import Float32
from realtime.engines.chatterbox.chunks import HOP, Progress, Schedule, next_chunk
from realtime.engines.chatterbox.noise import Noise
from realtime.engines.chatterbox.variant import TURBO
from realtime.engines.chatterbox.vocoder import FADE, Stretch, Vocoder
from tests.chatterbox.sound import WHOLE, speaker

TOKENS = 84
REACH = 20
"""Frames to the right that a sample can hear: 14.3 of the vocoder, 5 of its pitch predictor."""


@pytest.fixture(scope="module")
def s3gen(chatterbox_folders: dict[str, Path]) -> Any:
    return speaker(chatterbox_folders["turbo"], TURBO).s3gen


@pytest.fixture(scope="module")
def mel() -> torch.Tensor:
    """Frames that change slowly, as speech's do."""
    noise = torch.randn(1, 80, 2 * TOKENS + 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.avg_pool1d(noise, 5, 1)[0] * 2


def sounded(s3gen: Any, mel: torch.Tensor, schedule: Schedule) -> tuple[Float32, list[int]]:
    """Sound of the frames in the chunks of a schedule, and where those join."""
    vocoder = Vocoder(s3gen, schedule, device="cpu")
    noise = Noise(4, harmonics=vocoder.harmonics, prompt=0, device="cpu")
    trail, progress, pieces = vocoder.beginning(), Progress(), []
    with torch.inference_mode():
        while chunk := next_chunk(schedule, progress, TOKENS, final=True):
            seen = mel[:, chunk.sound_start : chunk.sound_end]
            [(piece, trail)] = vocoder.run([Stretch(chunk, seen, trail, noise)])
            pieces.append(piece)
            progress = chunk.after(progress)
    return np.concatenate(pieces), np.cumsum([len(piece) for piece in pieces])[:-1].tolist()


def test_chunks_are_the_whole(s3gen: Any, mel: torch.Tensor) -> None:
    """Where each chunk sees as far to its right as the kernels reach, up to rounding."""
    whole, _ = sounded(s3gen, mel, WHOLE)
    chunked, joints = sounded(s3gen, mel, Schedule(sizes=(20, 20, 30), held=REACH - 6))
    assert len(joints) == 3
    assert len(chunked) == len(whole) == 960 * TOKENS
    assert whole.std() > 0.01
    assert np.abs(chunked - whole).max() < 1e-4


def test_less_to_the_left_is_heard(s3gen: Any, mel: torch.Tensor) -> None:
    """The measure above can fail: with two frames of context less sound differs at joints."""
    whole, _ = sounded(s3gen, mel, WHOLE)
    short = Schedule(sizes=(20, 20, 30), held=REACH - 6, left=5)
    chunked, _ = sounded(s3gen, mel, short)
    assert np.abs(chunked - whole).max() > 1e-4


def test_what_is_out_of_sight_is_heard_only_just_before_a_joint(
    s3gen: Any, mel: torch.Tensor
) -> None:
    """As it runs: ten frames to the right. Phases drift apart where the pitch was seen in part, so
    the chunk after a joint is compared by its level, not by its samples."""
    whole, _ = sounded(s3gen, mel, WHOLE)
    chunked, joints = sounded(s3gen, mel, Schedule())
    difference = np.abs(chunked - whole)
    assert difference[: joints[0] - 5 * HOP].max() < 2e-3 * np.abs(whole).max()
    print([difference[j - 5 * HOP : j + FADE].max() / np.abs(whole).max() for j in joints])
    for joint in joints:
        around = slice(joint - 5 * HOP, joint + FADE)
        assert difference[around].max() < 0.1 * np.abs(whole).max()
