"""Written text to text that can be said: no Markdown, no emoji, no addresses.

Language models write for the eye even when told not to. What a voice cannot say is dropped here,
before synthesis, and the transcript shows exactly what was said. Numbers and abbreviations stay:
the voice's own front end reads them.
"""

from __future__ import annotations

import re
import unicodedata

_IMAGE_OR_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_CODE_FENCE = re.compile(r"```.*?(```|$)", re.DOTALL)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^>]*>|<\|[^|]*\|>")
_LINE_MARK = re.compile(
    r"^(?>\s{0,3}(?:#{1,6}\s+|>\s?|[-*+•]\s+|\d+[.)]\s+|[-=_*]{3,}\s*$))+", re.MULTILINE
)
_EMPHASIS = re.compile(r"[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}")
_SNAKE = re.compile(r"(?<=\w)_+(?=\w)")
_UNSPOKEN = re.compile(r"[*`~|#^{}<>\\\[\]]")
_SPACE = re.compile(r"\s+")
_DANGLING = re.compile(r"\(\s*\)|\s+(?=[,.;:!?])")
_UNSEEN = ("Cc", "Cf", "Co", "Cs", "Me", "Sk", "So")
"""Unicode categories of emoji, their joiners and modifiers, and of control characters."""

_VARIATION = "\ufe0f"
_SAID = re.compile(r"\w")


def speakable(text: str) -> str:
    """The part of `text` that can be said, on one line; empty if nothing in it can."""
    said = _cleaned(text)
    # what is taken out may leave a mark where one means something, such as at the beginning
    while (again := _cleaned(said)) != said:
        said = again
    return said


def _cleaned(text: str) -> str:
    """Never longer than it was, so cleaning comes to an end."""
    text = _CODE_FENCE.sub(" ", text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _URL.sub("", text)
    text = _TAG.sub("", text)
    text = "".join(c for c in text if _can_be_said(c))  # before what looks at a line's beginning
    text = _LINE_MARK.sub("", text)
    text = _SNAKE.sub(" ", text)
    text = _EMPHASIS.sub("", text)
    text = _UNSPOKEN.sub(" ", text)
    text = _DANGLING.sub("", _SPACE.sub(" ", text)).strip()
    return text if _SAID.search(text) else ""


def _can_be_said(c: str) -> bool:
    if c.isspace() or c in "°^`":  # the last two are taken for marks, and leave a space
        return True
    return c != _VARIATION and unicodedata.category(c) not in _UNSEEN
