"""The model names that OpenAI's clients ask for, and what runs here in their place. Pure.

Clients have a default of their own and send it unasked, so every name is taken; the name that was
asked for is what is echoed. These are the ones whose purpose is known.
"""

from __future__ import annotations

from typing import Literal

Purpose = Literal["realtime", "transcription", "speech"]

REALTIME_MODEL = "banter"
"""Said where no model was asked for."""

TRANSCRIPTION_MODEL = "whisper-1"

ALIASES: dict[str, Purpose] = {
    "gpt-realtime": "realtime",
    "gpt-realtime-mini": "realtime",
    "gpt-realtime-1.5": "realtime",
    "gpt-realtime-2": "realtime",
    "gpt-realtime-2.1": "realtime",
    "gpt-4o-realtime-preview": "realtime",
    "gpt-4o-mini-realtime-preview": "realtime",
    "banter": "realtime",
    "whisper-1": "transcription",
    "gpt-realtime-whisper": "transcription",
    "gpt-4o-transcribe": "transcription",
    "gpt-4o-mini-transcribe": "transcription",
    "gpt-4o-transcribe-diarize": "transcription",
    "tts-1": "speech",
    "tts-1-hd": "speech",
    "gpt-4o-mini-tts": "speech",
}
"""Known name -> which of this server's engines takes it: the whole conversation, the recogniser,
or the voice."""


def purpose_of(name: str) -> Purpose | None:
    """What a name is meant for; None for one that is not known. Dated names
    (`gpt-realtime-2025-08-28`) are those without their date."""
    if name in ALIASES:
        return ALIASES[name]
    undated = name.rsplit("-", 3)
    if len(undated) == 4 and all(part.isdigit() for part in undated[1:]):
        return ALIASES.get(undated[0])
    return None
