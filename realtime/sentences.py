"""Text deltas in, speakable pieces out: the voice starts while the language model still writes.

The first piece leaves early: a clause is enough, because the caller is waiting for it. Later pieces
are whole sentences, which sound better and have time. A piece never ends inside a number ("3.14",
"1,000"), after an abbreviation ("Dr.") or an initial ("J. K.").

Where no clause ends, the first piece may leave before a word that begins a phrase ("This is a
lovely tale | about two cities"), if the voice speaks that well: a small language model takes 0.1
to 0.2 s for the rest of such a sentence. The joint is a pause of 0.2 s, as one that takes breath.

Some voices say "Yes." wrongly when it stands alone. For these a piece may be given a least length:
a shorter one goes together with what follows it. That costs the first piece the time in which the
language model writes one clause more, some 0.1 to 0.3 s, after such a beginning only; to wait for
less would be to wait for nothing, since deltas are single words and where a sentence ends is known
only when the next word has come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

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
# The escapes are full stops, question marks and commas: of Arabic and Hindi, followed by space, and
# of Chinese and Japanese, followed by none.
_SENTENCE_END = re.compile(
    # a run of marks is looked at once, from its beginning: a reply may be made of them
    r"(?<![.!?…\u061f\u06d4\u0964])[.!?…\u061f\u06d4\u0964]++[\"'”’)\]*_]*+(?=\s)"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09”’]*(?=.)|\n+"
)
_MARKS = ".!?…,;:—–\"'”’)]*_\u061f\u06d4\u0964\u060c\u061b\u3002\uff01\uff1f\u3001\uff0c"
_CLAUSE_END = re.compile(r"[,;:—–\u060c\u061b][\"'”’)\]*_]*(?=\s)|[\u3001\uff0c\uff1b\uff1a](?=.)")
_OPENERS = (
    "about|after|and|at|because|before|but|by|during|for|from|if|in|into|on|or|that|through|when|"
    "where|which|while|who|with|without"
)
"""Not "to", "of", "as" and "than", which lean on the word before them."""

_PHRASE_BEGINS = re.compile(rf"(?<=\s)(?:{_OPENERS})(?=\s)")
_LEANS_ON = re.compile(rf"(?<!\S)(?:{_OPENERS}|an?|as|of|than|the|to)\s*$", re.IGNORECASE)
"""A word that no piece ends with."""

_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WORD_BEGINS = re.compile(r"(?<!\S)\S")


@dataclass
class SentenceCutter:
    """Cuts one reply. `push` each delta, then `flush` at its end.

    Only the last piece has fewer than `shortest_chars`, and a line that ends without a mark.
    """

    first_clause_words: int = FIRST_CLAUSE_WORDS
    shortest_chars: int = 0
    first_phrase_words: int = 0
    """So many words, and the first piece may end before a phrase; 0: never."""
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

    def likely(self) -> str:
        """The piece that is complete if a word begins next; empty where that ends none, and behind
        a number, which may go on."""
        last = self._text.rstrip(_MARKS)[-1:]
        if not last or last.isdigit() or self._text[-1].isspace():
            return ""
        [piece, *_] = replace(self).push(" ") or [""]
        return piece

    def flush(self) -> list[str]:
        """The rest of the reply, if there is any."""
        piece, self._text = self._text.strip(), ""
        return [piece] if piece else []

    def take_rest(self) -> str:
        """What is not cut yet, as it was written, without cutting it; once."""
        rest, self._text = self._text, ""
        return rest

    def _next_end(self) -> int | None:
        end = self._sentence_end()
        if self._first:
            ends = [e for e in (end, self._clause_end()) if e is not None]
            end = min(ends) if ends else None
            if end is None and self.first_phrase_words:
                end = self._phrase_end()
        limit = FIRST_PIECE_CHARS if self._first else PIECE_CHARS
        if end is None and len(self._text) > limit:
            end = self._forced_end(limit)
        return end

    def _sentence_end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._text):
            if match.group().startswith("\n"):
                before = self._text[: match.start()].strip()
                if before and (before[-1] not in _MARKS or self._suffices(match.end())):
                    return match.end()
            elif self._suffices(match.end()) and not _is_abbreviation(
                self._text, match.start(), match.group()
            ):
                return match.end()
        return None

    def _suffices(self, end: int) -> bool:
        if not self.shortest_chars:
            return True
        said = self._text[:end].strip()
        chars = len(said)  # ideographs are looked for in short texts alone
        return chars >= self.shortest_chars or (
            chars + 2 * len(_IDEOGRAPH.findall(said)) >= self.shortest_chars
        )

    def _clause_end(self) -> int | None:
        words = ideographs = counted = 0
        for match in _CLAUSE_END.finditer(self._text):
            end = match.start()
            words += sum(1 for _ in _WORD_BEGINS.finditer(self._text, counted, end))
            ideographs += len(_IDEOGRAPH.findall(self._text, counted, end))
            counted = end
            enough = words + ideographs // 2 >= self.first_clause_words
            if enough and self._suffices(match.end()):
                return match.end()
        return None

    def _phrase_end(self) -> int | None:
        for match in _PHRASE_BEGINS.finditer(self._text):
            before = self._text[: match.start()]
            enough = len(before.split()) >= self.first_phrase_words
            if enough and not _LEANS_ON.search(before) and self._suffices(match.start()):
                return match.start()
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


def _is_abbreviation(text: str, at: int, mark: str) -> bool:
    """True if the full stop at `at` belongs to the word before it: an abbreviation, initial or
    list number. Looks at that word alone: a text may be made of stops."""
    if not mark.startswith(".") or mark.startswith(".."):
        return False
    begin = at
    while begin and not text[begin - 1].isspace():
        begin -= 1
    if begin == at:
        return True
    word = text[begin:at].lstrip("(\"'“‘*_")
    single = len(word) == 1 and word.isalpha() and word.isupper() and word != "I"
    list_number = word.isdigit() and (not begin or text[:begin].isspace())
    return word.lower() in _ABBREVIATIONS or single or list_number
