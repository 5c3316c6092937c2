"""Whether what was heard are the reply's own words, come back from a loudspeaker. Pure.

There is no canceller of echoes here: a browser and a telephone have one. Where there is none, the
reply is heard like a caller, and only its words tell: they are those that were being played, and
they began while they were played. Sound takes a while through a network, a sound card and a room,
so words that were played up to `PATH_MS` before count too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher

from realtime.items import Piece

PATH_MS = 1_500
"""The longest way from here to a client's loudspeaker and back that is reckoned with."""

TAIL_MS = 400
"""Words that begin later than this after the reply's modelled end are the caller's: they answer."""

LEAST_RUN = 3
"""Letters that have to agree in a row: shorter runs are in any two sentences."""

SHARE = 0.7
"""Of what was heard, in letters, that has to be in what was played; of a single word all of it.

With tiny.en and the embedded voice at a quarter of its level that finds 14 of 18 echoes of half a
second with words, 18 of 19 of one second and 17 of 20 of two; of 356 beginnings of other people's
sentences, taken to come over a reply, none. At 0.6 it is 15, 18 and 20, and 4."""

FEW_WORDS = 4
"""So few words, where the reply asks, are an answer: people choose among what is offered."""


def played(pieces: Iterable[Piece], first: int, last: int) -> str:
    """The words of a reply that sound between two samples of its audio.

    A word at the edge counts; within a piece words are taken to be as long as they are written.
    """
    said: list[str] = []
    for piece in pieces:
        if piece.samples is None or piece.start >= last or piece.start + piece.samples <= first:
            continue
        at, each = 0, piece.samples / max(1, len(piece.text))
        for word in piece.text.split():
            at = piece.text.index(word, at)
            begin, end = piece.start + at * each, piece.start + (at + len(word)) * each
            at += len(word)
            if begin < last and end > first:
                said.append(word)
    return " ".join(said)


def is_own(heard: str, said: str, *, asked: bool = False) -> bool:
    """Whether `heard` is what the reply `said` in that time; `asked`: it was asking the caller.

    A word said back as a question ("Tuesday?") is a caller's.
    """
    words = _letters(heard)
    if not words or not said:
        return False
    if "?" in heard and "?" not in said:
        return False
    if asked and len(words.split()) < FEW_WORDS:
        return False
    theirs = _letters(said)
    if " " not in words and " " in theirs:
        return words in theirs.split()  # "No." is in "know" and in "in Oslo", and is a caller's
    return likeness(heard, said) >= (SHARE if " " in words else 1.0)


def likeness(heard: str, said: str) -> float:
    """The share of what was heard that stands in what was said, in the same order; 0 to 1."""
    ours, theirs = _letters(heard).replace(" ", ""), _letters(said).replace(" ", "")
    if not ours or not theirs:
        return 0.0
    runs = SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks()
    least = min(LEAST_RUN, len(ours))
    return sum(run.size for run in runs if run.size >= least) / len(ours)


def _letters(text: str) -> str:
    """Letters and digits without case and accents, words between single spaces."""
    apart = unicodedata.normalize("NFKD", text.casefold().replace("'", ""))
    kept = (c if c.isalnum() else " " for c in apart if not unicodedata.combining(c))
    return " ".join("".join(kept).split())
