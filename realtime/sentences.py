"""Text deltas in, speakable pieces out: the voice starts while the language model still writes.

The first piece leaves early: a clause is enough, because the caller is waiting for it. Later pieces
are whole sentences, which sound better and have time. A piece never ends inside a number ("3.14",
"1,000"), after an abbreviation ("Dr.") or an initial ("J. K.").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FIRST_CLAUSE_WORDS = 3
FIRST_PIECE_CHARS = 90
PIECE_CHARS = 260
LONGEST_CHARS = 1_000
"""Text without any space is cut here: nobody can say it, and it must not be searched for ever."""

_ABBREVIATED = """
mr mrs ms dr prof sr jr st mt vs etc e.g i.e a.m p.m vol fig approx dept est inc ltd co corp gen
col sgt capt lt rev hon gov sen rep jan feb mar apr jun jul aug sep sept oct nov dec
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s)|\n+")
_CLAUSE_END = re.compile(r"[,;:—–][\"'”’)\]*_]*(?=\s)")
_LAST_WORD = re.compile(r"(\S+)$")


@dataclass
class SentenceCutter:
    """Cuts one reply. `push` each delta, then `flush` at its end."""

    first_clause_words: int = FIRST_CLAUSE_WORDS
    _text: str = ""
    _first: bool = True

    def push(self, delta: str) -> list[str]:
        """Take the next characters; get the pieces that are now complete."""
        self._text += delta
        pieces = []
        while (end := self._next_end()) is not None:
            piece, self._text = self._text[:end].strip(), self._text[end:]
            if piece:
                pieces.append(piece)
                self._first = False
        return pieces

    def flush(self) -> list[str]:
        """The rest of the reply, if there is any."""
        piece, self._text = self._text.strip(), ""
        return [piece] if piece else []

    def _next_end(self) -> int | None:
        end = self._sentence_end()
        if self._first:
            ends = [e for e in (end, self._clause_end()) if e is not None]
            end = min(ends) if ends else None
        limit = FIRST_PIECE_CHARS if self._first else PIECE_CHARS
        if end is None and len(self._text) > limit:
            end = self._forced_end(limit)
        return end

    def _sentence_end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._text):
            if match.group().startswith("\n"):
                if self._text[: match.start()].strip():
                    return match.end()
            elif not _is_abbreviation(self._text[: match.start()], match.group()):
                return match.end()
        return None

    def _clause_end(self) -> int | None:
        for match in _CLAUSE_END.finditer(self._text):
            if len(self._text[: match.start()].split()) >= self.first_clause_words:
                return match.end()
        return None

    def _forced_end(self, limit: int) -> int | None:
        """A run-on without any end: cut at its last clause, else its last space, in the limit."""
        clauses = list(_CLAUSE_END.finditer(self._text[:limit]))
        if clauses and clauses[-1].end() > limit // 3:
            return clauses[-1].end()
        space = self._text.rfind(" ", 1, limit)
        if space > 0:
            return space
        return limit if len(self._text) > LONGEST_CHARS else None


def _is_abbreviation(before: str, mark: str) -> bool:
    """True if the full stop belongs to the word: an abbreviation, initial or list number."""
    if not mark.startswith(".") or mark.startswith(".."):
        return False
    match = _LAST_WORD.search(before)
    if not match:
        return True
    word = match.group(1).lstrip("(\"'“‘*_")
    single = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    list_number = word.isdigit() and not before[: match.start()].strip()
    return word.lower() in _ABBREVIATIONS or single or list_number
