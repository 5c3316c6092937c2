"""When each word of a recording was said, and how words become segments. Pure.

A recogniser hears a recording window by window; what it heard of one is a `Passage`, with its words
in seconds from the begin of the recording. Subtitles and `verbose_json` want segments: these end
with a sentence, at a pause, or where two lines of a subtitle are full.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

SENTENCE_END = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01", "\u061f", "\u0964")
CLAUSE_END = (",", ";", ":", "–", "—", "\u060c", "\u061b", "\uff0c", "\u3001", "\uff1b")
CLOSING = "\"'”’)]»"

PAUSE_S = 0.8
"""Silence between two words that ends a segment."""

SEGMENT_CHARS = 84
"""Two lines of 42, as subtitles are usually set."""

LONGEST_WORD_S = 0.7
"""Taken for the median length of a word where that is greater: the words then hold silence."""


@dataclass(frozen=True)
class Word:
    """One word as it was written, with the marks and the space that belong to it."""

    text: str
    start_s: float
    end_s: float
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0
    """Summed over its tokens."""

    def moved(self, seconds: float) -> Word:
        """The same word, so much later."""
        return replace(self, start_s=self.start_s + seconds, end_s=self.end_s + seconds)


@dataclass(frozen=True)
class Passage:
    """What was heard in one window. Times are from the begin of the recording."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...] = ()
    """Empty where nobody asked for them."""
    temperature: float = 0.0
    log_probability: float = 0.0
    """Mean over the tokens."""
    no_speech: float = 0.0

    def moved(self, seconds: float) -> Passage:
        """The same passage, so much later in the recording."""
        return replace(
            self,
            start_s=self.start_s + seconds,
            end_s=self.end_s + seconds,
            words=tuple(word.moved(seconds) for word in self.words),
        )


@dataclass(frozen=True)
class Segment:
    """A sentence or a part of one, with the passage that it is from."""

    start_s: float
    end_s: float
    text: str
    tokens: tuple[int, ...]
    passage: Passage


def segments_of(passages: Iterable[Passage]) -> Iterator[Segment]:
    """The segments of passages, in order; a passage without words is one segment."""
    for passage in passages:
        if not passage.words:
            yield Segment(passage.start_s, passage.end_s, passage.text, (), passage)
            continue
        begun: list[Word] = []
        for word in passage.words:
            if begun and (cut := _cut(begun, word)):
                yield _segment(begun[:cut], passage)
                begun = begun[cut:]
            begun.append(word)
        yield _segment(begun, passage)


def _cut(begun: Sequence[Word], word: Word) -> int:
    """How many of the words that were begun with make a segment, now that `word` follows; 0 for
    none yet. Where it would grow too long, it ends with a clause, if that is not too short."""
    last = begun[-1]
    if _ends_sentence(last) or word.start_s - last.end_s >= PAUSE_S:
        return len(begun)
    if len("".join(w.text for w in [*begun, word]).strip()) <= SEGMENT_CHARS:
        return 0
    clauses = [n for n in range(len(begun) // 2, len(begun)) if _ends_clause(begun[n])]
    return clauses[-1] + 1 if clauses else len(begun)


def _segment(words: Sequence[Word], passage: Passage) -> Segment:
    tokens = tuple(token for word in words for token in word.tokens)
    text = "".join(word.text for word in words).strip()
    return Segment(words[0].start_s, words[-1].end_s, text, tokens, passage)


def _ends_sentence(word: Word) -> bool:
    return word.text.rstrip().rstrip(CLOSING).endswith(SENTENCE_END)


def _ends_clause(word: Word) -> bool:
    return word.text.rstrip().rstrip(CLOSING).endswith(CLAUSE_END)


def without_pauses(words: Sequence[Word], seconds: float) -> tuple[Word, ...]:
    """Words aligned end to end -> words that do not hold the silence between two sentences.

    An alignment gives every moment to some word. A word that ends a sentence and is longer than two
    usual ones ends sooner; one that begins a sentence begins later. All lie within `seconds`.
    """
    lengths = [word.end_s - word.start_s for word in words if word.end_s > word.start_s]
    most_s = 2 * min(LONGEST_WORD_S, statistics.median(lengths)) if lengths else 0.0
    tidied: list[Word] = []
    for n, word in enumerate(words):
        start_s, end_s = min(word.start_s, seconds), min(word.end_s, seconds)
        if end_s - start_s > most_s and (n == 0 or _ends_sentence(words[n - 1])):
            start_s = end_s - most_s
        if end_s - start_s > most_s and (n == len(words) - 1 or _ends_sentence(word)):
            end_s = start_s + most_s
        tidied.append(replace(word, start_s=start_s, end_s=end_s))
    return tuple(tidied)
