"""Which models and which engines the settings ask for, and on what they run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import bootstrap
from realtime.engines.echo import EchoReplier
from realtime.engines.embedded_voice import EmbeddedVoice
from realtime.engines.end_of_turn import SmartTurn
from realtime.engines.llm import EmbeddedReplier
from realtime.engines.openai_chat import OpenAIReplier
from realtime.metrics import Metrics
from realtime.runtime import AnyReplier
from realtime.settings import CHATTERBOX, Settings
from realtime.threads import ThreadBudget, cores

if TYPE_CHECKING:
    from realtime.engines.chatterbox.voice import ChatterboxVoice

FINISHING_THREADS = 2


def profile_of(settings: Settings) -> str:
    """The profile; `auto` is gpu where a GPU and what speaks on it are there."""
    if settings.profile != "auto":
        return settings.profile
    return "gpu" if find_spec("chatterbox") and has_gpu() else "embedded"


def voice_of(settings: Settings) -> str:
    """The voice; `auto` is the profile's."""
    if settings.voice != "auto":
        return settings.voice
    if settings.voice_folder:
        return "chatterbox"
    return "chatterbox" if profile_of(settings) == "gpu" else "embedded"


def plan_of(settings: Settings) -> bootstrap.Plan:
    """What has to lie on the volume."""
    voice = voice_of(settings)
    needs_none = voice == "embedded" or settings.voice_folder
    named = "none" if needs_none else CHATTERBOX[voice]
    plan = bootstrap.plan_for(
        profile_of(settings),
        whisper=settings.whisper or None,
        voice=named,
        llm=settings.replier == "embedded",
        end_of_turn=settings.end_of_turn != "off",
    )
    return plan if settings.engines == "local" else without(plan, "whisper", "voice")


def without(plan: bootstrap.Plan, *roles: str) -> bootstrap.Plan:
    """The plan without what these roles need."""
    models = tuple(model for model in plan.models if model.role not in roles)
    return bootstrap.Plan(plan.profile, models)


def names_of(settings: Settings) -> tuple[str, ...]:
    """What the recogniser and the voice are called, for the list of models."""
    own = {"embedded": "tiny.en", "gpu": "large-v3-turbo"}
    voice = voice_of(settings)
    return (
        settings.whisper or own[profile_of(settings)],
        "hibari" if voice == "embedded" else voice,
    )


def has_gpu() -> bool:
    """A CUDA device that CTranslate2, and so torch, can use."""
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count() > 0)


def replier_of(
    settings: Settings, models: Mapping[str, Path], metrics: Metrics, budget: ThreadBudget
) -> AnyReplier:
    """What answers."""
    match settings.replier:
        case "echo":
            return EchoReplier()
        case "openai":
            return OpenAIReplier(
                base_url=settings.llm_url,
                api_key=settings.llm_key,
                model=settings.llm_model,
                context_tokens=settings.llm_context,
                first_token_timeout_s=settings.llm_timeout,
                stall_timeout_s=settings.llm_timeout,
                metrics=metrics,
            )
    return EmbeddedReplier(models["llm"], threads=budget.llm, metrics=metrics)


def end_of_turn_of(
    settings: Settings, models: Mapping[str, Path], metrics: Metrics
) -> SmartTurn | None:
    """What tells whether somebody who pauses is done; None where silence alone does."""
    if settings.end_of_turn == "off" or "end_of_turn" not in models:
        return None
    return SmartTurn(models["end_of_turn"], metrics=metrics)


def engine_of_voice(
    settings: Settings, models: Mapping[str, Path], volume: Path, metrics: Metrics
) -> EmbeddedVoice | ChatterboxVoice:
    """What speaks. torch is imported only for a voice that needs it."""
    if voice_of(settings) == "embedded":
        return EmbeddedVoice(metrics=metrics)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from realtime.engines.chatterbox.voice import ChatterboxVoice, VoiceOptions

    device = settings.device if settings.device != "auto" else "cuda" if has_gpu() else "cpu"
    options = VoiceOptions(
        variant=CHATTERBOX[voice_of(settings)],
        device=device,
        streams=settings.voice_streams,
        memory_gib=settings.voice_memory,
        threads=1 if device == "cuda" else cores(),
        finishing_threads=min(FINISHING_THREADS, cores()),
        watermark=settings.watermark,
    )
    folder = settings.voice_folder or models["voice"]
    return ChatterboxVoice(folder, volume / "voices", options, metrics=metrics)
