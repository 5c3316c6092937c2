"""One entry of a conversation: a message, a function call, or a call's result. Pure values.

A spoken reply is kept as pieces, each with its words and the place of its sound, so that what was
heard of it can be told from how far it was played.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Status = Literal["in_progress", "completed", "incomplete"]
Content = Literal["input_audio", "input_text", "output_audio", "output_text"]

CUT_MARGIN_MS = 150
"""Words are not spread evenly over a piece, and the last one may be half said: better one too few
than one too many. Chosen with `benchmarks/heard.py`."""


@dataclass
class Piece:
    """Some words of a reply and where they sound, in samples of the item's audio."""

    text: str
    start: int = 0
    samples: int | None = None
    """From the first sample to the last audible one; None while nothing of it is made."""


@dataclass
class Item:
    """A message. `text` is None while a user's audio is not transcribed yet."""

    id: str
    role: Role
    content: Content
    text: str | None = None
    status: Status = "completed"
    pieces: list[Piece] = field(default_factory=list)
    audio_samples: int = 0
    """Samples of the item's audio that were sent."""
    rate_hz: int = 24_000
    """Of the item's audio."""
    language: str | None = None
    """That a user's audio was found to be in."""
    goes_on: bool = False
    """It says the rest of the message before it, which was broken off."""
    played_samples: int | None = None
    """What the client says that it played, which is better than any model of it."""

    @property
    def chars(self) -> int:
        """What it takes of memory, in characters; a client chooses its id."""
        return len(self.id) + len(self.text or "")

    def say(self, text: str) -> Piece:
        """Add the next words of a reply; their sound is added to the piece as it is made."""
        piece = Piece(text)
        self.pieces.append(piece)
        if self.played_samples is None:  # else what follows is after the cut
            self.text = (self.text or "") + text
        return piece

    def played(self, samples: int) -> None:
        """The client played this much, and no more: what was not heard stays out."""
        self.played_samples = samples
        self.cut(samples)

    def cut(self, heard_samples: int) -> None:
        """Keep the words that were heard when this much was played.

        Whole pieces, and of the piece that was cut a share of its characters, down to a word's end.
        All pieces stay known, so a later and better report may also say more.
        """
        if self.played_samples is not None:
            heard_samples = min(heard_samples, self.played_samples)
        heard = ""
        for piece in self.pieces:
            played = heard_samples - piece.start
            if piece.samples is None or played <= 0:
                break
            if played < piece.samples:
                sure = max(0, played - CUT_MARGIN_MS * self.rate_hz // 1000)
                share = sure / piece.samples
                heard += words_within(piece.text, int(len(piece.text) * share))
                break
            heard += piece.text
        self.text = heard

    def wire(self) -> dict[str, Any]:
        """The item as clients know it: no null keys, except a transcript not known yet."""
        return {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": self._content(),
        }

    def _content(self) -> list[dict[str, Any]]:
        if self.content == "input_audio":
            return [{"type": "input_audio", "transcript": self.text}]
        if self.text is None:
            return []
        key = "transcript" if self.content == "output_audio" else "text"
        return [{"type": self.content, key: self.text}]


@dataclass
class FunctionCall:
    """The assistant asked for a function."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Status = "completed"

    @property
    def chars(self) -> int:
        return len(self.id) + len(self.call_id) + len(self.name) + len(self.arguments)

    def wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "name": self.name,
            "call_id": self.call_id,
            "arguments": self.arguments,
        }


@dataclass
class FunctionResult:
    """What the function answered."""

    id: str
    call_id: str
    output: str

    @property
    def chars(self) -> int:
        return len(self.id) + len(self.call_id) + len(self.output)

    def wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "function_call_output",
            "call_id": self.call_id,
            "output": self.output,
        }


AnyItem = Item | FunctionCall | FunctionResult


def words_within(text: str, chars: int) -> str:
    """The whole words of `text` that lie within its first `chars` characters."""
    if chars >= len(text):
        return text
    if text[chars].isspace():
        return text[:chars].rstrip()
    return text[: text.rfind(" ", 0, chars) + 1].rstrip()
