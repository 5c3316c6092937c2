"""Words that hold: from hypotheses of a growing utterance to text that is never taken back. Pure.

A recogniser that hears the beginning of a sentence again and again changes its mind about the last
words, hardly ever about the first. A word is shown once two hypotheses in a row have it, in the
same place: "local agreement", after Liu, Spanakis and Niehues (2020), as Whisper-Streaming has it.
Case and marks are not compared; a shown word keeps its case, and the marks behind it wait for the
word that follows, since a full stop is often a comma half a second later.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Scripts that put no spaces between words: each character stands for itself."""
_UNIT = re.compile(rf"\s*(?:[{_DENSE}]|[^\s{_DENSE}]+)")


@dataclass
class Agreement:
    """One utterance. `hear` each hypothesis of it, then `finish` with the final one."""

    holds: int = 0
    """So many words at the end of a hypothesis are not believed: the last may be cut in half."""
    shown: str = ""
    """What was told so far; it only grows."""
    _keys: list[str] = field(default_factory=list)
    """The shown words, without case and marks."""
    _before: list[str] = field(default_factory=list)

    def hear(self, text: str) -> str:
        """Take the next hypothesis; get what is to be appended to the shown text."""
        before, self._before = self._before, units(text)
        old, new = (_keys(each[self._place(each) :]) for each in (before, self._before))
        place, agreed = self._place(self._before), 0
        believed = max(0, len(new) - self.holds)
        for a, b in zip(old, new[:believed], strict=False):
            if a != b:
                break
            agreed += 1
        return self._append(self._before[: place + agreed], place, ends=False) if agreed else ""

    def finish(self, text: str) -> str:
        """Take the final text; get what it has beyond the shown words.

        Where the final disagrees with a shown word, the word stays and the rest follows it.
        """
        final = units(text)
        return self._append(final, self._place(final), ends=True)

    def _append(self, said: Sequence[str], place: int, *, ends: bool) -> str:
        marks = ""
        if self._keys and place and key(said[place - 1]) == self._keys[-1]:
            marks = _marks(said[place - 1])
        new = "".join(said[place:])
        if not ends:
            new = new[: len(new) - len(_marks(said[-1]))]
            marks = marks if new else ""
        if self.shown and new and not place:
            new = f" {new}"
        self._keys += _keys(said[place:])
        self.shown += marks + new
        return marks + new

    def _place(self, hypothesis: Sequence[str]) -> int:
        """How many words of a hypothesis stand for the shown ones: those that are most like them.

        Where several places are, the one with as many words as were shown.
        """
        shown = self._keys
        found = _keys(hypothesis)
        if found[: len(shown)] == shown:
            return len(shown)
        row = list(range(len(found) + 1))
        for n, word in enumerate(shown):
            last, row = row, [n + 1]
            for m, other in enumerate(found):
                row.append(min(last[m] + (word != other), last[m + 1] + 1, row[m] + 1))
        return min(range(len(row)), key=lambda m: (row[m], abs(m - len(shown)), m))


def units(text: str) -> list[str]:
    """A text in words, each with the spaces before and the marks around it; joined they are it."""
    found: list[str] = []
    for unit in _UNIT.findall(text.strip()):
        if found and not key(unit):
            found[-1] += unit
        else:
            found.append(unit)
    return found


def key(unit: str) -> str:
    """What of a word is compared: letters and digits, without case."""
    return "".join(sign for sign in unit if sign.isalnum()).casefold()


def _keys(found: Sequence[str]) -> list[str]:
    return [key(unit) for unit in found]


def _marks(unit: str) -> str:
    """What stands behind the last letter of a word; combining signs are part of the letter."""
    end = len(unit)
    while end and not (unit[end - 1].isalnum() or _combines(unit[end - 1])):
        end -= 1
    return unit[end:]


def _combines(sign: str) -> bool:
    return bool(unicodedata.category(sign).startswith("M"))
