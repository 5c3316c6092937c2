"""What a response took, in the units of `response.done`. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AUDIO_TOKENS_PER_S = 20
"""What OpenAI counts for a second of output audio; usage is told in its units."""

CHARS_PER_TOKEN = 4
"""For text that nobody counted."""


@dataclass(frozen=True)
class Tokens:
    """What a language model's endpoint counted for one request."""

    prompt: int
    written: int
    cached: int = 0
    """Of the prompt: read before and not again."""


@dataclass
class Usage:
    """Counts for `response.done`: the endpoint's where it gives them, else estimates.

    Callers' speech counts as the text that it became, which is what the language model reads.
    """

    prompt_estimate: int = 0
    written_chars: int = 0
    audio_ms: int = 0
    counted: Tokens | None = None

    @property
    def input_text(self) -> int:
        return self.counted.prompt if self.counted else self.prompt_estimate

    @property
    def output_text(self) -> int:
        if self.counted:
            return self.counted.written
        return -(-self.written_chars // CHARS_PER_TOKEN)

    def wire(self) -> dict[str, Any]:
        audio = -(-self.audio_ms * AUDIO_TOKENS_PER_S // 1000)
        output = self.output_text + audio
        cached = self.counted.cached if self.counted else 0
        return {
            "total_tokens": self.input_text + output,
            "input_tokens": self.input_text,
            "output_tokens": output,
            "input_token_details": {
                "text_tokens": self.input_text,
                "audio_tokens": 0,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached,
                    "audio_tokens": 0,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": self.output_text, "audio_tokens": audio},
        }
