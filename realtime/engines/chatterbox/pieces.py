"""What of a text Chatterbox is given at once, and how much sound it may make of it. Pure.

Its T3 goes wrong at both ends: over some 300 characters it drifts into nonsense, and after a word
or two it often does not find its stop token and goes on for many seconds, mostly silent
(resemble-ai/chatterbox #97 and #388). So long text is split, short text waits for what follows it
(`SHORTEST_CHARS`), and every text has a bound of its own.

Lengths are in characters of English: in other scripts a character may be a syllable or a word.
"""

from __future__ import annotations

import math
import re
from itertools import takewhile

TOKENS_PER_S = 25

LONGEST_CHARS = 280
SHORTEST_CHARS = 12
"""What is shorter is spoken together with what follows, where something does."""

SLOWEST_CHARS_PER_S = 6.0
"""52 recordings of speech, read, spoken and shouted over machines, have 14 in the median, 8 at the
5th percentile; a stage voice with long pauses has 6.9."""

FASTEST_CHARS_PER_S = 30.0
"""The fastest of them has 21."""

SPARE_S = 1.2
"""A breath before and a pause after, however short the text is."""

MOST_TOKENS = 1_000
"""What the package itself allows: 40 s."""

_WEIGHTS = (
    (re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]"), 3.5),  # a syllable, in Japanese often two
    (re.compile(r"[\uac00-\ud7af]"), 2.8),
    (re.compile(r"[\u3040-\u30ff]"), 2.0),
    (re.compile(r"[\u0590-\u06ff]"), 1.5),  # vowels are not written
    (re.compile(r"\d"), 5.0),  # a number that nobody has put into words
)
# the escapes are the full-width marks of Chinese and Japanese, after which no space stands
_SENTENCE_END = re.compile(
    r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[\u3002\uff01\uff1f][\u300d\u300f”’\uff09]*"
)
_CLAUSE_END = re.compile(r"[,;:—–][\"'”’)\]]*(?=\s|$)|[\u3001\uff0c\uff1b\uff1a](?!\d)")
_SPACE = re.compile(r"\s+(?!\d)|(?<=\D)\s+(?=\d)")
_ANY_SPACE = re.compile(r"\s+")
_INSIDE_NUMBER = re.compile(r"(?<=\d)[.,]?(?=\d)|(?<=\d)(?=[.,]\d)")


def said_chars(text: str) -> float:
    """How long it is to say, in characters of English."""
    return len(text) + sum((w - 1) * len(found.findall(text)) for found, w in _WEIGHTS)


def token_limit(text: str, language: str | None = None) -> int:
    """More speech tokens than anybody needs for this text. The script tells all that matters of the
    language."""
    seconds = SPARE_S + said_chars(text.strip()) / SLOWEST_CHARS_PER_S
    return min(MOST_TOKENS, math.ceil(seconds * TOKENS_PER_S))


def fewest_tokens(text: str) -> int:
    """Nobody can have said this text in fewer."""
    return int(said_chars(text.strip()) / FASTEST_CHARS_PER_S * TOKENS_PER_S)


def split(text: str) -> list[str]:
    """A text in pieces that are not too long.

    Each ends with a sentence if it can, else with a clause, else at a space. Nothing is lost but
    space; no number is cut, unless it is itself too long. Empty text has no pieces.
    """
    pieces, text = [], text.strip()
    while end := _end(text):
        pieces.append(text[:end].strip())
        text = text[end:].strip()
    return [*pieces, text] if text else pieces


def _end(text: str) -> int | None:
    """Where the first piece of a text that is too long ends."""
    total = said_chars(text)
    if total <= LONGEST_CHARS:
        return None
    # what is left must not be too short in its turn
    short = total < LONGEST_CHARS + SHORTEST_CHARS
    reach = _reach(text, LONGEST_CHARS - SHORTEST_CHARS if short else LONGEST_CHARS)
    for ending in (_SENTENCE_END, _CLAUSE_END, _SPACE, _ANY_SPACE):
        ends = [m.end() for m in takewhile(lambda m: m.end() <= reach, ending.finditer(text))]
        if ends and ends[-1] > reach // 4:
            return ends[-1]
    whole = (end for end in range(reach, reach // 4, -1) if not _INSIDE_NUMBER.match(text, end))
    return next(whole, reach)


def _reach(text: str, limit: float) -> int:
    """How many of its characters are within the limit; at least one."""
    length = 0.0
    for position, character in enumerate(text):
        length += said_chars(character)
        if length > limit:
            return max(1, position)
    return len(text)
