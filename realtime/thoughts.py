"""What a model thinks aloud before it answers, taken out of a text that comes in pieces. Pure."""

from __future__ import annotations


class Thoughts:
    """Takes `<think>…</think>` out of a text whose pieces may break off within a tag."""

    def __init__(self) -> None:
        self.found = False
        self._inside = False
        self._held = ""

    def push(self, piece: str) -> str:
        text, spoken = self._held + piece, ""
        while self._tag in text:
            before, _, text = text.partition(self._tag)
            spoken += "" if self._inside else before
            self._inside, self.found = not self._inside, True
        tag = self._tag
        begun = next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)
        ready, self._held = text[: len(text) - begun], text[len(text) - begun :]
        return spoken + ("" if self._inside else ready)

    def flush(self) -> str:
        """What was held back, at the end: it was no tag after all."""
        return "" if self._inside else self._held

    @property
    def _tag(self) -> str:
        return "</think>" if self._inside else "<think>"
